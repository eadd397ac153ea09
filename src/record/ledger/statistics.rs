//! The runtime's statistics compared with our clock and counts.

use super::verdict::{Mark, Rejection};
use crate::base::number::ms;
use crate::inference::{Inference, Input, Phases, Request, RuntimeStats};

/// Absolute part of the tolerance between the runtime's times and ours, ms. The larger of both parts counts.
pub const TOLERANCE_MS: f64 = 2.0;
/// Relative part of the tolerance between the runtime's times and ours.
pub const TOLERANCE_RATIO: f64 = 0.05;

/// `before`: the statistics of the run before.
pub(super) fn judge(
    request: &Request,
    stats: &RuntimeStats,
    before: Option<&RuntimeStats>,
    prompt_tokens: Option<u32>,
    inference: &Inference,
    phases: &Phases,
    marks: &mut Vec<Mark>,
) -> Result<(), Rejection> {
    // Two runs with bit-identical times are one run reported twice.
    if before.is_some_and(|before| {
        before.prefill_time_ms.to_bits() == stats.prefill_time_ms.to_bits()
            && before.generate_time_ms.to_bits() == stats.generate_time_ms.to_bits()
    }) {
        return Err(Rejection::StaleStats);
    }
    if let Some(prompt) = prefill_disproven(request, prompt_tokens, stats.prefill_tokens) {
        return Err(Rejection::WarmPrefill {
            computed: stats.prefill_tokens,
            prompt,
        });
    }
    if stats.prefill_tokens <= 0 {
        return Err(Rejection::WarmPrefill {
            computed: stats.prefill_tokens,
            prompt: prompt_tokens.unwrap_or(0),
        });
    }
    let prefill_ms = possible_time(
        "prefill_time_ms",
        stats.prefill_time_ms,
        true,
        stats.prefill_tokens,
    )?;
    // A single token leaves nothing to decode.
    let decoded = stats.generate_tokens > 1 || inference.tokens.len() > 1;
    let generate_ms = possible_time(
        "generate_time_ms",
        stats.generate_time_ms,
        decoded,
        stats.generate_tokens,
    )?;

    if let Some(ttft_ns) = phases.ttft_ns {
        fits("prefill", prefill_ms, ms(ttft_ns))?;
    }
    fits(
        "prefill and decode",
        prefill_ms + generate_ms,
        ms(phases.total_ns),
    )?;
    let unexplained = ms(phases.total_ns) - prefill_ms - generate_ms;
    // A server's overhead is part of what its users wait for.
    if inference.stream.is_none() && unexplained > tolerance(ms(phases.total_ns)) {
        marks.push(Mark::UnexplainedTime { ms: unexplained });
    }
    Ok(())
}

/// The prompt's length, if a prefill of `computed` tokens cannot have covered the whole prompt. After a kept turn,
/// prefill may include that turn's last token.
fn prefill_disproven(request: &Request, prompt_tokens: Option<u32>, computed: i32) -> Option<u32> {
    if !request.cache_start.is_cold() {
        return None; // judged with its start
    }
    let (prompt, more) = match (prompt_tokens, &request.input) {
        (Some(known), _) => (known, 0),
        (None, Input::Tokens(ids)) => (u32::try_from(ids.len()).ok()?, u32::from(request.depth > 0)),
        (None, Input::Text(_)) => return None,
    };
    let whole = i64::from(prompt)..=i64::from(prompt) + i64::from(more);
    (!whole.contains(&i64::from(computed))).then_some(prompt)
}

fn possible_time(field: &str, value: f32, must_be_positive: bool, tokens: i32) -> Result<f64, Rejection> {
    if !value.is_finite() || value < 0.0 || (must_be_positive && value == 0.0) {
        return Err(Rejection::ImpossibleTime {
            field: field.into(),
            value: value.to_string(),
            tokens,
        });
    }
    Ok(value.into())
}

fn fits(what: &str, reported_ms: f64, measured_ms: f64) -> Result<(), Rejection> {
    if reported_ms > measured_ms + tolerance(measured_ms) {
        return Err(Rejection::TimeOverrun {
            what: what.into(),
            reported_ms,
            measured_ms,
        });
    }
    Ok(())
}

fn tolerance(measured_ms: f64) -> f64 {
    TOLERANCE_MS.max(measured_ms * TOLERANCE_RATIO)
}
