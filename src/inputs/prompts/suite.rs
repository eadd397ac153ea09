//! A suite and its prompts as data.

use super::check::Check;
use crate::inference::{CacheStart, Input, Sampling};

/// A suite, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// Its name, part of each identifier.
    pub name: String,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
    /// Whether the model goes on past its end token up to the limit, so that each run does the same work.
    pub ignore_eos: bool,
    /// Whether its prompts stand for their sizes alone, to be drawn over.
    pub sweep: bool,
    /// Its prompts, in order; at least one, each with an id of its own.
    pub prompts: Vec<Prompt>,
}

/// One prompt of a suite.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Short and unique within the suite: part of each identifier.
    pub id: String,
    /// Readable name; the id where the file gives none.
    pub name: String,
    /// What the model reads.
    pub input: Input,
    /// New tokens to ask for: the prompt's own limit, else the suite's, else left to the user.
    pub max_new_tokens: Option<u32>,
    /// How the next token is chosen: the prompt's own sampling, else the suite's, else [`Sampling::GREEDY`].
    pub sampling: Sampling,
    /// Tokens that lie in the KV cache before the prompt; 0 for every prompt of a file.
    pub depth: u32,
    /// What the KV cache is to hold of the prompt itself; where that is something, the id ends in the start's name.
    pub cache_start: CacheStart,
    /// What its answers are checked for, no two alike.
    pub checks: Vec<Check>,
}
