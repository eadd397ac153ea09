//! Whether rkllm-bench can have written a record. Values stored beside the raw stamps must follow from them, which
//! reveals another unit or a number changed by hand.

use std::collections::HashSet;

use super::fault::Fault;
use super::run_record::{ModelRecord, Parameters, PromptRecord, RunRecord, Sample, Status};
use crate::base::foreign::is_active;
use crate::base::number::Long as _;
use crate::inference::{COLD, Inference, Phases};
use crate::machine::sampler::Conditions;

/// Longest duration of a sample, ns: 52 days, within the integers that a float represents exactly.
const MOST_NS: u64 = 1 << 52;
/// Largest relative difference between a stored mean and that of the stamps: the last digits of a float may change in
/// JSON.
const ROUNDING: f64 = 1e-9;

/// Most samples of a prompt, and most warm-up inferences.
pub(crate) const MOST_SAMPLES: usize = 1_000_000;
/// Longest deadline, seconds: a day.
const MOST_SECONDS: u64 = 24 * 60 * 60;
/// Most clients of one server.
const MOST_CLIENTS: u16 = 1024;

type Checked = Result<(), Fault>;

impl RunRecord {
    /// Checks that it can be compared with others; the error names the field that forbids it.
    pub(crate) fn check_comparable(&self) -> Checked {
        comparable(self)
    }

    /// Checks all rules of [`RunRecord::load`] on a record in memory.
    pub(crate) fn check(&self) -> Checked {
        self::record(self)
    }
}

/// All laws of a record.
pub(super) fn record(record: &RunRecord) -> Checked {
    named("run_id", &record.run_id)?;
    named("suite.name", &record.suite.name)?;
    time("started_at", &record.started_at)?;
    if let Some(what) = record.label.as_deref().and_then(|label| self::label(label).err()) {
        return Err(Fault::altered("label", what));
    }
    if let Some(git) = &record.git
        && !super::git::is_revision(&git.revision)
    {
        let what = format!(
            "{} is not a commit's hash",
            crate::base::json::clip(&git.revision)
        );
        return Err(Fault::altered("git.revision", what));
    }
    parameters(&record.parameters)
        .map_err(|(field, what)| Fault::altered(format!("parameters.{field}"), what))?;
    distinct("models", "name", record.models.iter().map(|model| &*model.name))?;
    each("models", &record.models, model)
}

/// Checks the ranges of parameters. The error has the field and what is wrong with it.
pub(crate) fn parameters(parameters: &Parameters) -> Result<(), (&'static str, String)> {
    let within = |field, value: u64, least: u64, most: u64| {
        if (least..=most).contains(&value) {
            Ok(())
        } else {
            Err((field, format!("{value} is not from {least} to {most}")))
        }
    };
    let most = MOST_SAMPLES.long();
    let clients = parameters.server.as_ref().and_then(|server| server.concurrency);
    within("max_context", parameters.max_context.into(), 1, u32::MAX.into())?;
    within("threads", parameters.threads.unwrap_or(1).into(), 1, 127)?;
    within("timeout_s", parameters.timeout_s, 1, MOST_SECONDS)?;
    within("load_timeout_s", parameters.load_timeout_s, 1, MOST_SECONDS)?;
    within("samples", parameters.samples.long(), 1, most)?;
    within("warm_up", parameters.warm_up.long(), 0, most)?;
    within(
        "server.concurrency",
        clients.unwrap_or(1).into(),
        1,
        MOST_CLIENTS.into(),
    )
}

