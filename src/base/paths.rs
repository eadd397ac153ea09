//! Where files go, and which file a user means. All paths are absolute.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;

/// The target folder of the build that made this executable. It is `CARGO_TARGET_DIR` if that is absolute, else the
/// folder above the executable that cargo tagged as a cache. Otherwise it is a relative `CARGO_TARGET_DIR`, or
/// `target`, in the folder of the user.
///
/// A relative `CARGO_TARGET_DIR` comes last: cargo resolves it from the folder where cargo was called, and an
/// executable that is called later may be of another build.
pub fn target_dir() -> PathBuf {
    let named = variable("CARGO_TARGET_DIR");
    if let Some(dir) = named.as_ref().filter(|dir| dir.is_absolute()) {
        return dir.clone();
    }
    let executable = program();
    let tagged = executable
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file());
    match tagged {
        Some(dir) => dir.to_owned(),
        None => given(named.unwrap_or_else(|| "target".into())),
    }
}

/// Link to the running program, whatever happened to its file.
pub(crate) const RUNNING: &str = "/proc/self/exe";

/// The file that this program was started from; another file may have its name now.
pub(crate) fn program() -> PathBuf {
    let link = std::fs::read_link(RUNNING).unwrap_or_default();
    // The kernel marks a removed file like this; a file may also have such a name.
    match link.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(name) if !is_running(&link) => OsStr::from_bytes(name).into(),
        _ => link,
    }
}

/// Whether the file at `path` is the running program.
pub(crate) fn is_running(path: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|meta| (meta.dev(), meta.ino())).ok();
    identity(path).is_some_and(|file| identity(Path::new(RUNNING)) == Some(file))
}

/// Where criterion keeps its results: `CRITERION_HOME`, else `criterion` in the target folder.
pub fn criterion_home() -> PathBuf {
    variable("CRITERION_HOME").map_or_else(|| target_dir().join("criterion"), given)
}

/// A path from an option or a variable as an absolute one. A relative path starts in the folder of the user.
pub fn given(path: impl AsRef<Path>) -> PathBuf {
    users_folder().join(path)
}

fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

/// The folder in which the user gave the command. Cargo starts tests and benches in the folder of their package; the
/// folder of the user is the working directory of cargo itself.
fn users_folder() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let package = variable("CARGO_MANIFEST_DIR").and_then(|dir| dir.canonicalize().ok());
    if package.as_ref() == Some(&here) {
        folder_of_cargo().unwrap_or(here)
    } else {
        here
    }
}

/// The working directory of the nearest parent process that is cargo or a subcommand of it. The bench executable whose
/// worker this is, and a runner, may lie between.
fn folder_of_cargo() -> Option<PathBuf> {
    let mut process = rustix::process::getppid()?.as_raw_pid().to_string();
    for _ in 0..4 {
        let entry = Path::new("/proc").join(&process);
        let program = std::fs::read_link(entry.join("exe")).ok()?;
        if program.file_name()?.as_encoded_bytes().starts_with(b"cargo") {
            return std::fs::read_link(entry.join("cwd")).ok();
        }
        // The name in parentheses can hold anything; the state and the parent follow it.
        let stat = std::fs::read_to_string(entry.join("stat")).ok()?;
        stat.rsplit(')')
            .next()?
            .split_whitespace()
            .nth(1)?
            .clone_into(&mut process);
    }
    None
}

/// Default folder for run records.
pub fn runs_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("runs")
}

/// Default folder for reports.
pub fn reports_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("reports")
}

/// Folder for named baselines.
pub fn baselines_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("baselines")
}

/// Folder for built-in models.
pub fn cache_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("models")
}

/// Default folder for paired runs; each has a folder of its own.
pub fn ab_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("ab")
}

/// Folder for calibrations: one file for each set of settings that must be equal for figures to compare.
pub fn calibrations_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("calibrations")
}

/// Refuses `text` that is not UTF-8. Records and reports are JSON, which holds only UTF-8, and a path that differs from
/// the one on disk is useless.
///
/// # Errors
/// [`Error::BadParameter`] with its readable part.
pub(crate) fn check_utf8(what: &str, text: &OsStr) -> Result<()> {
    match text.to_str() {
        Some(_) => Ok(()),
        None => Err(Error::BadParameter(format!(
            "{what} is not UTF-8: {}; records and reports cannot hold such a name: rename it",
            text.shown()
        ))),
    }
}

/// Refuses arguments, path variables and paths of this process that are not UTF-8, before they are used.
///
/// # Errors
/// [`Error::BadParameter`] with the first of them.
pub(crate) fn check_surroundings() -> Result<()> {
    for argument in std::env::args_os().skip(1) {
        check_utf8("an argument", &argument)?;
    }
    for (name, value) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("RKLLM") || ["CARGO_TARGET_DIR", "CRITERION_HOME", "TMPDIR"].contains(&&*text) {
            check_utf8(&text, &value)?;
        }
    }
    for (what, place) in [
        (
            "the working directory",
            std::env::current_dir().unwrap_or_default(),
        ),
        ("this program's own path", program()),
    ] {
        check_utf8(what, place.as_os_str())?;
    }
    Ok(())
}

