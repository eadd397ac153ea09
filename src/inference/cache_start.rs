//! With what the KV cache begins before a prompt comes.

use serde::{Deserialize, Serialize};

use super::input::Input;

/// What a prompt is to find in the KV cache, and how it is to have come there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheStart {
    /// Nothing: the whole prompt is computed.
    #[default]
    Cold,
    /// This prefix of the prompt, of a run right before, which the runtime finds by itself.
    WarmPrefix(Input),
    /// This prefix of the prompt, from a prompt-cache file.
    RestoredCache(Input),
}

impl CacheStart {
    /// Whether the whole prompt is computed.
    pub fn is_cold(&self) -> bool {
        *self == Self::Cold
    }

    /// The prefix, and how it comes into the KV cache; absent for a cold start.
    pub fn prefix(&self) -> Option<(&Input, PrefixSource)> {
        match self {
            Self::Cold => None,
            Self::WarmPrefix(prefix) => Some((prefix, PrefixSource::Run)),
            Self::RestoredCache(prefix) => Some((prefix, PrefixSource::File)),
        }
    }

    /// Its name in suites, identifiers and reports.
    pub fn name(&self) -> &'static str {
        self.prefix().map_or(COLD, |(_, source)| source.start())
    }
}

/// The name of a cold start.
pub const COLD: &str = "cold";

/// Where a prefix in the KV cache comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrefixSource {
    /// A run of it.
    Run,
    /// A prompt-cache file.
    File,
}

impl PrefixSource {
    /// The name of the start that it makes.
    pub const fn start(self) -> &'static str {
        match self {
            Self::Run => "warm_prefix",
            Self::File => "restored_cache",
        }
    }
}

/// What an engine did and saw before a run that was not to be cold: facts, whatever was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSetUp {
    /// How the prefix came into the KV cache.
    pub source: PrefixSource,
    /// Tokens of the whole prompt: the ids' count, or of text, chat template included, what a cold run of it computed.
    pub prompt_tokens: u32,
    /// Tokens that the prefix's own cold run computed.
    pub prefix_tokens: u32,
    /// Positions in the KV cache after it was emptied and before the prefix came; absent where it cannot be asked.
    pub cleared_to: Option<u32>,
}
