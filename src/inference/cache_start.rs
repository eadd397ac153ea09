//! State of the KV cache when a prompt starts.

use serde::{Deserialize, Serialize};

use super::input::Input;

/// State of the KV cache when a prompt starts, and how it is produced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheStart {
    /// Empty: the whole prompt is computed.
    #[default]
    Cold,
    /// It holds this prefix of the prompt from the run right before; the runtime finds the prefix itself.
    WarmPrefix(Input),
    /// It holds this prefix of the prompt, restored from a prompt-cache file.
    RestoredCache(Input),
}

impl CacheStart {
    /// Whether the whole prompt is computed.
    pub fn is_cold(&self) -> bool {
        *self == Self::Cold
    }

    /// The prefix, and how it gets into the KV cache; absent for a cold start.
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
    /// A run of the prefix.
    Run,
    /// A prompt-cache file.
    File,
}

impl PrefixSource {
    /// The name of the start that it produces.
    pub const fn start(self) -> &'static str {
        match self {
            Self::Run => "warm_prefix",
            Self::File => "restored_cache",
        }
    }
}

/// What an engine did and observed before a run with a prefix. These are observations, independent of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSetUp {
    /// How the prefix got into the KV cache.
    pub source: PrefixSource,
    /// Tokens of the whole prompt. For ids, their number. For text, the tokens that a cold run computed, with the chat
    /// template.
    pub prompt_tokens: u32,
    /// Tokens that a cold run of the prefix computed.
    pub prefix_tokens: u32,
    /// Positions in the KV cache after it was cleared and before the prefix was loaded; absent if the runtime cannot
    /// report it.
    pub cleared_to: Option<u32>,
}