/// Most bytes of one part of a file name: a few parts, a time and a nonce stay below the limit of 255.
const MOST_OF_A_PART: usize = 60;
/// Hexadecimal digits of the digest that a changed name ends with. Eight digits could be a date.
const DIGITS: usize = 12;
/// Start of a changed name if nothing of the original is left.
const NAMELESS: &str = "name";

/// Characters of names that users type and that are part of file names: ASCII letters, digits, `.`, `_` and `-`.
pub(crate) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

/// Makes the name of a file or folder from any name. Every such name comes from this function.
///
/// The result has 1 to `most` bytes, where `most` must leave room for a digest. It holds only characters that `fits`
/// accepts, and begins with neither `.` nor `-`. So it is not hidden, no path to another folder and no option. `fits`
/// must accept neither `/` nor control characters.
///
/// A name that already fulfils this is kept. Any other name keeps its fitting characters and gets a digest of the
/// original. A kept name never ends like a changed one, so different names stay different.
pub(crate) fn folder_name(raw: &OsStr, most: usize, fits: fn(char) -> bool) -> String {
    match raw.to_str() {
        Some(name) if is_folder_name(name, most, fits) => name.to_owned(),
        _ => with_digest(raw, most, fits),
    }
}

/// Whether a name can be used as a folder name unchanged.
pub(crate) fn is_folder_name(name: &str, most: usize, fits: fn(char) -> bool) -> bool {
    let is_digest =
        |end: &str| end.len() == DIGITS && end.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (1..=most).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with(['.', '-'])
        && !name.rsplit_once('-').is_some_and(|(_, end)| is_digest(end))
}

/// The fitting characters of a name, and a digest of the whole name.
pub(crate) fn with_digest(raw: &OsStr, most: usize, fits: fn(char) -> bool) -> String {
    let mut head = String::new();
    for c in raw.to_string_lossy().chars() {
        if fits(c) {
            head.push(c);
        } else if !head.ends_with('-') {
            head.push('-');
        }
    }
    head.truncate(head.floor_char_boundary(most.saturating_sub(DIGITS + 1)));
    let head = match head.trim_matches([' ', '-', '_', '.', '/']) {
        "" => NAMELESS,
        head => head,
    };
    let digest = hex::encode(Sha256::digest(raw.as_encoded_bytes()));
    format!("{head}-{}", &digest[..DIGITS])
}

/// A name as part of a file name; see [`folder_name`].
pub(crate) fn name_part(name: &str) -> String {
    folder_name(name.as_ref(), MOST_OF_A_PART, is_plain)
}

/// Where the system finds a program: at its path, or in the folders of `PATH`.
pub(crate) fn find_program(word: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if word.contains('/') {
        return Some(PathBuf::from(word)).filter(is_program);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join(word));
    found.find(|path| !word.is_empty() && is_program(path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::ffi::OsStrExt as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_of_a_files_name_is_short_plain_and_still_its_own() {
        for name in ["Qwen2.5-0.5B_w8a8", "a", "a-20240115", "a..b", "x-0123456789ag"] {
            assert_eq!(name_part(name), name);
        }
        // SHA-256 of the name, by another program.
        assert_eq!(name_part("a b/c:d é"), "a-b-c-d-d1305b425567");
        let long = |end: &str| name_part(&("m".repeat(300) + end));
        assert_eq!(long("1").len(), MOST_OF_A_PART);
        assert_ne!(long("1"), long("2"));
        for name in ["", ".", "..", "...", "/", "../..", "-", "--help", ".hidden"] {
            let made = name_part(name);
            assert_eq!(
                Path::new("a").join(&made).components().count(),
                2,
                "{name} became {made}"
            );
            assert!(!made.starts_with(['.', '-']), "{name} became {made}");
        }
        let made = name_part("a b");
        assert_ne!(name_part(&made), made, "it would be that of another name");
    }

    /// Random bytes, with many that have a meaning in paths.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::sample::select(b"./-_\\ \0\n:ab0\x1b\x7f\xff".to_vec()),
            any::<u8>(),
        ];
        proptest::collection::vec(piece, 0..90)
    }

    proptest! {
        #[test]
        fn any_bytes_become_the_name_of_one_folder(names in proptest::collection::vec(bytes(), 1..20)) {
            let mut made = BTreeMap::new();
            for raw in names {
                let name = folder_name(OsStr::from_bytes(&raw), MOST_OF_A_PART, is_plain);
                prop_assert!((1..=MOST_OF_A_PART).contains(&name.len()), "{name}");
                prop_assert!(name.chars().all(is_plain), "{name}");
                prop_assert!(!name.starts_with(['.', '-']), "{name}");
                // It also differs from the name of the name that it is.
                for raw in [name.clone().into_bytes(), raw] {
                    let again = folder_name(OsStr::from_bytes(&raw), MOST_OF_A_PART, is_plain);
                    let other = made.insert(again, raw.clone());
                    prop_assert!(other.is_none_or(|other| other == raw), "{name}");
                }
            }
        }
    }
}
