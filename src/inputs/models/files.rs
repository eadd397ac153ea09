//! Classifies model files, and finds the files of one model.

use crate::base::file;
use crate::base::foreign::Shown as _;
use crate::base::number::Long as _;
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::base::error::{Error, Result};

/// The role of a file in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "host"),
    expect(dead_code, reason = "the file of an NPU runtime is not examined")
)]
pub(super) enum Kind {
    /// A model or a part of one, with all files of the model in order.
    Model(Vec<PathBuf>),
    /// A file that cannot be run, and why.
    Unfit(String),
    /// A part of an incomplete model, and why.
    Incomplete(String),
}

impl Kind {
    /// Classifies the file at `path` by its metadata. An unreadable file counts as a model: loading it reports the
    /// fault.
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
            return Self::Unfit(format!("it has no {lacks}"));
        }
        shards(path, file.shard).map_or_else(Self::Incomplete, Self::Model)
    }

    /// The file of an NPU runtime is unknown before it is loaded.
    #[cfg(not(feature = "host"))]
    pub(super) fn of(path: &Path) -> Self {
        Self::Model(vec![path.to_owned()])
    }
}

/// The files of the model at `path`: itself, or all of its shards.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    match Kind::of(path) {
        Kind::Model(files) => files,
        Kind::Unfit(_) | Kind::Incomplete(_) => vec![path.to_owned()],
    }
}

/// Size in bytes and SHA-256, hexadecimal, of a model: of its file, or of its concatenated shards, like `cat … |
/// sha256sum`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Model`] if the model is being written.
pub fn measure(path: &Path) -> Result<(u64, String)> {
    Identity::of(path).map(|identity| (identity.bytes, identity.sha256))
}

/// The identity of the model at a path, by the contents of its files.
#[derive(Debug)]
pub(crate) struct Identity {
    path: PathBuf,
    pub(crate) bytes: u64,
    /// Hexadecimal.
    pub(crate) sha256: String,
    /// The state of the files when they were read.
    states: Vec<State>,
}

/// Metadata that changes when a file is written or replaced.
#[derive(Debug, PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Times of the last modification and of the last status change: seconds and nanoseconds.
    times: [(i64, i64); 2],
}

impl State {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = path.metadata()?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.len(),
            times: [
                (meta.mtime(), meta.mtime_nsec()),
                (meta.ctime(), meta.ctime_nsec()),
            ],
        })
    }
}

impl Identity {
    /// Reads the whole model.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Model`] if it is being written.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let files = files_of(path);
        let before = states(&files)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        for file in &files {
            bytes += add(file, &mut hash).map_err(Error::io(file))?;
        }
        if states(&files)? != before {
            return Err(Error::Model(format!(
                "{} changed while it was read: wait until it is written",
                path.shown()
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            bytes,
            sha256: hex::encode(hash.finalize()),
            states: before,
        })
    }

    /// Checks that the path still leads to this model; if not, says what happened to it. The files are read again only
    /// if they were moved or written.
    pub(crate) fn check(&mut self) -> std::result::Result<(), String> {
        let path = self.path.shown();
        let same = states(&files_of(&self.path)).is_ok_and(|states| states == self.states);
        if same {
            return Ok(());
        }
        match Self::of(&self.path) {
            Ok(now) if now.sha256 == self.sha256 => {
                self.states = now.states;
                Ok(())
            }
            Ok(now) => Err(format!(
                "{path} became another model while it was measured: SHA-256 {} before, {} now; measure again",
                self.sha256, now.sha256
            )),
            Err(error) => Err(format!(
                "{path} was replaced or written while it was measured, and cannot be read now: {error}; measure again"
            )),
        }
    }
}

fn states(files: &[PathBuf]) -> Result<Vec<State>> {
    let state = |file: &PathBuf| State::of(file).map_err(Error::io(file));
    files.iter().map(state).collect()
}

fn add(path: &Path, hash: &mut Sha256) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 20, file::open(path)?);
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

/// The name of a model's first file without its extension and its shard number.
pub(super) fn stem(path: &Path, files: usize) -> PathBuf {
    let stem = PathBuf::from(path.file_stem().unwrap_or_default());
    let ending = format!("-00001-of-{files:05}");
    let text = stem.to_string_lossy();
    match text.strip_suffix(&ending) {
        Some(name) if files > 1 => name.into(),
        _ => stem,
    }
}
