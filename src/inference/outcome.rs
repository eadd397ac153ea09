//! What one inference gave, as it was seen: unchecked.

use serde::{Deserialize, Serialize};

use super::cache_start::CacheSetUp;
use super::stream::Stream;
use super::tokens::{Finish, TokenEvent};

/// The runtime's own statistics of one run, as delivered: unchecked, and partly of unconfirmed meaning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RuntimeStats {
    /// Milliseconds of prefill.
    #[serde(with = "crate::base::float")]
    pub prefill_time_ms: f32,
    /// Tokens computed in prefill: the prompt with its template, less a prefix found in the KV cache.
    pub prefill_tokens: i32,
    /// Milliseconds of decode.
    #[serde(with = "crate::base::float")]
    pub generate_time_ms: f32,
    /// Tokens of the decode stage; equal to the callbacks or one less.
    pub generate_tokens: i32,
    /// Peak resident set of the process, megabytes.
    #[serde(with = "crate::base::float")]
    pub memory_usage_mb: f32,
}

impl RuntimeStats {
    /// Whether nothing was filled in. A prompt found whole in the KV cache has no prefill either, but it has a decode.
    pub fn are_zero(&self) -> bool {
        self.prefill_tokens == 0
            && self.generate_tokens == 0
            && self.prefill_time_ms == 0.0
            && self.generate_time_ms == 0.0
    }
}

/// What one inference gave. Times are `CLOCK_MONOTONIC` nanoseconds of one clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// Right before the call.
    pub call_ns: u64,
    /// Right after the return.
    pub return_ns: u64,
    /// Every token with the time of its callback; of a server, every chunk that holds text, with the time it was read
    /// and -1 for the id. How many tokens that are is [`token_count`](Inference::token_count)'s to say.
    pub tokens: Vec<TokenEvent>,
    /// Callbacks with a token beyond the room that was reserved.
    pub overflow: u32,
    /// The answer; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// How the run ended.
    pub finish: Finish,
    /// Whether the deadline passed and the run was aborted.
    pub aborted: bool,
    /// The runtime's refusal, when the call returned one.
    pub refusal: Option<String>,
    /// The runtime's statistics; absent where the generation has none or FINISH never came.
    pub stats: Option<RuntimeStats>,
    /// What was done before it so that its prefix lies in the KV cache; absent for a cold start.
    pub set_up: Option<CacheSetUp>,
    /// Positions in the KV cache before the run; absent where it cannot be asked. 0 for a cold start.
    pub kv_cache_before: Option<u32>,
    /// Positions in the KV cache after the run; absent where it cannot be asked.
    pub kv_cache_after: Option<u32>,
    /// Callbacks of earlier runs that came after their run had returned, counted since the model was loaded.
    pub late_callbacks: u64,
    /// Tokens whose text begins within a character.
    #[serde(default)]
    pub split_characters: u32,
    /// Callbacks on another thread than the one that made the call.
    #[serde(default)]
    pub other_thread: u32,
    /// Peak resident set of the process that ran it (`VmHWM`), bytes; absent where it cannot be read.
    pub peak_rss_bytes: Option<u64>,
    /// What a server's stream told besides; absent for a runtime that was called directly.
    pub stream: Option<Stream>,
}
