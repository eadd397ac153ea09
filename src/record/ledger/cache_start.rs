//! Whether an inference began as its label says: cold, behind a prefix that was run, or behind one from a file.

use std::ops::RangeInclusive;

use super::verdict::Rejection;
use crate::inference::{COLD, CacheSetUp, Inference, Input, PrefixSource, Request};

/// When this runtime fills its KV cache from a prompt-cache file: as it loads the file, or in the run that makes use of it.
/// Absent until a run has shown it.
pub(super) type FillsAtLoad = Option<bool>;

/// Judges the start by what the engine did and by what the runtime tells. `computed` is how many tokens the prompt's prefill
/// is known to compute.
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

/// Of a text whose length is not known the statistics alone prove nothing; with the length known, they decide.
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

/// The runs before must have been cold themselves.
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

/// Behind a run its prefix, or one position more, as behind a kept turn. Behind a file that, or nothing yet: when a runtime
/// restores is its own way, but the same each time.
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

/// How many tokens can be left to compute: of ids, all but the prefix. Text may be cut into other tokens where the prefix ends, and
/// what a chat template puts behind the prefix does not come again: how much of it is used the first run tells.
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
