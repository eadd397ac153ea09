//! Checks that the loaded library is the chosen one and fits the header.
//!
//! cargo puts its own directories on the library path before any rpath, so the name of a library is not enough. The
//! dynamic linker names the loaded file (`dladdr`), and its SHA-256 is compared with that of the library of the
//! build.
//!
//! The ABI has no version. It is read from the file before any call that passes a struct, and from the line that
//! `rkllm_init` prints. A library of an unknown release is accepted only if the program was built with it
//! ([`Pairing::OneSdk`]). The layouts are then those of its own header, and a trial run is made before the first
//! measured run.
//!
//! ```
//! use rkllm_bench::ffi::library;
//!
//! let library = library::verify(None)?;
//! assert_eq!(library.name == "rkllmrt-host", library::IS_HOST);
//! println!("{} from {}", library.name, library.path.display());
//! # Ok::<(), rkllm_bench::Error>(())
//! ```

use crate::inference::{Library, Pairing, VersionLine};
use std::ffi::{CStr, OsStr, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use once_cell::sync::OnceCell;
use regex::Regex;
use sha2::{Digest, Sha256};

use super::file_version::find_file_version;
use super::releases::{UNKNOWN_SHAPE, pairing};
use super::sys;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::paths;

pub use super::releases::{NEWEST_RELEASE, OLDEST_RELEASE};

/// Environment variable with the path of a library to use instead of the one of the build.
pub const LIBRARY_VARIABLE: &str = "RKLLM_LIBRARY";

/// The library of the build. All are empty for the host runtime. The version is also empty if the file has none.
const BUILT_WITH_PATH: &str = env!("RKLLM_BENCH_LIBRARY_PATH");
const BUILT_WITH_SHA256: &str = env!("RKLLM_BENCH_LIBRARY_SHA256");
const BUILT_WITH_VERSION: &str = env!("RKLLM_BENCH_LIBRARY_VERSION");

pub use crate::base::IS_HOST;

impl Library {
    /// Whether it is from the SDK of the build.
    fn is_of_built_sdk(&self, version: &str) -> bool {
        is_of_built_sdk(version, self.sha256.as_deref())
    }
}

/// Checks that the loaded library is the chosen one and fits the header. Checks once and keeps the result.
///
/// `trusted_version` is the version of a file that has none. If [`Library::pairing`] is [`Pairing::OneSdk`], the
/// layouts are unconfirmed. [`crate::measure::run::Run`] then makes a trial inference before it measures.
///
/// # Errors
/// [`Error::WrongLibrary`], [`Error::VersionMismatch`], [`Error::NoVersion`], or [`Error::Io`] when the library's
/// file cannot be read.
pub fn verify(trusted_version: Option<&str>) -> Result<&'static Library> {
    static VERIFIED: OnceCell<Library> = OnceCell::new();
    VERIFIED.get_or_try_init(|| {
        // SAFETY: takes the address of a function, calls nothing.
        let library = object_with(unsafe { sys::rkb_library_address() })?;
        if IS_HOST {
            verify_host(&library)
        } else {
            verify_sdk(library.path()?, trusted_version)
        }
    })
}

/// Generation of the RKLLM API in the header in use, such as `1.3.0`. It is `unknown` if no known release has such a
/// header.
pub fn header_generation() -> &'static str {
    // SAFETY: the guard returns a pointer to a static that is initialised once and never changes.
    let abilities = unsafe { sys::rkb_header_abilities() };
    // SAFETY: as above; the pointer is never NULL.
    let abilities = unsafe { &*abilities };
    // SAFETY: `generation` points to a string literal of the guard.
    unsafe { CStr::from_ptr(abilities.generation) }
        .to_str()
        .unwrap_or("unknown")
}

/// Finds the version line in the output of `rkllm_init`.
pub fn find_version_line(log: &str) -> Option<VersionLine> {
    static PATTERN: OnceCell<Regex> = OnceCell::new();
    let pattern = PATTERN
        .get_or_try_init(|| {
            Regex::new(
                r"rkllm-runtime version: (?<runtime>[^\s,]+)(?:, rknpu driver version: (?<driver>[^\s,]+))?(?:, platform: (?<platform>[^\r\n]+))?",
            )
        })
        .ok()?;
    let found = pattern.captures(log)?;
    let part = |name: &str| found.name(name).map(|part| part.as_str().trim().to_owned());
    Some(VersionLine {
        runtime: part("runtime")?,
        driver: part("driver"),
        platform: part("platform"),
    })
}

