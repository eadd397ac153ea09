//! The request for one inference.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cache_start::CacheStart;
use super::input::Input;
use super::sampling::Sampling;

/// One inference to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The prompt.
    pub input: Input,
    /// Most tokens to generate. Whether the run may end earlier is decided at load.
    pub max_new_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens in the KV cache when the prompt starts; 0 is a cold start.
    pub depth: u32,
    /// The part of the prompt itself that is in the KV cache.
    pub cache_start: CacheStart,
    /// How long each run may take before it is aborted.
    pub deadline: Duration,
}

impl Request {
    /// A cold, greedy run with a deadline of five minutes.
    pub fn new(input: Input, max_new_tokens: u32) -> Self {
        Self {
            input,
            max_new_tokens,
            sampling: Sampling::GREEDY,
            depth: 0,
            cache_start: CacheStart::Cold,
            deadline: Duration::from_mins(5),
        }
    }

    /// Most runs that an engine makes for this request: itself, and the turn before it, or a text and its prefix.
    pub(crate) fn most_runs(&self) -> u32 {
        match (self.cache_start.is_cold(), self.depth) {
            (true, 0) => 1,
            (true, _) => 2,
            (false, _) => 3,
        }
    }
}
