//! A model to run.

use std::path::PathBuf;

/// Prefix of `--model` for a model that comes with the host runtime.
pub const BUILT_IN: &str = "builtin:";

/// Suffix of the names of built-in models, wherever an identifier is shown.
pub(super) const RANDOM_WEIGHTS: &str = "-random-weights";

/// A model to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name, part of each identifier.
    pub name: String,
    /// Its file, or the first of its shards.
    pub path: PathBuf,
    /// Whether its weights are pseudo-random.
    pub random_weights: bool,
}
