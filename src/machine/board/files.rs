//! Reads system files so that none can hang, flood or stop the reader, whatever they contain.

use std::cell::RefCell;
use std::fs::{self};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::text::{field, plausible_hz};
use crate::base::file;
use crate::base::json::clip;

/// Most bytes read from a file. The values are near the beginning, even in `/proc/cpuinfo` of many CPUs.
const MOST_BYTES: u64 = 64 * 1024;
/// Most characters of the single value in a file.
const MOST_CHARACTERS: usize = 256;
/// Most entries read from a folder: `/proc` has one for each process.
const MOST_ENTRIES: usize = 100_000;
/// Most notes that are kept.
const MOST_NOTES: usize = 40;

/// The files below a root folder.
pub(crate) struct Files {
    root: PathBuf,
    notes: RefCell<Vec<String>>,
}

impl Files {
    /// The files below `root`.
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            notes: RefCell::default(),
        }
    }

    /// What exists but is unusable, each with its path, in the order found.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes.into_inner()
    }

    /// Notes a fault of `path`.
    pub(super) fn note(&self, path: &str, what: impl std::fmt::Display) {
        let mut notes = self.notes.borrow_mut();
        // The path may contain a name from a file.
        let note = clip(&format!("/{path}: {what}"));
        if notes.len() < MOST_NOTES && !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// The beginning of a file; absent, with a note, if it exists but cannot be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        match beginning(&self.root.join(path)) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                self.note_error(path, &error);
                None
            }
        }
    }

    /// The single value in a file, trimmed of white space and NUL; absent, with a note, if it is empty, too long, or
    /// has control characters.
    pub(crate) fn value(&self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        self.checked(path, text.trim_matches(|c: char| c.is_whitespace() || c == '\0'))
    }

    /// The value of a field in a file of `name: value` lines; absent, with a note, like [`Files::value`].
    pub(super) fn field(&self, path: &str, name: &str) -> Option<String> {
        let text = self.text(path)?;
        self.checked(path, &field(&text, name)?)
    }

    fn checked(&self, path: &str, value: &str) -> Option<String> {
        let wrong = if value.is_empty() {
            "empty"
        } else if value.chars().nth(MOST_CHARACTERS).is_some() {
            "too long for a value"
        } else if value.chars().any(char::is_control) {
            "control characters in a value"
        } else {
            return Some(value.to_owned());
        };
        self.note(path, wrong);
        None
    }

    /// The whole number in a file.
    pub(super) fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        let value = self.value(path)?;
        let number = value.parse().ok();
        if number.is_none() {
            self.note(path, "no number, or one too large");
        }
        number
    }

    /// The frequency in a file in units of `unit_hz`, Hz. Devfreq uses Hz, cpufreq kHz.
    pub(super) fn hz(&self, path: &str, unit_hz: u64) -> Option<u64> {
        let hz = self.number::<u64>(path).map(|number| number.checked_mul(unit_hz));
        self.plausible(path, hz?)
    }

    /// The frequencies in a file, like [`Files::hz`], ascending; empty if there are none.
    pub(super) fn all_hz(&self, path: &str, unit_hz: u64) -> Vec<u64> {
        let text = self.text(path).unwrap_or_default();
        let words = text.split_whitespace().take(MOST_CHARACTERS);
        let mut found: Vec<u64> = words
            .filter_map(|word| {
                let hz = word.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_hz));
                self.plausible(path, hz)
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn plausible(&self, path: &str, hz: Option<u64>) -> Option<u64> {
        let hz = hz.and_then(plausible_hz);
        if hz.is_none() {
            self.note(path, "not a possible frequency of a clock");
        }
        hz
    }

    /// The sorted names in a folder; empty if there is no such folder.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        self.try_names(path).unwrap_or_else(|error| {
            self.note_error(path, &error);
            Vec::new()
        })
    }

    /// The sorted names in a folder.
    pub(super) fn try_names(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.root.join(path))?.take(MOST_ENTRIES);
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Whether something exists at `path`.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The target of a link.
    pub(super) fn link(&self, path: &str) -> Option<PathBuf> {
        fs::read_link(self.root.join(path)).ok()
    }

    fn note_error(&self, path: &str, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {}
            io::ErrorKind::PermissionDenied => self.note(path, "no permission: root can read it (sudo)"),
            _ => self.note(path, error),
        }
    }
}

fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(name), bytes).expect("written");
        let files = Files::below(dir.path());
        (dir, files)
    }

    #[test]
    fn kilohertz_and_hertz() {
        let (_dir, files) = with("f", b"1800000\n");
        assert_eq!(files.hz("f", 1000), Some(1_800_000_000));
        assert_eq!(files.hz("f", 1), Some(1_800_000));
        assert_eq!(files.into_notes(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_frequency_is_absent_and_noted() {
        for bytes in [
            b"".as_slice(),
            b"fast",
            b"-1",
            b"0",
            b"18446744073709551615",
            b"99999999999999999999999",
            b"10\x0000",
            b"1.5e9",
            b"\xff\xfe",
        ] {
            let (_dir, files) = with("f", bytes);
            assert_eq!(files.hz("f", 1000), None, "{bytes:?}");
            let notes = files.into_notes();
            assert_eq!(notes.len(), 1, "{bytes:?}: {notes:?}");
            assert!(notes[0].starts_with("/f: "), "{notes:?}");
        }
        let (_dir, files) = with("f", b"0");
        assert_eq!(files.hz("other", 1), None);
        assert!(files.into_notes().is_empty(), "what is not there is no fault");
    }

    #[test]
    fn a_long_file_is_read_in_part() {
        let (_dir, files) = with("f", &vec![b'7'; 1_000_000]);
        assert_eq!(files.text("f").map(|text| text.len()), Some(64 * 1024));
        assert_eq!(files.value("f"), None);
    }

    #[test]
    fn a_field_is_no_longer_than_a_value_and_has_no_control_characters() {
        for value in ["x".repeat(300), "a\u{1b}[31m".into(), String::new()] {
            let (_dir, files) = with("f", format!("a: b\nmodel name\t: {value}\n").as_bytes());
            assert_eq!(files.field("f", "model name"), None);
            assert_eq!(files.into_notes().len(), 1, "{value:?}");
        }
    }
}
