//! One run at a time: two on one target folder would overwrite each other's results, two on one NPU each other's
//! figures.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::console::say;
use crate::error::{Error, Result};
use crate::ffi::library::IS_HOST;
use crate::paths;

/// Held until it is dropped, or until its process ends, however that happens.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// How often a held lock is tried again.
const TICK: Duration = Duration::from_millis(100);

/// Takes what a run must have for itself, and waits for it as long as `patience`.
///
/// # Errors
/// [`Error::Busy`] with the holder's process, [`Error::NoResults`] when a lock cannot be made.
pub(crate) fn take_all(patience: Duration) -> Result<Vec<Lock>> {
    let end = Instant::now() + patience;
    let results = paths::criterion_home();
    let mut locks = vec![take_until(end, || {
        Lock::take(
            &results_lock(),
            &format!("the results in {}", results.display()),
            "wait for it, or give this run a folder of its own: CRITERION_HOME=<folder>",
        )
    })?];
    if !IS_HOST {
        locks.push(take_until(end, || {
            Lock::take(
                &npu_lock(),
                "the NPU",
                "wait for it: two runs on one NPU slow each other down",
            )
        })?);
    }
    Ok(locks)
}

/// Whether a measuring run is under way with this target folder.
pub(crate) fn is_held() -> bool {
    let file = File::open(results_lock());
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn results_lock() -> PathBuf {
    paths::criterion_home().join("rkllm-bench.lock")
}

fn take_until(end: Instant, take: impl Fn() -> Result<Lock>) -> Result<Lock> {
    let mut is_waiting = false;
    loop {
        match take() {
            Err(Error::Busy { what, holder, .. }) if Instant::now() < end => {
                if !is_waiting {
                    say(format_args!("waiting for process {holder}: {what}"));
                }
                is_waiting = true;
                std::thread::sleep(TICK);
            }
            outcome => return outcome,
        }
    }
}

/// The same for every user and every target folder of the machine.
fn npu_lock() -> PathBuf {
    std::env::temp_dir().join("rkllm-bench-npu.lock")
}

impl Lock {
    /// Locks the file at `path`, which is made where it is missing, and writes this process's id into it.
    pub(crate) fn take(path: &Path, what: &str, remedy: &str) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(refuse(folder))?;
        }
        let mut file = open(path).map_err(refuse(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(Error::Busy {
                    what: what.to_owned(),
                    holder: holder.trim().to_owned(),
                    remedy: remedy.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(refuse(path)(source));
            }
        }
        // Whoever is refused reads it. That it could not be written, as on a full disk, is no reason not to run.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

fn refuse(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::NoResults { path, source }
}

/// A lock file of another user may not be writable; to lock it, reading is enough.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).or_else(|_| File::open(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_firsts_process() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("new/lock");
        let first = Lock::take(&path, "the results", "wait").expect("free");
        let text = Lock::take(&path, "the results", "wait")
            .expect_err("held")
            .to_string();
        assert!(
            text.contains("the results") && text.contains(&std::process::id().to_string()),
            "{text}"
        );
        drop(first);
        Lock::take(&path, "the results", "wait").expect("free again");
    }
}
