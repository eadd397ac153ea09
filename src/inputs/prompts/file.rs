//! Reads the file of a suite and locates faults in it.
//!
//! The text is parsed to a [`Value`] first, which distinguishes the formats and finds duplicate keys. Then it becomes
//! the structs of its format, then prompts. Each fault is a sentence that begins with its place: a JSON pointer (RFC
//! 6901), or line and column if the text is not JSON.

use crate::base::number::Long as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fault::{Checked, pointer};
use super::shapes::{OLD_KEYS, OldFile, OurFile, refuse_mixed};
use super::suite::Suite;
use crate::base::json::{Object, Unique, clip};

/// Largest size that is read: a larger file is not a suite.
const MOST_BYTES: u64 = 16 << 20;

/// The bytes of the file at `path`.
pub(super) fn read(path: &Path) -> Checked<Vec<u8>> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Check before opening: opening a pipe waits for a writer.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err("is a folder: name a JSON file in it".into());
    }
    if !metadata.is_file() {
        return Err("is a device, pipe or socket: name a regular file".into());
    }
    let too_large = |bytes: u64| {
        format!(
            "has {bytes} bytes or more, but a suite has at most {MOST_BYTES} (16 MiB): is it the right file?"
        )
    };
    if metadata.len() > MOST_BYTES {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // The file may have grown since.
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len().long() > MOST_BYTES {
        return Err(too_large(MOST_BYTES + 1));
    }
    Ok(bytes)
}

/// The suite in the `bytes` of a file; of the two in a file of the old format the `wanted` one.
pub(super) fn parse(bytes: &[u8], wanted: &str) -> Checked<Suite> {
    let Unique(document) = unique(text_of(bytes)?)?;
    let is_old = OLD_KEYS.iter().any(|key| document.get(key).is_some());
    let mut suite = if is_old {
        refuse_mixed(&document)?;
        typed::<OldFile>(document)?.suite(wanted)?
    } else {
        typed::<OurFile>(document)?.suite()?
    };
    suite.sha256 = hex::encode(Sha256::digest(bytes));
    Ok(suite)
}

fn text_of(bytes: &[u8]) -> Checked<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = bytes[..offset].split(|byte| *byte == b'\n').count();
        format!("not UTF-8 at byte {offset}, line {line}: save the file as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        return Err(
            "byte 0, line 1: a byte order mark, which JSON forbids: save the file as UTF-8 without BOM"
                .into(),
        );
    }
    if text.trim().is_empty() {
        return Err("line 1 column 1: the file is empty: `docs/prompts.md` shows what to write".into());
    }
    Ok(text)
}

/// A document whose objects have distinct keys; serde alone would take the last duplicate.
fn unique(text: &str) -> Checked<Unique> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let document = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (place, error) = (pointer(error.path()), error.into_inner());
        let why = clip(&error.to_string());
        if error.is_data() {
            format!("{place}: {why}")
        } else {
            format!("not JSON: {why}; fix it there or just before")
        }
    })?;
    deserializer
        .end()
        .map_err(|error| format!("not JSON: {error}; a file holds one object: remove the text after it"))?;
    Ok(document)
}

/// The document as the structs of its format.
fn typed<T: DeserializeOwned>(document: Value) -> Checked<T> {
    serde_path_to_error::deserialize::<_, Object<T>>(document)
        .map(|Object(file)| file)
        .map_err(|error| {
            let why = clip(&error.inner().to_string());
            format!("{}: {why}; docs/prompts.md lists the keys", pointer(error.path()))
        })
}
