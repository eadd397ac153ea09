//! A suite and its prompts as data.

use super::check::Check;
use crate::inference::{CacheStart, Input, Sampling};

/// A suite that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// Its name, part of each identifier.
    pub name: String,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
    /// Whether the model continues past its end token up to the limit, so that each run does the same work.
    pub ignore_eos: bool,
    /// Whether its prompts differ only in size, so that charts plot figures over the size.
    pub sweep: bool,
    /// Its prompts in order; at least one, each with a unique id.
    pub prompts: Vec<Prompt>,
}

/// One prompt of a suite.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Short and unique within the suite; part of each identifier.
    pub id: String,
    /// Display name; the id if the file has none.
    pub name: String,
    /// The input of the model.
    pub input: Input,
    /// New tokens to ask for: the limit of the prompt, else of the suite, else left to the user.
    pub max_new_tokens: Option<u32>,
    /// How tokens are chosen: the sampling of the prompt, else of the suite, else [`Sampling::GREEDY`].
    pub sampling: Sampling,
    /// Tokens in the KV cache before the prompt; 0 for every prompt of a file.
    pub depth: u32,
    /// The part of the prompt that is already in the KV cache. If there is one, the id ends in the name of the start.
    pub cache_start: CacheStart,
    /// The checks of its answers; no two are equal.
    pub checks: Vec<Check>,
}