/// Checks that a record can be compared with others: it is complete, and something was measured.
pub(super) fn comparable(record: &RunRecord) -> Checked {
    let word = match record.status {
        Status::Complete => None,
        Status::Running => Some("running: it is in progress, or was killed"),
        Status::Stopped => Some("stopped: it was ended by a signal"),
        Status::Changed => Some("changed: a model's file changed while it was measured"),
    };
    if let Some(word) = word {
        return Err(Fault::at(
            "status",
            format!("{word}; only a complete run can be compared: measure again"),
        ));
    }
    if let Some(index) = record.models.iter().position(|model| model.changed.is_some()) {
        return Err(Fault::at(
            format!("models[{index}].changed"),
            "its figures are not those of one model: measure again",
        ));
    }
    let mut prompts = record.models.iter().flat_map(|model| &model.prompts);
    if !prompts.any(|prompt| !prompt.samples.is_empty()) {
        let (field, what) = match record.models.as_slice() {
            [] => ("models", "no model was run"),
            [model] if model.prompts.is_empty() => ("models[0].prompts", "no prompt was run"),
            _ => ("models", "no prompt has a sample"),
        };
        return Err(Fault::at(
            field,
            format!("{what}: there is nothing to compare; measure again"),
        ));
    }
    Ok(())
}

/// A time of day, RFC 3339.
pub(crate) fn time(field: &str, text: &str) -> Checked {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::altered(
            field,
            format!(
                "{} is not an RFC 3339 time: {error}",
                crate::base::json::clip(text)
            ),
        )),
    }
}

/// Checks the user's label for a run: one line for headings and table cells.
pub(crate) fn label(text: &str) -> Result<String, String> {
    const MOST: usize = 100;
    let count = text.chars().count();
    if text.trim().is_empty() {
        Err("it is empty: write what identifies this run, or leave it out".into())
    } else if count > MOST {
        Err(format!("it has {count} characters: at most {MOST} are taken"))
    } else if let Some(c) = text.chars().find(|c| is_active(*c)) {
        Err(format!("it has the control character {c:?}: leave that out"))
    } else {
        Ok(text.trim().to_owned())
    }
}

/// A name that is shown and that identifies something.
fn named(field: &str, name: &str) -> Checked {
    if name.is_empty() || name.contains(is_active) {
        return Err(Fault::altered(
            field,
            format!("{name:?} is empty or has control characters"),
        ));
    }
    Ok(())
}

fn distinct<'a>(list: &str, key: &str, names: impl Iterator<Item = &'a str>) -> Checked {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        let field = format!("{list}[{index}].{key}");
        named(&field, name)?;
        if !seen.insert(name) {
            return Err(Fault::altered(field, format!("{name} is there twice")));
        }
    }
    Ok(())
}

/// Checks each item of a list, and places the fault in it.
fn each<T>(list: &str, items: &[T], check: impl Fn(&T) -> Checked) -> Checked {
    items
        .iter()
        .enumerate()
        .try_for_each(|(index, item)| check(item).map_err(|fault| fault.within(&format!("{list}[{index}]"))))
}

fn model(model: &ModelRecord) -> Checked {
    if let Some(loaded) = &model.loaded {
        duration("loaded.load_ns", loaded.load_ns)?;
    }
    distinct("prompts", "id", model.prompts.iter().map(|prompt| &*prompt.id))?;
    each("prompts", &model.prompts, prompt)
}

fn prompt(prompt: &PromptRecord) -> Checked {
    if let Some((prefix, _)) = prompt.cache_start.prefix()
        && !prompt.input.extends(prefix)
    {
        return Err(Fault::altered(
            "cache_start",
            "the input does not go on from that prefix",
        ));
    }
    let sample = |taken: &Sample| sample(prompt.cache_start.name(), taken);
    each("warm_up", &prompt.warm_up, sample)?;
    each("samples", &prompt.samples, sample)
}

fn sample(start: &str, sample: &Sample) -> Checked {
    let was = sample
        .inference
        .set_up
        .map_or(COLD, |set_up| set_up.source.start());
    if was != start {
        return Err(Fault::altered(
            "inference.set_up",
            format!("of an inference that began {was}, among those that began {start}"),
        ));
    }
    let stamped = stamped(&sample.inference).map_err(|fault| fault.within("inference"))?;
    statistics(&sample.inference).map_err(|fault| fault.within("inference.stats"))?;
    phases(&sample.phases, &stamped).map_err(|fault| fault.within("phases"))?;
    let mut conditions = sample.conditions.iter();
    conditions
        .try_for_each(conditions_of)
        .map_err(|fault| fault.within("conditions"))
}

