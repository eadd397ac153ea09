//! Opens files that another user may have replaced with something else.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a regular file without blocking.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let regular = |is_file: bool| {
        let error = || io::Error::other("a folder, device, pipe or socket in a file's place");
        is_file.then_some(()).ok_or_else(error)
    };
    // Check before opening: opening a device can start it.
    regular(fs::metadata(path)?.is_file())?;
    // Non-blocking, in case it has become a pipe since.
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    regular(file.metadata()?.is_file())?;
    Ok(file)
}
