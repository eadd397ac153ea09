//! A reply in the making, and what it cost.

use std::fs;
use std::time::{Duration, Instant};

use crate::header::RKLLMPerfStat;
use crate::llama::Token;
use crate::sampler::Sampler;
use crate::text::TextDecoder;

/// All that a pause has to keep until the run goes on.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) sampler: Sampler,
    pub(crate) decoder: TextDecoder,
    /// Chosen last; its place in the cache is still to be computed.
    pub(crate) last: Token,
    /// How many more tokens may come; `None`: as many as the window has room for.
    pub(crate) remaining: Option<usize>,
    /// The positions that were there before the reply.
    pub(crate) prompt_len: usize,
    pub(crate) keep_history: bool,
}

/// The clock of one call of `rkllm_run`.
///
/// Prefill lasts from the call to the logits behind the prompt, tokenising included. The first token is chosen by
/// those and belongs to it: `generate_tokens` counts the tokens after it, `generate_time_ms` runs from its callback to
/// that of the last. A run without a prefill (the prompt was in the cache, or a pause ended) has all of its tokens in
/// decode, timed from the call.
#[derive(Debug)]
pub(crate) struct Tally {
    prefill_tokens: usize,
    prefill_time: Duration,
    /// `None`: the first token, which starts this clock, is still to come.
    generate_start: Option<Instant>,
    generate_time: Duration,
    generate_tokens: usize,
}

impl Tally {
    /// A run called at `start` that has nothing to prefill.
    pub(crate) fn without_prefill(start: Instant) -> Self {
        Self {
            prefill_tokens: 0,
            prefill_time: Duration::ZERO,
            generate_start: Some(start),
            generate_time: Duration::ZERO,
            generate_tokens: 0,
        }
    }

    /// A run called at `start` that has just computed the last of `tokens` prompt tokens.
    pub(crate) fn after_prefill(start: Instant, tokens: usize) -> Self {
        Self {
            prefill_tokens: tokens,
            prefill_time: start.elapsed(),
            generate_start: None,
            generate_time: Duration::ZERO,
            generate_tokens: 0,
        }
    }

    /// A token is about to be delivered.
    pub(crate) fn count(&mut self) {
        let now = Instant::now();
        if let Some(start) = self.generate_start {
            self.generate_time = now - start;
            self.generate_tokens += 1;
        } else {
            self.generate_start = Some(now);
        }
    }

    pub(crate) fn perf(&self) -> RKLLMPerfStat {
        RKLLMPerfStat {
            prefill_time_ms: milliseconds(self.prefill_time),
            prefill_tokens: i32::try_from(self.prefill_tokens).unwrap_or(i32::MAX),
            generate_time_ms: milliseconds(self.generate_time),
            generate_tokens: i32::try_from(self.generate_tokens).unwrap_or(i32::MAX),
            memory_usage_mb: peak_resident_mb(),
        }
    }
}

fn milliseconds(time: Duration) -> f32 {
    time.as_secs_f32() * 1000.0
}

/// The peak resident set of this process, 0 where the kernel does not tell.
fn peak_resident_mb() -> f32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().trim_end_matches("kB").trim_end().parse::<f32>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}
