//! What a server's stream says besides the text.

use serde::{Deserialize, Serialize};

use super::pieces::Pieces;

/// The data of a server's stream besides the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// When the response headers were read, `CLOCK_MONOTONIC` nanoseconds.
    pub response_ns: u64,
    /// Its token counts; absent if it sends none.
    pub usage: Option<Usage>,
    /// Why the answer ended, in the words of the server, such as `stop` or `length`.
    pub finish_reason: Option<String>,
    /// The model that the server reports; absent if it reports none.
    pub model: Option<String>,
    /// What its chunks are pieces of, judged by their text.
    #[serde(default)]
    pub pieces: Pieces,
    /// Chunks with content but without text in a field that is read; absent if there were none.
    #[serde(default)]
    pub unread: Option<Unread>,
    /// Request fields that the server rejected by name and that were left out.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Whether the server may have served other requests of the run at the same time.
    #[serde(default)]
    pub shared: bool,
}

/// The unread part of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Chunks.
    pub chunks: usize,
    /// Names of the first few fields.
    pub fields: Vec<String>,
}

impl Stream {
    /// Whether the server reports that none of the prompt was in its cache.
    pub fn reports_cold_start(&self) -> bool {
        self.usage.and_then(|usage| usage.cached_tokens) == Some(0)
    }
}

/// The server's own counts, unchecked. Some servers count words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// New tokens.
    pub completion_tokens: Option<u32>,
    /// Tokens of the prompt that were in the cache of the server.
    pub cached_tokens: Option<u32>,
}

/// Whether the name that a server reports is the wanted model: servers accept a short form of the name.
pub(crate) fn is_same_model(name: &str, wanted: &str) -> bool {
    let bare = |name: &str| name.trim_end_matches(".rkllm").to_lowercase();
    let (name, wanted) = (bare(name), bare(wanted));
    name == wanted || (!wanted.is_empty() && name.starts_with(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_model() {
        for (name, wanted, same) in [
            ("kimi", "kimi", true),
            ("Qwen3-0.6B-w8a8.rkllm", "qwen3-0.6b", true),
            ("llama3:latest", "llama3", true),
            ("/llm/org/Kimi-K2", "kimi", false),
            ("a/kimi", "b/kimi", false),
            ("gemma", "kimi", false),
            ("kimi", "", false),
        ] {
            assert_eq!(is_same_model(name, wanted), same, "{name} for {wanted}");
        }
    }
}