fn conditions_of(conditions: &Conditions) -> Checked {
    let shares = [
        ("others_percent", conditions.others_percent),
        ("idle_percent", conditions.idle_percent),
        ("steal_percent", conditions.steal_percent),
        ("waited_percent", conditions.waited_percent),
    ];
    for (field, share) in shares {
        if let Some(percent) = share.filter(|percent| *percent < 0.0 || !percent.is_finite()) {
            return Err(Fault::altered(
                field,
                format!("{percent} % is not a share of time"),
            ));
        }
    }
    each("clocks", &conditions.clocks, |clock| {
        if clock.min_hz > clock.max_hz {
            let what = format!("{} Hz, more than its max_hz of {}", clock.min_hz, clock.max_hz);
            return Err(Fault::altered("min_hz", what));
        }
        Ok(())
    })
}

/// The phases computed from the stamps.
fn stamped(inference: &Inference) -> Result<Phases, Fault> {
    let backwards = |field: &str| Fault::altered(field, "the stamps run backwards, or there is none");
    let phases = inference.phases().ok_or_else(|| backwards("tokens"))?;
    if inference
        .tokens
        .last()
        .is_some_and(|token| token.at_ns > inference.return_ns)
    {
        return Err(backwards("return_ns"));
    }
    duration("return_ns", phases.total_ns)?;
    Ok(phases)
}

fn duration(field: &str, ns: u64) -> Checked {
    if ns > MOST_NS {
        return Err(Fault::altered(
            field,
            format!("{ns} ns: no call takes longer than {MOST_NS} ns (52 days)"),
        ));
    }
    Ok(())
}

fn statistics(inference: &Inference) -> Checked {
    let times = inference.stats.iter().flat_map(|stats| {
        [
            ("prefill_time_ms", stats.prefill_time_ms),
            ("generate_time_ms", stats.generate_time_ms),
        ]
    });
    for (field, ms) in times {
        if !ms.is_finite() || ms < 0.0 {
            return Err(Fault::altered(
                field,
                format!("{ms} ms is not a time, and the ledger rejects such an inference"),
            ));
        }
    }
    Ok(())
}

/// Checks that the stored phases are those of the stamps.
fn phases(stored: &Phases, stamped: &Phases) -> Checked {
    if let Some(ns) = stored
        .decode_ns_per_token
        .filter(|ns| *ns <= 0.0 || !ns.is_finite())
    {
        return Err(Fault::altered(
            "decode_ns_per_token",
            format!("{ns} ns: a token takes more than no time"),
        ));
    }
    if stored.ttft_ns == Some(0) {
        return Err(Fault::altered("ttft_ns", "0 ns: no token comes in no time"));
    }
    agree("ttft_ns", stored.ttft_ns, stamped.ttft_ns)?;
    agree("prefill_ns", stored.prefill_ns, stamped.prefill_ns)?;
    agree("total_ns", Some(stored.total_ns), Some(stamped.total_ns))?;
    agree("worst_gap_ns", stored.worst_gap_ns, stamped.worst_gap_ns)?;
    let (stored, stamped) = (stored.decode_ns_per_token, stamped.decode_ns_per_token);
    let near = stored
        .zip(stamped)
        .is_some_and(|(stored, stamped)| (stored - stamped).abs() <= stamped * ROUNDING);
    if near || (stored.is_none() && stamped.is_none()) {
        return Ok(());
    }
    Err(disagreement("decode_ns_per_token", stored, stamped))
}

fn agree(field: &str, stored: Option<u64>, stamped: Option<u64>) -> Checked {
    if stored == stamped {
        return Ok(());
    }
    Err(disagreement(field, stored, stamped))
}

fn disagreement<T: std::fmt::Display>(field: &str, stored: Option<T>, stamped: Option<T>) -> Fault {
    let shown = |value: Option<T>| value.map_or_else(|| "absent".to_owned(), |value| format!("{value} ns"));
    Fault::altered(
        field,
        format!(
            "{}, but the stamps of the inference give {}: another unit, or changed by hand",
            shown(stored),
            shown(stamped)
        ),
    )
}
