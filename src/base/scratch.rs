//! Temporary folders. If a process is killed, the next one removes its folder.
//!
//! Each folder has a lock file that its process holds; the kernel releases the lock when the process ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Once;

use tempfile::TempDir;

/// Prefix of their names.
const PREFIX: &str = "rkllm-bench-";
/// The lock file in each.
const LOCK: &str = ".in-use";

/// A private folder in the temporary directory; dropping this value removes it.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    /// Held until the folder is removed.
    _lock: File,
}

impl Scratch {
    /// Creates a folder. The first call of a process removes the folders of dead processes.
    pub(crate) fn new() -> io::Result<Self> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&std::env::temp_dir()));
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let lock = File::create_new(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders that dead processes of this user left. Failures are ignored: a later process tries again.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
        {
            let _ = remove_abandoned(&entry.path());
        }
    }
}

fn remove_abandoned(folder: &Path) -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let meta = folder.symlink_metadata()?;
    if !meta.is_dir() || meta.uid() != user {
        return Ok(());
    }
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(folder.join(LOCK))?;
    let meta = lock.metadata()?;
    if meta.is_file() && meta.uid() == user && lock.try_lock().is_ok() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_and_abandoned_is_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.join("deep")).expect("made");
            path
        };
        let with_lock = |name: &str| {
            let path = make(name);
            let lock = File::create_new(path.join(LOCK)).expect("made");
            (path, lock)
        };
        let (abandoned, _) = with_lock("rkllm-bench-1");
        let (in_use, lock) = with_lock("rkllm-bench-2");
        lock.lock().expect("locked");
        let (another, _) = with_lock("another-program");
        let without = make("rkllm-bench-3");
        let (target, _) = with_lock("target");
        let link = dir.path().join("rkllm-bench-4");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        sweep(dir.path());
        assert!(!abandoned.exists());
        for path in [in_use, another, without, target, link] {
            assert!(path.exists(), "{}", path.to_string_lossy());
        }
    }

    #[test]
    fn a_folder_is_gone_with_its_value() {
        let scratch = Scratch::new().expect("made");
        let path = scratch.path().to_owned();
        assert!(path.join(LOCK).is_file());
        drop(scratch);
        assert!(!path.exists());
    }
}
