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
/// The first token is chosen by what prefill computed and belongs to it: `generate_tokens` counts the choices after
/// it, `generate_time_ms` runs from its choice to the last one. A run without a prefill (the prompt was in the cache,
/// or a pause ended) has all of its tokens in decode, timed from its start.
#[derive(Debug)]
pub(crate) struct Tally {
    prefill_tokens: usize,
    prefill_time: Duration,
    generate_start: Instant,
    last_choice: Instant,
    generate_tokens: usize,
}

impl Tally {
    /// A run that begins to generate at `start`, nothing computed yet.
    pub(crate) fn without_prefill(start: Instant) -> Self {
        Self {
            prefill_tokens: 0,
            prefill_time: Duration::ZERO,
            generate_start: start,
            last_choice: start,
            generate_tokens: 0,
        }
    }

    /// A run whose prefill of `tokens` began at `start` and just gave the first token.
    pub(crate) fn after_prefill(start: Instant, tokens: usize) -> Self {
        let now = Instant::now();
        Self {
            prefill_tokens: tokens,
            prefill_time: now - start,
            ..Self::without_prefill(now)
        }
    }

    /// A token was chosen by decode.
    pub(crate) fn count(&mut self) {
        self.last_choice = Instant::now();
        self.generate_tokens += 1;
    }

    pub(crate) fn perf(&self) -> RKLLMPerfStat {
        RKLLMPerfStat {
            prefill_time_ms: milliseconds(self.prefill_time),
            prefill_tokens: i32::try_from(self.prefill_tokens).unwrap_or(i32::MAX),
            generate_time_ms: milliseconds(self.last_choice - self.generate_start),
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
