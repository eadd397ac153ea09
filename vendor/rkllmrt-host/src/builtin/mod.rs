//! Models that need no download: the dimensions of real ones, with seeded pseudo-random weights.
//!
//! Their speed is real and their text is noise. A file is the same to the byte on every machine: weights are made by
//! integer arithmetic and by floating-point operations without rounding.

mod draft;
mod gguf;
mod shape;
mod vocabulary;
mod weights;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

pub use shape::Shape;

/// Which bytes [`write()`] writes: raised whenever those of any built-in model change. A program that keeps the files
/// has it in their path, so that it never takes an older one for the present one.
pub const REVISION: u32 = 2;

/// Writes a model of `shape` as a GGUF file. The file is made beside `path` and renamed, so that whoever finds it
/// finds it whole, also when two processes write the same one; a missing directory is made.
///
/// Up to eight threads, as many as there are CPUs, make the weights, each a megabyte at a time: the memory that it
/// takes grows with the vocabulary and not with the weights, and is below 64 MB for each of [`Shape::ALL`].
///
/// # Errors
///
/// `InvalidInput` for a shape that no model can have, else what the file system answered.
pub fn write(shape: &Shape, path: &Path) -> io::Result<()> {
    if let Some(defect) = shape.defect() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("built-in model {}: {defect}", shape.name),
        ));
    }
    if let Some(directory) = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        fs::create_dir_all(directory)?;
    }
    let draft = draft_path(path);
    let written = draft::write(shape, &draft).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Beside `path`, and of no other writer in this or another process.
fn draft_path(path: &Path) -> PathBuf {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(
        ".{}-{}.draft",
        process::id(),
        WRITERS.fetch_add(1, Ordering::Relaxed)
    ));
    path.with_file_name(name)
}
