//! The output of a runtime, and the strings in its library.

use super::measured;
use crate::runtime::ffi::file_version::find_file_version;
use crate::runtime::ffi::library;

/// Memory that matching may take for any text, bytes: four patterns, each with a cache of at most 2 MB by default.
const PATTERNS_BYTES: usize = 8 << 20;
/// Compiling a pattern, at the first text or for each library.
const COMPILED_BYTES: usize = 4 << 20;

/// Values that are found in a log, or in a library with the same bytes, are parts of it.
pub(in crate::fuzz) fn log(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (line, cores, toolkit, version) = measured(bytes.len(), PATTERNS_BYTES + COMPILED_BYTES, 100, || {
        (
            library::find_version_line(&text),
            library::find_npu_cores(&text),
            library::find_toolkit(&text),
            find_file_version(bytes),
        )
    });
    let is_word = |word: &str| !word.is_empty() && !word.contains([' ', '\n', ',']) && text.contains(word);
    if let Some(line) = line {
        let driver = line.driver.as_deref();
        assert!(is_word(&line.runtime) && driver.is_none_or(is_word), "{line:?}");
        let platform = line.platform.as_deref();
        let is_line = |platform: &str| !platform.contains(['\r', '\n']) && text.contains(platform);
        assert!(platform.is_none_or(is_line), "{line:?}");
    }
    assert!(cores.is_none_or(|cores| text.contains(&cores.to_string())));
    assert!(toolkit.is_none_or(|toolkit| is_word(&toolkit)));
    if let Some(version) = version {
        assert!(is_word(&version) && version.split('.').count() == 3, "{version}");
    }
}
