//! Whether an inference started as its label says: cold, after a prefix that was run, or after a prefix from a file.

use std::ops::RangeInclusive;

use super::verdict::{Mark, Rejection};
use crate::inference::{COLD, CacheSetUp, Inference, Input, PrefixSource, Request};

/// Whether this runtime fills its KV cache when it loads a prompt-cache file (true), or in the run that uses the file
/// (false). Absent until a run has shown it.
pub(super) type FillsAtLoad = Option<bool>;

/// Checks the start against what the engine did and what the runtime reports. `computed` is the number of tokens that
/// the prompt's prefill is known to compute.
pub(super) fn judge(
    request: &Request,
    computed: Option<u32>,
    inference: &Inference,
    fills_at_load: &mut FillsAtLoad,
) -> Result<(), Rejection> {
    let label = request.cache_start.name();
    let set_up = inference.set_up.as_ref();
    let was = set_up.map_or(COLD, |set_up| set_up.source.start());
    if was != label {
        return Err(Rejection::OtherStart {
            label: label.into(),
            was: was.into(),
        });
    }
    match (set_up, request.cache_start.prefix()) {
        (Some(set_up), Some((prefix, _))) => {
            if !request.input.extends(prefix) {
                return Err(Rejection::NoPrefix { label: label.into() });
            }
            judge_set_up(label, request, set_up)?;
            let fills = judge_held(label, set_up, inference, *fills_at_load)?;
            judge_computed(label, request, set_up, computed, inference)?;
            *fills_at_load = fills;
            Ok(())
        }
        _ => judge_cold(request, computed, inference),
    }
}

/// For a text of unknown length, statistics prove nothing. If the length is known, they decide.
fn judge_cold(request: &Request, computed: Option<u32>, inference: &Inference) -> Result<(), Rejection> {
    let is_known = computed.or_else(|| request.input.token_count()).is_some();
    match inference.kv_cache_before {
        Some(held) if held > 0 && request.depth == 0 && !is_known => Err(Rejection::HeldOther {
            label: COLD.into(),
            held,
            expected: 0,
        }),
        _ => Ok(()),
    }
}

/// The preparing runs must have been cold.
fn judge_set_up(label: &str, request: &Request, set_up: &CacheSetUp) -> Result<(), Rejection> {
    match set_up.cleared_to {
        Some(0) => {}
        Some(held) => {
            return Err(Rejection::HeldOther {
                label: label.into(),
                held,
                expected: 0,
            });
        }
        None => return Err(unproven(label)),
    }
    let prefix = request.cache_start.prefix().map(|(prefix, _)| prefix);
    let lengths = [
        (Some(&request.input), set_up.prompt_tokens),
        (prefix, set_up.prefix_tokens),
    ];
    for (input, computed) in lengths {
        let known = input.and_then(Input::token_count);
        if let Some(prompt) = known.filter(|known| *known != computed) {
            return Err(Rejection::WarmPrefill {
                computed: i32::try_from(computed).unwrap_or(i32::MAX),
                prompt,
            });
        }
    }
    Ok(())
}

/// After a prefix run, the cache holds the prefix, or one position more as after a kept turn. After loading a file it
/// holds the same, or nothing yet. Runtimes differ in when they restore a file, but each does it the same way every
/// time.
fn judge_held(
    label: &str,
    set_up: &CacheSetUp,
    inference: &Inference,
    fills_at_load: FillsAtLoad,
) -> Result<FillsAtLoad, Rejection> {
    let prefix = set_up.prefix_tokens;
    let held = inference.kv_cache_before.ok_or_else(|| unproven(label))?;
    let holds = held == prefix || held == prefix + 1;
    let other = |expected| Rejection::HeldOther {
        label: label.into(),
        held,
        expected,
    };
    match (set_up.source, fills_at_load) {
        (PrefixSource::Run, _) if holds => Ok(fills_at_load),
        (PrefixSource::File, None | Some(true)) if holds => Ok(Some(true)),
        (PrefixSource::File, None | Some(false)) if held == 0 => Ok(Some(false)),
        (PrefixSource::File, Some(false)) => Err(other(0)),
        _ => Err(other(prefix)),
    }
}

fn judge_computed(
    label: &str,
    request: &Request,
    set_up: &CacheSetUp,
    known: Option<u32>,
    inference: &Inference,
) -> Result<(), Rejection> {
    let stats = inference.stats.filter(|stats| !stats.are_zero());
    let computed = stats.ok_or_else(|| unproven(label))?.prefill_tokens;
    let possible = possible(request, set_up, known);
    if u32::try_from(computed).is_ok_and(|computed| possible.contains(&computed)) {
        return Ok(());
    }
    Err(Rejection::ComputedOther {
        label: label.into(),
        computed,
        expected: *possible.start(),
        prompt: set_up.prompt_tokens,
        prefix: set_up.prefix_tokens,
    })
}

/// How many tokens can be left to compute. For token ids, all except the prefix. Text may split into other tokens at
/// the end of the prefix, and the suffix of a chat template is not repeated there. The first run shows how much of the
/// prefix is reused.
fn possible(request: &Request, set_up: &CacheSetUp, known: Option<u32>) -> RangeInclusive<u32> {
    let least = set_up.prompt_tokens.saturating_sub(set_up.prefix_tokens).max(1);
    match (known, request.input.token_count()) {
        (Some(known), _) => known..=known,
        (None, Some(_)) => least..=least,
        (None, None) => least..=set_up.prompt_tokens.saturating_sub(1),
    }
}

fn unproven(label: &str) -> Rejection {
    Rejection::UnprovenStart { label: label.into() }
}

/// Checks what the KV cache held before the run: `depth` tokens or one more. Whether the last token of a turn gets its
/// position in that turn or in the next one is unconfirmed.
pub(super) fn judge_depth(depth: u32, held: Option<u32>, marks: &mut Vec<Mark>) -> Result<(), Rejection> {
    match (depth, held) {
        (0, None | Some(0)) => {}
        (0, Some(positions)) => marks.push(Mark::CacheNotEmpty { positions }),
        (_, None) => marks.push(Mark::DepthUnproven),
        (_, Some(held)) if held != depth && held != depth + 1 => {
            return Err(Rejection::Depth { depth, held });
        }
        (_, Some(_)) => {}
    }
    Ok(())
}
