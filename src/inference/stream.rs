//! What a server's stream says besides the text.

use serde::{Deserialize, Serialize};

use super::pieces::Pieces;

/// What a server told beside the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// When the response's headers were read, `CLOCK_MONOTONIC` nanoseconds.
    pub response_ns: u64,
    /// Its counts; absent where it sends none.
    pub usage: Option<Usage>,
    /// Why the answer ended, in the server's word, such as `stop` or `length`.
    pub finish_reason: Option<String>,
    /// The model that the server says it answered with; absent where it says none.
    pub model: Option<String>,
    /// What its chunks with text are, by that text.
    #[serde(default)]
    pub pieces: Pieces,
    /// Chunks that held something, but no text in a field that is read; absent where there were none.
    #[serde(default)]
    pub unread: Option<Unread>,
    /// Fields of the request that the server refuses by name and that were left out.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Whether the server may have served other requests of the run at the same time.
    #[serde(default)]
    pub shared: bool,
}

/// What of a stream is not read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Chunks.
    pub chunks: usize,
    /// Names of the fields, the first few.
    pub fields: Vec<String>,
}

impl Stream {
    /// Whether the server says that nothing of the prompt was in its cache.
    pub fn is_told_cold(&self) -> bool {
        self.usage.and_then(|usage| usage.cached_tokens) == Some(0)
    }
}

/// The server's own counts, as delivered. Some servers count words here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// New tokens.
    pub completion_tokens: Option<u32>,
    /// Tokens of the prompt that were found in the server's cache.
    pub cached_tokens: Option<u32>,
}

/// Whether a server's name of a model is the wanted one: servers take a short name for a whole one.
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
