//! What a GGUF file is, by its metadata alone: a model that generates text, a part of one, or something else. Folders
//! of models hold projectors, adapters and embedding models beside them, and llama.cpp loads some of these without a
//! word.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::llama::{EMBEDDING, Metadata};

/// What is known of a file before it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Why no text can be generated with it, in words that go on from "it is" or the like; absent where nothing speaks
    /// against it.
    pub unfit: Option<String>,
    /// Whether it carries a tokenizer. Without one a client's callback has to stand in.
    pub has_tokenizer: bool,
    /// Whether it carries an embedding layer, likewise.
    pub has_embedding: bool,
    /// Its place among the files of a model; absent where it is the only one.
    pub shard: Option<Shard>,
}

/// A file's place among those of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub number: u32,
    /// How many there are.
    pub count: u32,
}

/// Values of `general.type` and `general.architecture` of files that are no models, and what those are.
const NO_MODELS: [(&str, &str); 6] = [
    (
        "mmproj",
        "a projector for images or sound, which goes with a model of its own",
    ),
    (
        "clip",
        "a projector for images or sound, which goes with a model of its own",
    ),
    ("adapter", "an adapter, which goes with a model of its own"),
    ("imatrix", "an importance matrix, made to quantise a model"),
    (
        "controlvector",
        "a control vector, which goes with a model of its own",
    ),
    ("dataset", "a data set"),
];

/// Architectures of llama.cpp that generate no text, or not token after token. Those with `bert` in their name are left
/// out.
const NO_GENERATORS: [(&str, &str); 12] = [
    ("gemma-embedding", "an embedding model"),
    ("llama-embed", "an embedding model"),
    ("t5encoder", "an encoder"),
    ("t5", "a model that needs an encoder run"),
    ("wavtokenizer-dec", "a decoder of sound"),
    ("eagle3", "a draft model for another one"),
    ("dflash", "a draft model for another one"),
    ("gemma4-assistant", "a draft model for another one"),
    ("dream", "a diffusion model"),
    ("llada", "a diffusion model"),
    ("llada-moe", "a diffusion model"),
    ("rnd1", "a diffusion model"),
];

/// Values of `<architecture>.pooling_type` that pool nothing: none, and not specified.
const NO_POOLING: [i64; 3] = [0, -1, u32::MAX as i64];

/// What the GGUF file at `path` is.
///
/// # Errors
/// What ggml says of a file whose metadata it cannot read.
pub fn look(path: &Path) -> Result<ModelFile, String> {
    crate::llama::redirect_log();
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    Metadata::read(&path).map(|metadata| ModelFile::of(&metadata))
}

/// The files of the model that begins with the one at `first`, in their order: that one alone, or all of its shards,
/// whose names end in `-00001-of-00003.gguf` and so on.
///
/// # Errors
/// Which shard is missing, or what is wrong with the name.
pub fn shards(first: &Path, shard: Option<Shard>) -> Result<Vec<PathBuf>, String> {
    let Some(Shard { number, count }) = shard else {
        return Ok(vec![first.to_owned()]);
    };
    let name = first.file_name().unwrap_or_default().as_bytes();
    let ending = |number: u32| format!("-{number:05}-of-{count:05}.gguf");
    let Some(stem) = name.strip_suffix(ending(number).as_bytes()) else {
        return Err(format!(
            "it is part {number} of {count} of a model, and its name does not end in {}, by which the others are found",
            ending(number)
        ));
    };
    (1..=count)
        .map(|number| {
            let name = [stem, ending(number).as_bytes()].concat();
            let path = first.with_file_name(std::ffi::OsStr::from_bytes(&name));
            if path.is_file() {
                Ok(path)
            } else {
                Err(format!("part {number} of {count} is missing: {}", path.display()))
            }
        })
        .collect()
}

impl ModelFile {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let shard = shard(metadata);
        // What follows is in the first part alone, and any part may have any of the tensors.
        let is_later = shard.is_some_and(|shard| shard.number > 1);
        let may_lack = shard.is_some();
        Self {
            unfit: if is_later { None } else { unfit(metadata, may_lack) },
            has_tokenizer: is_later || has_tokenizer(metadata),
            has_embedding: may_lack || metadata.tensor(EMBEDDING).is_some(),
            shard,
        }
    }
}

fn shard(metadata: &Metadata) -> Option<Shard> {
    let count = u32::try_from(metadata.number(c"split.count")?).ok()?;
    let index = u32::try_from(metadata.number(c"split.no").unwrap_or(0)).ok()?;
    (count > 1).then_some(Shard {
        number: index.saturating_add(1),
        count,
    })
}

fn unfit(metadata: &Metadata, may_lack_tensors: bool) -> Option<String> {
    let kind = metadata
        .text(c"general.type")
        .unwrap_or_else(|| "model".to_owned());
    if let Some(what) = known(&NO_MODELS, &kind) {
        return Some(format!("it is {what} (general.type {kind})"));
    }
    // Without one it is a damaged file, of which llama.cpp says so.
    let architecture = metadata.text(c"general.architecture")?;
    if let Some(what) = known(&NO_MODELS, &architecture) {
        return Some(format!("it is {what} (general.architecture {architecture})"));
    }
    if kind != "model" {
        return Some(format!("it is no model (general.type {kind})"));
    }
    if metadata.n_tensors() == 0 && !may_lack_tensors {
        return Some("it is a vocabulary without weights".to_owned());
    }
    no_generator(metadata, &architecture)
        .map(|what| format!("it generates no text token after token: {what}"))
}

fn no_generator(metadata: &Metadata, architecture: &str) -> Option<String> {
    let key = |end: &str| CString::new(format!("{architecture}.{end}")).unwrap_or_default();
    if architecture.contains("bert") {
        return Some(format!(
            "an embedding model (general.architecture {architecture})"
        ));
    }
    if let Some(what) = known(&NO_GENERATORS, architecture) {
        return Some(format!("{what} (general.architecture {architecture})"));
    }
    if metadata.boolean(&key("attention.causal")) == Some(false) {
        return Some(format!(
            "each token sees those behind it ({architecture}.attention.causal is false)"
        ));
    }
    let pooling = metadata.number(&key("pooling_type"));
    if let Some(pooling) = pooling.filter(|pooling| !NO_POOLING.contains(pooling)) {
        return Some(format!(
            "an embedding model ({architecture}.pooling_type is {pooling})"
        ));
    }
    let has_classes = metadata.has(&key("classifier.output_labels"));
    (has_classes || metadata.tensor(c"cls.output.weight").is_some())
        .then(|| "it sorts texts into classes (cls.output.weight)".to_owned())
}

fn has_tokenizer(metadata: &Metadata) -> bool {
    let name = metadata.text(c"tokenizer.ggml.model");
    name.is_some_and(|name| name != "no_vocab")
}

fn known(list: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    list.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, what)| *what)
}

/// Which shard a model is loaded from, if it is not the first.
pub(crate) fn misled(file: &ModelFile, path: &CStr) -> Option<String> {
    let shard = file.shard.filter(|shard| shard.number != 1)?;
    Some(format!(
        "it is part {} of {} of a model: load {}",
        shard.number,
        shard.count,
        String::from_utf8_lossy(path.to_bytes())
            .replace(&format!("-{:05}-of-", shard.number), &format!("-{:05}-of-", 1))
    ))
}
