//! A request: what one inference is asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cache_start::CacheStart;
use super::sampling::Sampling;

/// What a prompt is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Text, wrapped by the runtime in the model's chat template.
    Text(String),
    /// Token ids, taken as they are.
    Tokens(Vec<i32>),
}

/// `count` token ids that any vocabulary of 4,000 tokens or more has as pieces of text: no special token, no runs of
/// one id, the same on every machine.
pub fn token_ids(count: usize) -> Vec<i32> {
    // A stride without a common divisor with the number of ids visits each before it repeats one.
    (0..3000)
        .map(|index| 1000 + index * 7919 % 3000)
        .cycle()
        .take(count)
        .collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_ids_are_of_any_vocabulary_and_do_not_repeat_soon() {
        let ids = token_ids(3001);
        assert!(ids.iter().all(|id| (1000..4000).contains(id)));
        let distinct: std::collections::BTreeSet<_> = ids[..3000].iter().collect();
        assert_eq!(distinct.len(), 3000);
        assert_eq!(ids[3000], ids[0]);
    }
}
