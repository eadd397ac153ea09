//! What one call of the model is asked and what it gave: plain data, without a clock and without a runtime.

mod cache_start;
mod ends;
mod first_chunk;
mod pieces;
mod stream;

use crate::number::{Float as _, Long as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::ffi::{Finish, Sampling, TokenEvent};
pub use cache_start::{COLD, CacheSetUp, CacheStart, PrefixSource};
pub use ends::End;
pub use pieces::Pieces;
pub(crate) use stream::is_same_model;
pub use stream::{CountRule, Stream, TokenCount, Unread, Usage, is_word_count};

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

/// The runtime's own statistics of one run, as delivered: unchecked, and partly of unconfirmed meaning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RuntimeStats {
    /// Milliseconds of prefill.
    #[serde(with = "crate::float")]
    pub prefill_time_ms: f32,
    /// Tokens computed in prefill: the prompt with its template, less a prefix found in the KV cache.
    pub prefill_tokens: i32,
    /// Milliseconds of decode.
    #[serde(with = "crate::float")]
    pub generate_time_ms: f32,
    /// Tokens of the decode stage; equal to the callbacks or one less.
    pub generate_tokens: i32,
    /// Peak resident set of the process, megabytes.
    #[serde(with = "crate::float")]
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

/// The phases of one inference, from our own stamps, in nanoseconds.
///
/// TTFT = first callback - call. Decode, the time per output token (TPOT) = (last - first) / (tokens - 1), absent
/// below two tokens, where a server did not stream, and where nobody knows how many tokens there were. Total = return - call. With a runtime in the same process nothing
/// lies between call and prefill, so prefill is the TTFT; the runtime's own `prefill_time_ms` stands beside it. Between a
/// client and a server's prefill lies all that the server adds, so there prefill is what the server says of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Time to the first token, ns; absent where a server's first tokens may have come in fields that are not read.
    #[serde(deserialize_with = "Option::deserialize")]
    pub ttft_ns: Option<u64>,
    /// Time of the prompt's computation, ns; absent where a server does not tell it.
    pub prefill_ns: Option<u64>,
    /// Mean time per output token after the first, ns.
    pub decode_ns_per_token: Option<f64>,
    /// Call to return, ns.
    pub total_ns: u64,
    /// Longest gap between neighbouring tokens, ns.
    pub worst_gap_ns: Option<u64>,
}

impl Inference {
    /// The phases; absent when no token came or the stamps run backwards.
    pub fn phases(&self) -> Option<Phases> {
        self.tokens.first()?.at_ns.checked_sub(self.call_ns)?;
        let in_order = |pair: &[TokenEvent]| pair[0].at_ns <= pair[1].at_ns;
        if !self.tokens.windows(2).all(in_order) {
            return None;
        }
        let own = self.own_tokens();
        let (first, last) = (own.first()?.at_ns, own.last()?.at_ns);
        let count = self.token_count();
        let ttft_ns = (count.rule != CountRule::UnreadDeltas).then_some(first - self.call_ns);
        let has_pace = self.is_streamed() && ttft_ns.is_some() && count.tokens.is_some();
        let gaps = own.windows(2).map(|pair| pair[1].at_ns - pair[0].at_ns);
        Some(Phases {
            ttft_ns,
            prefill_ns: match self.stream {
                None => ttft_ns,
                Some(_) => self.told_prefill_ns(),
            },
            decode_ns_per_token: self
                .steps(count)
                .filter(|_| has_pace)
                .map(|steps| float(last - first) / float(steps)),
            total_ns: self.return_ns.checked_sub(self.call_ns)?,
            worst_gap_ns: gaps.max().filter(|_| has_pace),
        })
    }

    /// Computations of a token between the first and the last stamp; absent where there are none, or nobody knows.
    fn steps(&self, count: TokenCount) -> Option<u64> {
        let tokens = match count.rule {
            CountRule::Callbacks | CountRule::UsageAndChunks => self.own_tokens().len(),
            _ => count.tokens?,
        };
        Some(tokens.checked_sub(1)?.long()).filter(|steps| *steps > 0)
    }
}

fn float(value: u64) -> f64 {
    value.float()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::scripted;

    #[test]
    fn phases_of_known_stamps() {
        let inference = scripted::inference(1_000, &[6_000, 7_000, 8_500, 9_000], 9_200);
        assert_eq!(
            inference.phases(),
            Some(Phases {
                ttft_ns: Some(5_000),
                prefill_ns: Some(5_000),
                decode_ns_per_token: Some(1_000.0),
                total_ns: 8_200,
                worst_gap_ns: Some(1_500)
            })
        );
    }

    #[test]
    fn token_ids_are_of_any_vocabulary_and_do_not_repeat_soon() {
        let ids = token_ids(3001);
        assert!(ids.iter().all(|id| (1000..4000).contains(id)));
        let distinct: std::collections::BTreeSet<_> = ids[..3000].iter().collect();
        assert_eq!(distinct.len(), 3000);
        assert_eq!(ids[3000], ids[0]);
    }

    #[test]
    fn one_token_has_no_decode_and_no_gap() {
        let phases = scripted::inference(0, &[10], 12).phases().expect("a token came");
        assert_eq!((phases.decode_ns_per_token, phases.worst_gap_ns), (None, None));
    }

    #[test]
    fn no_token_or_stamps_that_run_backwards_have_no_phases() {
        assert_eq!(scripted::inference(0, &[], 5).phases(), None);
        assert_eq!(scripted::inference(10, &[5], 20).phases(), None);
        assert_eq!(scripted::inference(0, &[5, 4], 20).phases(), None);
    }
}
