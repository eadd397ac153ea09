//! What a runtime can do.

use serde::{Deserialize, Serialize};

/// What a generation of the runtime can do. Values that it cannot provide are reported as absent, never as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "a table of independent yes and no")]
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "no value of the fields is unsafe"
)]
pub struct Abilities {
    /// Performance statistics come with the end of a run (from 1.2.1).
    pub perf: bool,
    /// The KV cache can be cleared (from 1.2.0).
    pub clear_kv_cache: bool,
    /// The size of the KV cache can be queried (from 1.2.1).
    pub kv_cache_size: bool,
    /// The chat template can be set (from 1.2.0).
    pub chat_template: bool,
    /// End tokens can be ignored (from 1.3.0).
    pub ignore_eos: bool,
    /// A turn can be kept in the KV cache for the next (from 1.2.0).
    pub keep_history: bool,
    /// The cap on new tokens can be set for each run (from 1.3.0).
    pub new_tokens_per_run: bool,
    /// Sampling can be set for each run (from 1.3.0).
    pub sampling_per_run: bool,
    /// CPU cores can be chosen (from 1.2.0).
    pub cpu_choice: bool,
    /// Embedding rows can be fetched from storage instead of memory (from 1.2.0).
    pub embed_flash: bool,
    /// The KV cache of a prompt can be saved to a file and restored (in every release since 1.1.0; false for a library
    /// without these calls).
    pub prompt_cache: bool,
}
