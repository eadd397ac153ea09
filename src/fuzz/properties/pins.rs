//! State files of `pin`.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;

use super::{Taken, assert_readable, measured};
use crate::machine::board::Board;
use crate::machine::pin::knob::Knobs;
use crate::machine::pin::restore::restore;
use crate::machine::pin::state::{self, Left, StateFile};

/// Memory for reading a state file.
const ALLOWANCE: usize = 1 << 20;
const BYTES_A_BYTE: usize = 60;

/// Files that all exist and keep what is written.
#[derive(Default)]
struct Written(RefCell<Vec<(String, String)>>);

impl Knobs for Written {
    fn read(&self, path: &str) -> Option<String> {
        let written = self.0.borrow();
        let found = written.iter().rev().find(|(written, _)| written == path);
        found.map(|(_, value)| value.clone())
    }

    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        self.0.borrow_mut().push((path.to_owned(), value.to_owned()));
        Ok(())
    }
}

/// A state file below `root` is refused with its name, or restores plain values to the files of clocks only.
pub(in crate::fuzz) fn pin(root: &Path, bytes: &[u8]) -> Taken {
    let path = state::path(root);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(&path, bytes).expect("written");
    let board = Board::default();
    let left = measured(bytes.len(), ALLOWANCE, BYTES_A_BYTE, || {
        StateFile::left(root, &board)
    });
    let state = match left {
        Ok(Left::Pin(state) | Left::Outdated(state)) => state,
        Ok(Left::Nothing) => panic!("there is a file"),
        Err(error) => {
            let text = error.to_string();
            assert_readable(&text, 2000);
            assert!(text.contains("pin.json"), "{text}");
            return Taken::Refused;
        }
    };
    let files = Written::default();
    for fault in restore(state, &files).expect("the file can be removed") {
        assert_readable(&fault, 300);
    }
    for (path, value) in files.0.into_inner() {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_@:/".contains(c);
        let folders = [
            "sys/devices/system/cpu/cpufreq/policy",
            "sys/class/devfreq/",
            "sys/kernel/debug/rknpu/freq",
        ];
        assert!(folders.iter().any(|folder| path.starts_with(folder)), "{path}");
        assert!(path.chars().all(is_plain) && !path.contains("/."), "{path}");
        assert!(
            (1..=32).contains(&value.len()) && value.chars().all(is_plain),
            "{value}"
        );
    }
    Taken::Accepted
}
