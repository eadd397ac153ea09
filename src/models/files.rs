//! What the files in a model's place are, and which of them make up one model.

use crate::number::Long as _;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::board;
use crate::error::{Error, Result};

/// What a file is to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "host"),
    expect(dead_code, reason = "of an NPU runtime's file nothing is known")
)]
pub(super) enum Kind {
    /// A model, or a part of one, with all of the model's files in order.
    Model(Vec<PathBuf>),
    /// Something that cannot be run, and why.
    Unfit(String),
    /// A part of a model that is not whole, and why.
    Incomplete(String),
}

impl Kind {
    /// Of the file at `path`, by its metadata. What cannot be read passes for a model: loading it says what is wrong.
    #[cfg(feature = "host")]
    pub(super) fn of(path: &Path) -> Self {
        use rkllmrt::model_file::{look, shards};

        let is_file = path.metadata().is_ok_and(|meta| meta.is_file());
        let Some(file) = is_file.then(|| look(path).ok()).flatten() else {
            return Self::Model(vec![path.to_owned()]);
        };
        if let Some(reason) = file.unfit {
            return Self::Unfit(reason);
        }
        if !file.has_tokenizer || !file.has_embedding {
            let lacks = if file.has_tokenizer {
                "embedding layer"
            } else {
                "tokenizer"
            };
            return Self::Unfit(format!("it carries no {lacks}"));
        }
        shards(path, file.shard).map_or_else(Self::Incomplete, Self::Model)
    }

    /// Of an NPU runtime's file nothing is known before it is loaded.
    #[cfg(not(feature = "host"))]
    pub(super) fn of(path: &Path) -> Self {
        Self::Model(vec![path.to_owned()])
    }
}

/// The files of the model that is loaded from `path`: itself, or all of its shards.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    match Kind::of(path) {
        Kind::Model(files) => files,
        Kind::Unfit(_) | Kind::Incomplete(_) => vec![path.to_owned()],
    }
}

/// Size in bytes and SHA-256, hexadecimal, of a model: of its file, or of its shards one after the other, as
/// `cat … | sha256sum` has it.
///
/// # Errors
/// [`Error::Io`].
pub fn measure(path: &Path) -> Result<(u64, String)> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    for file in files_of(path) {
        bytes += add(&file, &mut hash).map_err(Error::io(file))?;
    }
    Ok((bytes, hex::encode(hash.finalize())))
}

fn add(path: &Path, hash: &mut Sha256) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 20, board::files::open(path)?);
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(bytes);
        }
        hash.update(&buffer[..count]);
        bytes += count.long();
    }
}

/// What the name of a model's first file says without its ending, and without its place among the shards.
pub(super) fn stem(path: &Path, files: usize) -> PathBuf {
    let stem = PathBuf::from(path.file_stem().unwrap_or_default());
    let ending = format!("-00001-of-{files:05}");
    let text = stem.to_string_lossy();
    match text.strip_suffix(&ending) {
        Some(name) if files > 1 => name.into(),
        _ => stem,
    }
}