/// Finds the number of NPU cores of the model's conversion in the output of `rkllm_init` (`npu_core_num: 3`).
pub fn find_npu_cores(log: &str) -> Option<u8> {
    static PATTERN: OnceCell<Regex> = OnceCell::new();
    let pattern = PATTERN
        .get_or_try_init(|| Regex::new(r"npu_core_num: (\d+)"))
        .ok()?;
    pattern.captures(log)?.get(1)?.as_str().parse().ok()
}

/// Finds the version of the toolkit that converted the model in the output of `rkllm_init` (`toolkit version:
/// 1.2.3`). Absent if the runtime does not know it.
pub fn find_toolkit(log: &str) -> Option<String> {
    static PATTERN: OnceCell<Regex> = OnceCell::new();
    let pattern = PATTERN
        .get_or_try_init(|| Regex::new(r"toolkit version: (\d[^\s,]*)"))
        .ok()?;
    Some(pattern.captures(log)?.get(1)?.as_str().to_owned())
}

/// Compares the version that the runtime printed with the header, and with the pairing of `library`.
///
/// # Errors
/// [`Error::VersionMismatch`].
pub fn verify_version_line(library: &Library, line: &VersionLine) -> Result<()> {
    let seen_in = "printed by rkllm_init";
    let version = &line.runtime;
    let printed = check_pairing(version, seen_in, library.is_of_built_sdk(version))?;
    if printed == library.pairing || library.pairing == Pairing::OneSdk {
        return Ok(());
    }
    Err(mismatch(version, seen_in))
}

/// Has an address in the same object as this code.
static OF_THE_PROGRAM: u8 = 0;

fn verify_host(library: &Object) -> Result<Library> {
    let executable = paths::program();
    // Compares addresses, because the caller chooses the program's name, which the linker repeats.
    let own = object_with((&raw const OF_THE_PROGRAM).cast())?;
    if library.start != own.start {
        return Err(Error::WrongLibrary {
            loaded: library.name.shown().to_string(),
            chosen: format!("the host runtime inside {}", executable.shown()),
            loaded_path: library.name.shown().to_string(),
        });
    }
    Ok(Library {
        path: executable,
        name: "rkllmrt-host".into(),
        file_version: None,
        sha256: None,
        pairing: Pairing::Known,
    })
}

fn verify_sdk(path: PathBuf, trusted_version: Option<&str>) -> Result<Library> {
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    let sha256 = sha256_hex(&bytes);
    check_chosen(&path, &sha256)?;
    let found = find_file_version(&bytes);
    let (version, seen_in) = match (&found, trusted_version) {
        (Some(version), _) => (version.as_str(), "read from the file"),
        (None, Some(version)) => (version, "given by --trust-sdk-version"),
        (None, None) => return Err(no_version(path)),
    };
    let pairing = check_pairing(version, seen_in, is_of_built_sdk(version, Some(&sha256)))?;
    let name = path
        .file_name()
        .map_or_else(|| "librkllmrt.so".into(), |name| name.to_string_lossy().into());
    Ok(Library {
        path,
        name,
        file_version: found,
        sha256: Some(sha256),
        pairing,
    })
}

fn no_version(path: PathBuf) -> Error {
    let shape = header_generation();
    Error::NoVersion {
        path,
        header: in_words(shape),
        release: if shape == UNKNOWN_SHAPE {
            "<release>"
        } else {
            shape
        }
        .to_owned(),
    }
}

/// The chosen library is the one in `RKLLM_LIBRARY`, or that of the build. Compares contents and not paths, because a
/// bench executable that was copied to a board finds the same library elsewhere.
fn check_chosen(loaded: &Path, loaded_sha256: &str) -> Result<()> {
    let (chosen, chosen_sha256) = match std::env::var_os(LIBRARY_VARIABLE) {
        Some(path) if !path.is_empty() => {
            let path = paths::given(path);
            let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
            (path, sha256_hex(&bytes))
        }
        _ => (BUILT_WITH_PATH.into(), BUILT_WITH_SHA256.to_owned()),
    };
    if loaded_sha256 == chosen_sha256 {
        return Ok(());
    }
    Err(Error::WrongLibrary {
        loaded: format!("{} (SHA-256 {loaded_sha256})", loaded.shown()),
        chosen: format!("{} (SHA-256 {chosen_sha256})", chosen.shown()),
        loaded_path: loaded.shown().to_string(),
    })
}

