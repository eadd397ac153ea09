//! The functions that the fuzz targets in `fuzz/` call. `cargo test` calls them with the files of their corpora.

use std::fs;
use std::path::{Component, Path};

use super::properties::{Taken, boards, logs, names, pins, records, streams, suites};
use crate::base::number::Long as _;

/// A run record's file.
pub fn records(bytes: &[u8]) -> Taken {
    in_folder(|folder| records::record(folder, bytes))
}

/// A baseline's file.
pub fn baselines(bytes: &[u8]) -> Taken {
    in_folder(|folder| records::baseline(folder, bytes))
}

/// A suite's file.
pub fn suites(bytes: &[u8]) -> Taken {
    in_folder(|folder| suites::suite(folder, bytes))
}

/// The body of a server's answer: read byte by byte, in uneven pieces, and only up to its middle.
pub fn streams(bytes: &[u8]) -> Taken {
    streams::stream(bytes, &[3, 1, 17], bytes.len().long() / 2);
    streams::stream(bytes, &[1], u64::MAX)
}

/// A model name; input that is no text is refused.
pub fn names(bytes: &[u8]) -> Taken {
    let Ok(name) = str::from_utf8(bytes) else {
        return Taken::Refused;
    };
    names::name(name);
    Taken::Accepted
}

/// A state file of `pin`.
pub fn pins(bytes: &[u8]) -> Taken {
    in_folder(|root| pins::pin(root, bytes))
}

/// The output of a runtime.
pub fn logs(bytes: &[u8]) -> Taken {
    logs::log(bytes);
    Taken::Accepted
}

/// A tree of files: the line `@ proc/cpuinfo` begins the file with that path, and its bytes follow. Input without such
/// a line is refused.
///
/// # Panics
/// If the property does not hold.
pub fn boards(bytes: &[u8]) -> Taken {
    let bytes = bytes.strip_prefix(b"@ ").unwrap_or_default();
    let files = split(bytes, b"\n@ ").filter_map(|file| {
        let (path, contents) = file.split_at(file.iter().position(|byte| *byte == b'\n')?);
        let path = Path::new(str::from_utf8(path).ok()?);
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
        (is_below && path.components().count() < 12).then_some((path, &contents[1..]))
    });
    in_folder(|root| {
        let mut taken = Taken::Refused;
        for (path, contents) in files {
            let path = root.join(path);
            // A name may be too long, or the name of a folder.
            let made = path.parent().map(fs::create_dir_all);
            if matches!(made, Some(Ok(()))) && fs::write(path, contents).is_ok() {
                taken = Taken::Accepted;
            }
        }
        boards::board(root);
        taken
    })
}

fn split<'a>(bytes: &'a [u8], separator: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let place = bytes
            .windows(separator.len())
            .position(|window| window == separator);
        rest = place.map(|place| &bytes[place + separator.len()..]);
        Some(place.map_or(bytes, |place| &bytes[..place]))
    })
}

fn in_folder<T>(run: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path())
}
