//! The outcome of one inference as observed, unchecked.

use serde::{Deserialize, Serialize};

use super::cache_start::CacheSetUp;
use super::stream::Stream;
use super::tokens::{Finish, TokenEvent};

/// The runtime's own statistics of one run, unchecked. The meaning of some fields is unconfirmed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RuntimeStats {
    /// Milliseconds of prefill.
    #[serde(with = "crate::base::float")]
    pub prefill_time_ms: f32,
    /// Tokens computed in prefill: the prompt with its template, minus a prefix found in the KV cache.
    pub prefill_tokens: i32,
    /// Milliseconds of decode.
    #[serde(with = "crate::base::float")]
    pub generate_time_ms: f32,
    /// Tokens of the decode stage: the number of callbacks, or one less.
    pub generate_tokens: i32,
    /// Peak resident set of the process, megabytes.
    #[serde(with = "crate::base::float")]
    pub memory_usage_mb: f32,
}

impl RuntimeStats {
    /// Whether no field was filled in. A prompt that was found completely in the KV cache has no prefill, but it has a
    /// decode.
    pub fn are_zero(&self) -> bool {
        self.prefill_tokens == 0
            && self.generate_tokens == 0
            && self.prefill_time_ms == 0.0
            && self.generate_time_ms == 0.0
    }
}

/// The outcome of one inference. Times are `CLOCK_MONOTONIC` nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// Right before the call.
    pub call_ns: u64,
    /// Right after the return.
    pub return_ns: u64,
    /// Every token with the time of its callback. For a server, every chunk with text, with the time when it was read
    /// and the id -1. [`token_count`](Inference::token_count) says how many tokens the chunks are.
    pub tokens: Vec<TokenEvent>,
    /// Callbacks with a token that exceeded the reserved space.
    pub overflow: u32,
    /// The answer; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// How the run ended.
    pub finish: Finish,
    /// Whether the deadline passed and the run was aborted.
    pub aborted: bool,
    /// The error of the runtime, if the call returned one.
    pub refusal: Option<String>,
    /// The statistics of the runtime; absent if its generation has none or FINISH never came.
    pub stats: Option<RuntimeStats>,
    /// How its prefix got into the KV cache; absent for a cold start.
    pub set_up: Option<CacheSetUp>,
    /// Positions in the KV cache before the run; absent if the runtime cannot report it. 0 for a cold start.
    pub kv_cache_before: Option<u32>,
    /// Positions in the KV cache after the run; absent if the runtime cannot report it.
    pub kv_cache_after: Option<u32>,
    /// Callbacks that arrived after their run had returned, counted since the model was loaded.
    pub late_callbacks: u64,
    /// Tokens whose text starts inside a character.
    #[serde(default)]
    pub split_characters: u32,
    /// Callbacks on another thread than that of the call.
    #[serde(default)]
    pub other_thread: u32,
    /// Peak resident set of the process that ran it (`VmHWM`), bytes; absent where it cannot be read.
    pub peak_rss_bytes: Option<u64>,
    /// Other data of a server's stream; absent for a runtime that is called directly.
    pub stream: Option<Stream>,
}
