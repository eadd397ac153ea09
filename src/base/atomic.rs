//! Atomic, durable file writes: write beside the target, sync, rename, sync the folder.
//!
//! After a power cut the file has the old contents or the new ones. Once the call has returned, it has the new ones. A
//! sync takes milliseconds, so nothing here is called between the time stamps of an inference.

use std::fs::{File, Permissions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;

use crate::base::error::{Error, Result};

/// What to do with a file that already exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// The new file replaces it.
    Replace,
    /// It stays, and the call fails with [`std::io::ErrorKind::AlreadyExists`].
    Keep,
}

/// Writes `value` to `path` as one line of JSON; see [`write()`].
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize, existing: Existing) -> Result<()> {
    write(path, existing, |writer| {
        serde_json::to_writer(&mut *writer, value)?;
        writer.write_all(b"\n")
    })
}

/// Writes the file at `path` with `contents` and creates missing parent folders. After a failure `path` is unchanged,
/// unless the failure was the last step, the sync of the folder.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write(
    path: &Path,
    existing: Existing,
    contents: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let dir = folder_of(path);
    make_folder(dir)?;
    let mut file = tempfile::Builder::new()
        // The mode of any other new file, reduced by the umask: other users may read the results.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(Error::io(dir))?;
    let mut writer = BufWriter::new(&mut file);
    contents(&mut writer)
        // Dropping the writer would ignore an error while its last bytes are written, for example on a full disk.
        .and_then(|()| writer.flush())
        .map_err(Error::io(path))?;
    drop(writer);
    // A file system may store the new name before the contents.
    file.as_file().sync_all().map_err(Error::io(path))?;
    match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    }
    .map_err(|error| Error::Io {
        path: path.to_owned(),
        source: error.error,
    })?;
    sync_folder(dir)
}

/// Renames a file that is already stored, within one file system.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(Error::io(to))?;
    sync_folder(folder_of(to))
}

/// Creates a missing folder and its missing parents, and syncs each of them.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        .collect();
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    missing
        .into_iter()
        .try_for_each(|made| sync_folder(folder_of(made)))
}

/// Syncs the files that another writer left in a folder, and the folders from it up to `root`.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn sync_files(folder: &Path, root: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.is_file() {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(Error::io(&path))?;
        }
    }
    let above = folder.ancestors().take_while(|above| above.starts_with(root));
    above.into_iter().try_for_each(sync_folder)
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Syncs a folder. Some file systems cannot, and a folder may be write-only; both are ignored.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    match synced {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Err(Error::io(folder)(error))
        }
        _ => Ok(()),
    }
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
        assert_eq!(mode(&path), mode(&plain), "the umask decides who may read it");
        write_json(&path, &3, Existing::Replace).expect("replaced");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "3\n");
        let left = std::fs::read_dir(dir.path().join("deep")).expect("listed");
        assert_eq!(left.count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_name_is_stored_or_the_error_is_reported() {
        let dir = tempfile::tempdir().expect("a folder");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, "text").expect("written");
        rename(&from, &to).expect("renamed");
        assert!(!from.exists() && std::fs::read_to_string(&to).expect("read") == "text");
        let is_missing = |outcome: Result<()>| {
            let Err(Error::Io { source, .. }) = outcome else {
                return false;
            };
            source.kind() == ErrorKind::NotFound
        };
        assert!(is_missing(rename(&from, &to)));
        assert!(is_missing(sync_folder(&from)));
        assert!(is_missing(sync_files(&from, dir.path())));
        sync_folder(dir.path()).expect("stored");
        // A file system that stores nothing cannot sync a folder, and that is no error.
        sync_folder(Path::new("/proc")).expect("nothing more can be done");
    }
}
