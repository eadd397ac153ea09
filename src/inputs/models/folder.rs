//! The models that files and folders hold.

use std::path::{Path, PathBuf};

use super::files::{self, Kind};
use super::model::{Model, RANDOM_WEIGHTS};
use super::names::name_of;
use crate::base::IS_HOST;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::paths;

/// The models in a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Models that can be run, sorted by name.
    pub models: Vec<Model>,
    /// Files that look like models and are skipped.
    pub skipped: Vec<Skipped>,
}

/// A skipped file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
    /// Whether it is part of an incomplete model. That is a fault, unlike a file that is not a model.
    pub is_fault: bool,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.shown(), self.reason)
    }
}

/// File extension of the models of the linked runtime.
pub fn extension() -> &'static str {
    if IS_HOST { "gguf" } else { "rkllm" }
}

pub(super) fn from_file(path: &Path) -> Result<Model> {
    if !is_model(path) {
        let ending = path.extension().unwrap_or_default();
        let other = if ending == "rkllm" || ending == "gguf" {
            format!("; .{} models {}", ending.shown(), for_other_runtime(2))
        } else {
            String::new()
        };
        return Err(Error::Model(format!(
            "{}: the runtime of this program loads .{} files{other}",
            path.shown(),
            extension()
        )));
    }
    match examine(path)? {
        Ok(model) => Ok(model),
        Err(skipped) => Err(Error::Model(skipped.to_string())),
    }
}

/// The model that the file is, or is a part of.
fn examine(path: &Path) -> Result<std::result::Result<Model, Skipped>> {
    paths::check_utf8("the model's file", path.as_os_str())?;
    let skipped = |reason, is_fault| Skipped {
        path: path.to_owned(),
        reason,
        is_fault,
    };
    Ok(match Kind::of(path) {
        Kind::Model(files) => {
            let first = files.first().map_or(path, |first| first);
            let name = name_of(files::stem(first, files.len()).as_os_str());
            let random_weights = name.ends_with(RANDOM_WEIGHTS);
            Ok(Model {
                name,
                path: first.to_owned(),
                random_weights,
            })
        }
        Kind::Unfit(reason) => Err(skipped(reason, false)),
        Kind::Incomplete(reason) => Err(skipped(reason, true)),
    })
}

pub(super) fn in_folder(folder: &Path) -> Result<Found> {
    let mut found = files_in(folder)?;
    for path in entries(folder)? {
        if !path.is_dir() {
            continue;
        }
        let inside = files_in(&path)?;
        found.skipped.extend(inside.skipped);
        match inside.models.as_slice() {
            [] => {}
            [one] => found.models.push(Model {
                name: name_of(path.file_name().unwrap_or_default()),
                ..one.clone()
            }),
            many => {
                return Err(Error::Model(format!(
                    "{} holds {} .{} models, but a folder gives its name to one model: give each its own folder",
                    path.shown(),
                    many.len(),
                    extension()
                )));
            }
        }
    }
    Ok(found)
}

/// The models in a folder; the shards of a model count as one.
fn files_in(folder: &Path) -> Result<Found> {
    let mut found = Found::default();
    for path in entries(folder)?.into_iter().filter(|path| is_model(path)) {
        match examine(&path)? {
            Ok(model) if found.models.contains(&model) => {}
            Ok(model) => found.models.push(model),
            Err(skipped) => found.skipped.push(skipped),
        }
    }
    Ok(found)
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(Error::io(folder))
}

fn is_model(path: &Path) -> bool {
    // A dangling link is reported when it is read, not skipped.
    !path.is_dir() && path.extension().is_some_and(|ending| ending == extension())
}

/// The part of a message about models that another runtime loads.
pub(super) fn for_other_runtime(count: usize) -> String {
    let (is, other) = (
        if count == 1 { "is" } else { "are" },
        if IS_HOST {
            "an NPU runtime (build with --no-default-features and RKLLM_SDK)"
        } else {
            "the host runtime (build without --no-default-features and RKLLM_SDK)"
        },
    );
    format!("{is} for {other}")
}
