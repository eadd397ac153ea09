//! The file of a prompt cache: what the KV cache held behind a prompt.
//!
//! A magic of eight bytes, the SHA-256 of all that follows, the identity of the weights, the number of tokens, the
//! tokens, llama.cpp's state. Numbers are little-endian. llama.cpp checks a state little, so nothing of a file reaches
//! it before the sum fits.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::identity::Identity;
use crate::llama::Token;

const MAGIC: &[u8] = b"RKHOSTP1";

/// Tokens with the state of the KV cache that they left.
#[derive(Debug)]
pub(crate) struct PromptCache {
    pub(crate) weights: Identity,
    pub(crate) tokens: Vec<Token>,
    pub(crate) state: Vec<u8>,
}

impl PromptCache {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let unreadable =
            |why: &dyn Display| format!("cannot read the prompt cache {}: {why}", path.display());
        // Before it is opened: to open a pipe waits for a writer.
        if !fs::metadata(path).map_err(|error| unreadable(&error))?.is_file() {
            return Err(unreadable(&"it is no regular file"));
        }
        let bytes = fs::read(path).map_err(|error| unreadable(&error))?;
        let sealed = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| format!("{} is no prompt cache of the host runtime", path.display()))?;
        Self::unseal(sealed).ok_or_else(|| {
            format!(
                "the prompt cache {} is damaged or was cut off; save it again",
                path.display()
            )
        })
    }

    fn unseal(sealed: &[u8]) -> Option<Self> {
        let (sum, content) = sealed.split_first_chunk::<32>()?;
        if Sha256::digest(content)[..] != sum[..] {
            return None;
        }
        let (weights, rest) = content.split_first_chunk::<32>()?;
        let (n_tokens, rest) = rest.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*n_tokens))
            .ok()?
            .checked_mul(4)?;
        let (tokens, state) = rest.split_at_checked(length)?;
        Some(Self {
            weights: *weights,
            tokens: tokens
                .as_chunks()
                .0
                .iter()
                .map(|&token| Token::from_le_bytes(token))
                .collect(),
            state: state.to_vec(),
        })
    }
}

/// A prompt cache that is to be written, beside the place where it will be found whole.
#[derive(Debug)]
pub(crate) struct Draft {
    file: NamedTempFile,
    path: PathBuf,
}

impl Draft {
    /// Finds out whether the place can be written to.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if path.is_dir() {
            return Err(unwritable(path, &io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self {
            file: NamedTempFile::new_in(folder).map_err(|error| unwritable(path, &error))?,
            path: path.to_owned(),
        })
    }

    pub(crate) fn write(mut self, cache: &PromptCache) -> Result<(), String> {
        let mut content = Vec::with_capacity(40 + 4 * cache.tokens.len() + cache.state.len());
        content.extend_from_slice(&cache.weights);
        content.extend_from_slice(&(cache.tokens.len() as u64).to_le_bytes());
        content.extend(cache.tokens.iter().flat_map(|token| token.to_le_bytes()));
        content.extend_from_slice(&cache.state);
        [MAGIC, &Sha256::digest(&content)[..], &content]
            .into_iter()
            .try_for_each(|part| self.file.write_all(part))
            .map_err(|error| unwritable(&self.path, &error))?;
        self.file
            .persist(&self.path)
            .map_err(|error| unwritable(&self.path, &error.error))?;
        Ok(())
    }
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("cannot write the prompt cache {}: {error}", path.display())
}
