//! Whether what was computed once may be used again: by what weights it was made.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::llama;
use crate::model_file;

/// A SHA-256 that differs between models, adapters and versions of llama.cpp.
pub(crate) type Identity = [u8; 32];

/// The head of a file that is looked at whole: a GGUF's metadata begin there.
const HEAD: u64 = 1 << 20;
/// Of what comes behind, as many places of this many bytes, evenly spread: reading all of a model would take seconds.
const PLACES: u64 = 64;
const PLACE: u64 = 4096;

/// By a file's length, its head and samples of the rest.
pub(crate) fn of_file(path: &Path) -> io::Result<Identity> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    hash.update(part(&file, 0, HEAD.min(length))?);
    let rest = length.saturating_sub(HEAD);
    for place in 0..PLACES {
        let start = HEAD + rest.saturating_sub(PLACE) * place / (PLACES - 1);
        hash.update(part(&file, start, PLACE.min(length.saturating_sub(start)))?);
    }
    Ok(hash.finalize().into())
}

/// Of a model, by all of its files.
pub(crate) fn of_model(path: &Path) -> io::Result<Identity> {
    let shard = model_file::look(path).map_err(io::Error::other)?.shard;
    let files = model_file::shards(path, shard).map_err(io::Error::other)?;
    if let [only] = &files[..] {
        return of_file(only);
    }
    let mut hash = Sha256::new();
    for file in &files {
        hash.update(of_file(file)?);
    }
    Ok(hash.finalize().into())
}

/// Of a model with this llama.cpp, and with an adapter of a strength if there is one.
pub(crate) fn of_weights(model: Identity, adapter: Option<(Identity, f32)>) -> Identity {
    let mut hash = Sha256::new();
    hash.update(llama::version());
    hash.update(model);
    if let Some((adapter, scale)) = adapter {
        hash.update(adapter);
        hash.update(scale.to_le_bytes());
    }
    hash.finalize().into()
}

fn part(file: &File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{of_file, of_weights};

    #[test]
    fn a_change_in_head_end_or_length_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        let identity = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            of_file(&path).expect("read")
        };
        let plain = vec![7; 3 << 20];
        let mut head = plain.clone();
        head[1000] = 8;
        let mut end = plain.clone();
        *end.last_mut().expect("bytes") = 8;
        let all = [&plain[..], &head, &end, &plain[1..], &plain[..100], &[]].map(identity);
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
        assert_eq!(identity(&plain), all[0]);
    }

    #[test]
    fn an_adapter_and_its_strength_count() {
        let model = [1; 32];
        let all = [
            None,
            Some(([2; 32], 1.0)),
            Some(([3; 32], 1.0)),
            Some(([2; 32], 0.5)),
        ]
        .map(|adapter| of_weights(model, adapter));
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
    }
}
