//! A request: what one inference is asked.

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
    /// Tokens to generate, at most. Whether the run may end earlier is decided at load.
    pub max_new_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens that the KV cache holds before the prompt comes; 0 is a cold start.
    pub depth: u32,
    /// What the KV cache is to hold of the prompt itself.
    pub cache_start: CacheStart,
    /// How long each run may take before it is aborted.
    pub deadline: Duration,
}

impl Request {
    /// A cold, greedy run with five minutes to end.
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

    /// The most runs that an engine makes for it, itself included: of a turn to come behind, or of a text and a prefix.
    pub(crate) fn most_runs(&self) -> u32 {
        match (self.cache_start.is_cold(), self.depth) {
            (true, 0) => 1,
            (true, _) => 2,
            (false, _) => 3,
        }
    }
}