/// A program or a library in memory.
struct Object {
    /// Its first address.
    start: usize,
    /// The linker's name for it. For a library this is the file, for a program it may be anything.
    name: PathBuf,
}

impl Object {
    /// The file of a library.
    fn path(&self) -> Result<PathBuf> {
        let path = std::fs::canonicalize(&self.name).map_err(Error::io(&self.name))?;
        paths::check_utf8("the path of the runtime's library", path.as_os_str())?;
        Ok(path)
    }
}

/// The object that contains a function.
fn object_with(function: *const c_void) -> Result<Object> {
    // SAFETY: `Dl_info` is plain old data for which all zeroes is a valid value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is writable and `dladdr` accepts any address.
    let found = unsafe { libc::dladdr(function, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return Err(Error::BadParameter(
            "dladdr does not know the library of rkllm_init".into(),
        ));
    }
    // SAFETY: on success `dli_fname` is a NUL-terminated string that lives as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Ok(Object {
        start: info.dli_fbase.addr(),
        name: OsStr::from_bytes(name.to_bytes()).into(),
    })
}

/// Whether a library is that of the build, or has the same release. The header of the build then belongs to it.
fn is_of_built_sdk(version: &str, sha256: Option<&str>) -> bool {
    !IS_HOST && (sha256 == Some(BUILT_WITH_SHA256) || version == BUILT_WITH_VERSION)
}

fn check_pairing(version: &str, seen_in: &str, one_sdk: bool) -> Result<Pairing> {
    pairing(version, header_generation(), one_sdk).ok_or_else(|| mismatch(version, seen_in))
}

fn mismatch(version: &str, seen_in: &str) -> Error {
    Error::VersionMismatch {
        library: version.to_owned(),
        header: in_words(header_generation()),
        seen_in: seen_in.to_owned(),
    }
}

fn in_words(shape: &str) -> String {
    if shape == UNKNOWN_SHAPE {
        "of no known generation".to_owned()
    } else {
        format!("of generation {shape}")
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_line_with_driver_and_platform() {
        let line = find_version_line(
            "I rkllm: rkllm-runtime version: 1.2.3, rknpu driver version: 0.9.8, platform: RK3588\nI rkllm: x\n",
        );
        assert_eq!(
            line,
            Some(VersionLine {
                runtime: "1.2.3".into(),
                driver: Some("0.9.8".into()),
                platform: Some("RK3588".into())
            })
        );
    }

    #[test]
    fn version_line_of_old_releases_has_the_version_alone() {
        let line = find_version_line("rkllm-runtime version: 1.0.1\n");
        assert_eq!(
            line,
            Some(VersionLine {
                runtime: "1.0.1".into(),
                driver: None,
                platform: None
            })
        );
    }

    #[test]
    fn npu_cores_and_toolkit_of_a_model() {
        let line = "I rkllm: toolkit version: 1.2.3, max_context_limit: 4096, npu_core_num: 3, target_platform: RK3588\n";
        assert_eq!(find_npu_cores(line), Some(3));
        assert_eq!(find_toolkit(line), Some("1.2.3".into()));
        assert_eq!(
            find_toolkit("I rkllm: toolkit version: unknown, npu_core_num: 1\n"),
            None
        );
        assert_eq!(find_npu_cores("I rkllm: loaded\n"), None);
    }

    #[test]
    fn no_version_line() {
        assert_eq!(find_version_line("E rkllm: invalid rkllm model!\n"), None);
    }

    #[test]
    fn file_version_is_found_between_other_bytes() {
        assert_eq!(
            find_file_version(b"\x00\xffRKLLM SDK (version: 1.2.3 (abc\x00"),
            Some("1.2.3".into())
        );
        assert_eq!(
            find_file_version(b"\x01rkllm-runtime version: 1.1.4, rknpu\x00"),
            Some("1.1.4".into())
        );
        assert_eq!(
            find_file_version(b"\x01rkllm-runtime version: %s, rknpu\x00"),
            None
        );
    }

    #[test]
    fn an_unknown_version_is_a_mismatch_that_names_both() {
        let error = check_pairing("9.9.9", "read from the file", false).expect_err("unknown release");
        let text = error.to_string();
        assert!(
            text.contains("9.9.9") && text.contains(header_generation()),
            "{text}"
        );
    }
}
