//! Allows one run at a time. Two runs with one target folder would overwrite each other's results; two on one NPU would
//! disturb each other's figures.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::IS_HOST;
use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::paths;
use crate::base::signals;

/// Held until it is dropped or its process ends, for any reason.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// Interval between two attempts at a held lock.
const TICK: Duration = Duration::from_millis(100);

/// Takes the locks that a run needs, and waits for them up to `patience`.
///
/// # Errors
/// [`Error::Busy`] with the process that holds the lock, [`Error::NoResults`] if a lock cannot be created.
pub(crate) fn take_all(patience: Duration) -> Result<Vec<Lock>> {
    let end = Instant::now() + patience;
    let results = paths::criterion_home();
    let mut locks = vec![take_until(end, || {
        Lock::take(
            &results_lock(),
            &format!("the results in {}", results.shown()),
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
    let file = existing(&results_lock());
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn results_lock() -> PathBuf {
    paths::criterion_home().join("rkllm-bench.lock")
}

/// Waits for the lock file at `path` up to `patience`, and prints which process it waits for.
///
/// # Errors
/// As [`take_all`].
pub(crate) fn take_within(patience: Duration, path: &Path, what: &str, remedy: &str) -> Result<Lock> {
    take_until(Instant::now() + patience, || Lock::take(path, what, remedy))
}

fn take_until(end: Instant, take: impl Fn() -> Result<Lock>) -> Result<Lock> {
    let mut is_waiting = false;
    loop {
        match take() {
            Err(Error::Busy { what, holder, .. }) if Instant::now() < end && !signals::is_stopped() => {
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

/// The lock that all users and all target folders of the machine share.
fn npu_lock() -> PathBuf {
    machines_folder().join("rkllm-bench-npu.lock")
}

/// The folder for locks between users: `RKLLM_BENCH_LOCK_DIR`, else the first folder in which every user may create
/// files and none may remove those of others.
///
/// This depends on the machine and not on the user, so that all users find the same folder. Root also skips a
/// `/run/lock` that is writable for root only. `XDG_RUNTIME_DIR` belongs to one user and `TMPDIR` to one process.
fn machines_folder() -> PathBuf {
    let named = std::env::var_os("RKLLM_BENCH_LOCK_DIR").filter(|folder| !folder.is_empty());
    let shared = || {
        ["/run/lock", "/tmp"]
            .map(PathBuf::from)
            .into_iter()
            .find(|folder| is_shared(folder))
    };
    named
        .map(paths::given)
        .or_else(shared)
        .unwrap_or_else(std::env::temp_dir)
}

/// Whether all users may write to a folder, each only to their own files.
fn is_shared(folder: &Path) -> bool {
    const STICKY_AND_FOR_ALL: u32 = 0o1002;
    folder
        .metadata()
        .is_ok_and(|meta| meta.is_dir() && meta.mode() & STICKY_AND_FOR_ALL == STICKY_AND_FOR_ALL)
}

impl Lock {
    /// The file; it holds the lock until it is closed.
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// Locks the file at `path`, creates it if it is missing, and writes the id of this process into it.
    ///
    /// Another user may have put something at `path`. Any regular file is locked, whoever owns it, since a lock of
    /// another user excludes too. Only a file of this user that is already a lock is written to.
    pub(crate) fn take(path: &Path, what: &str, remedy: &str) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(refuse(folder))?;
        }
        for _ in 0..TRIES {
            let file = self::file(path).map_err(|error| match reason(&error) {
                Some(reason) => Error::Lock {
                    path: path.to_owned(),
                    what: what.to_owned(),
                    reason,
                },
                None => refuse(path)(error),
            })?;
            match file.try_lock() {
                // Another process may have removed it, and a third created a new one.
                Ok(()) if !is_at(&file, path) => {}
                Ok(()) => {
                    sign(&file);
                    return Ok(Self { file });
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy {
                        what: what.to_owned(),
                        holder: signature(&file).unwrap_or_else(|| "of another user".to_owned()),
                        remedy: remedy.to_owned(),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(refuse(path)(source)),
            }
        }
        Err(refuse(path)(std::io::Error::other(
            "the lock file is removed again and again",
        )))
    }
}

/// Attempts to open a lock file that another process keeps removing.
const TRIES: usize = 100;
/// Longest process id, bytes.
const MOST_OF_A_SIGNATURE: usize = 20;

fn refuse(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::NoResults { path, source }
}

/// Opens or creates the lock file at `path`; never follows a link.
pub(crate) fn file(path: &Path) -> std::io::Result<File> {
    match existing(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        outcome => return outcome,
    }
    // Never an existing file: in sticky folders the kernel refuses to open a file of another user with O_CREAT.
    let new = options().write(true).create_new(true).mode(0o644).open(path);
    match new {
        Ok(file) => {
            // Regardless of the umask: a user who cannot open it is not excluded by it.
            let _ = file.set_permissions(Permissions::from_mode(0o644));
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => existing(path),
        Err(error) => Err(error),
    }
}

/// Opens the file at `path` if it can be a lock. A file of another user may not be writable. Reading is enough to lock
/// it, except over NFS.
fn existing(path: &Path) -> std::io::Result<File> {
    let file = match options().write(true).open(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => options().open(path)?,
        outcome => outcome?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.nlink() > 1 {
        return Err(std::io::Error::other(NotALock));
    }
    Ok(file)
}

/// Does not follow links, wait for the other end of a pipe, or take a terminal.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    options
}

/// What is at the path of a lock and cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("it is a link, a folder, a device, or a file with a second hard link")]
struct NotALock;

/// Why a file cannot be a lock; absent for other errors.
fn reason(error: &std::io::Error) -> Option<String> {
    let is_link = error.raw_os_error() == Some(libc::ELOOP) || error.kind() == ErrorKind::IsADirectory;
    let is_none = error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotALock>);
    (is_link || is_none).then(|| NotALock.to_string())
}

/// Whether `path` still leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let place = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    let there = path.symlink_metadata().map(place);
    file.metadata()
        .map(place)
        .is_ok_and(|held| there.is_ok_and(|there| there == held))
}

/// The process id in a lock file; absent if it holds anything else.
fn signature(file: &File) -> Option<String> {
    let mut bytes = [0; MOST_OF_A_SIGNATURE];
    let length = file.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let id: u32 = text.trim().parse().ok()?;
    Some(id.to_string())
}

/// Writes the id of this process into a lock file of this user, for the message to processes that are refused. A
/// failure, for example on a full disk, is ignored. A file that holds something else stays unchanged: it may have been
/// moved there.
fn sign(file: &File) {
    let is_ours = file
        .metadata()
        .is_ok_and(|meta| meta.uid() == rustix::process::geteuid().as_raw() && meta.nlink() == 1);
    let is_lock = signature(file).is_some() || file.metadata().is_ok_and(|meta| meta.len() == 0);
    if is_ours && is_lock {
        let id = format!("{}\n", std::process::id());
        let _ = file.set_len(0).and_then(|()| file.write_all_at(id.as_bytes(), 0));
    }
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
        let waited = take_within(Duration::from_millis(1), &path, "the results", "wait");
        assert!(matches!(waited, Err(Error::Busy { .. })), "{waited:?}");
        drop(first);
        take_within(Duration::ZERO, &path, "the results", "wait").expect("free again");
    }

    /// Files that another user may put at the path of a lock, and a file that must not change.
    #[test]
    fn nothing_that_was_planted_is_followed_or_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let victim = dir.path().join("victim");
        let path = dir.path().join("lock");
        let plants: [&dyn Fn(); 4] = [
            &|| std::os::unix::fs::symlink(&victim, &path).expect("a link"),
            &|| std::fs::hard_link(&victim, &path).expect("a link"),
            &|| std::fs::create_dir(&path).expect("a folder"),
            &|| {
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &path,
                    rustix::fs::FileType::Fifo,
                    0o666.into(),
                    0,
                )
                .expect("a pipe");
            },
        ];
        for plant in plants {
            std::fs::write(&victim, "7\n").expect("written");
            plant();
            let error = Lock::take(&path, "the NPU", "wait")
                .expect_err("no lock")
                .to_string();
            assert!(error.contains("no lock for the NPU"), "{error}");
            assert_eq!(std::fs::read_to_string(&victim).expect("read"), "7\n");
            if path.is_dir() {
                std::fs::remove_dir(&path).expect("removed");
            } else {
                std::fs::remove_file(&path).expect("removed");
            }
        }
        // A file that was moved there excludes others and keeps its contents.
        std::fs::rename(&victim, &path).expect("moved");
        std::fs::write(&path, "precious\n").expect("written");
        let held = Lock::take(&path, "the NPU", "wait").expect("a file");
        Lock::take(&path, "the NPU", "wait").expect_err("held");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "precious\n");
        drop(held);
    }

    #[test]
    fn a_removed_lock_excludes_no_process() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("lock");
        let made = file(&path).expect("made");
        assert!(is_at(&made, &path));
        assert_eq!(path.metadata().expect("there").mode() & 0o777, 0o644);
        std::fs::remove_file(&path).expect("removed");
        let _other = file(&path).expect("made");
        assert!(!is_at(&made, &path));
    }

    #[test]
    fn a_folder_is_shared_where_all_may_write_and_none_may_remove() {
        let dir = tempfile::tempdir().expect("a folder");
        for (mode, shared) in [(0o1777, true), (0o777, false), (0o1755, false), (0o755, false)] {
            std::fs::set_permissions(dir.path(), Permissions::from_mode(mode)).expect("set");
            assert_eq!(is_shared(dir.path()), shared, "{mode:o}");
        }
    }
}
