//! Files that are whole at every moment: written beside their place first, then renamed into it.

use std::fs::Permissions;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// What to do with a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It makes way for the new one.
    Replace,
    /// It stays, and the call fails with [`std::io::ErrorKind::AlreadyExists`].
    Keep,
}

/// Writes `value` to `path` as one line of JSON, and makes the folders above it. After a failure `path` is as it was.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize, existing: Existing) -> Result<()> {
    write_with(path, existing, |writer| {
        serde_json::to_writer(&mut *writer, value)?;
        writer.write_all(b"\n")
    })
}

/// Writes `bytes` to `path`, likewise.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write(path: &Path, bytes: &[u8], existing: Existing) -> Result<()> {
    write_with(path, existing, |writer| writer.write_all(bytes))
}

fn write_with(
    path: &Path,
    existing: Existing,
    content: impl FnOnce(&mut BufWriter<&mut NamedTempFile>) -> std::io::Result<()>,
) -> Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    let mut file = tempfile::Builder::new()
        // As any other new file, for the umask to take away from: others may read what is measured.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(Error::io(dir))?;
    let mut writer = BufWriter::new(&mut file);
    content(&mut writer)
        // Dropped instead, the writer would lose its last bytes on a full disk without a word.
        .and_then(|()| writer.flush())
        .map_err(Error::io(path))?;
    drop(writer);
    match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    }
    .map_err(|error| Error::Io {
        path: path.to_owned(),
        source: error.error,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_unless_it_is_to_be_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("deep/file.json");
        write_json(&path, &1, Existing::Keep).expect("nothing was there");
        assert!(matches!(
            write_json(&path, &2, Existing::Keep),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists
        ));
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "1\n");
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "").expect("written");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode();
        assert_eq!(mode(&path), mode(&plain), "who may read it is the umask's to say");
        write_json(&path, &3, Existing::Replace).expect("replaced");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "3\n");
        let left = std::fs::read_dir(dir.path().join("deep")).expect("listed");
        assert_eq!(left.count(), 1, "nothing is left beside it");
    }
}
