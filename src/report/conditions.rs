//! Disturbances of samples and the cost of the sampler, in the same words for all reports.

use super::numbers::percent;
use super::words::plain;
use crate::analysis::summary::{Disturbance, Marked, Summary};
use crate::inputs::hint;
use crate::machine::sampler::SamplerRecord;

/// The share of marked samples of each kind.
pub(super) fn marked(summary: &Summary) -> String {
    let all = summary.requests.successful;
    let kinds = summary.marked.iter().map(|marked| {
        format!(
            "{} {} of {all} ({} %)",
            marked.mark,
            marked.samples,
            percent(marked.share)
        )
    });
    let marked = match kinds.collect::<Vec<_>>().as_slice() {
        [] => format!("marked samples: none of {all}"),
        kinds => format!("marked samples: {}", kinds.join(", ")),
    };
    match unseen(summary) {
        Some(unseen) => format!("{marked}; not seen: {unseen}"),
        None => marked,
    }
}

/// The meaning of each mark for the figures, one line each.
pub(super) fn meanings(summary: &Summary) -> impl Iterator<Item = String> {
    let meaning = |marked: &Marked| Some(format!("{}: {}", marked.mark, plain(marked.meaning.as_ref()?)));
    summary.marked.iter().filter_map(meaning)
}

/// The disturbances that the machine cannot report; absent if it reported all of them during all samples.
fn unseen(summary: &Summary) -> Option<String> {
    let all = summary.requests.successful;
    let kinds = summary.unseen.iter().map(|unseen| match unseen.samples {
        samples if samples == all => unseen.mark.to_owned(),
        samples => format!("{} in {samples}", unseen.mark),
    });
    let kinds: Vec<String> = kinds.collect();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

fn hold_the_clocks() -> String {
    format!("hold the clocks (`{}`)", hint::tool_as_root(&["pin"]))
}

/// How to make processes differ less.
pub(super) fn against_noise() -> String {
    format!(
        "what helps against noise: stop other programs, {}",
        hold_the_clocks()
    )
}

/// Advice on the comparison that noise of the machine disturbs least.
pub(super) fn in_turns() -> String {
    format!(
        "compare two builds in turns (`{}`)",
        hint::tool(&["ab", "--help"])
    )
}

/// What to do if most samples were disturbed.
pub(super) fn advice(disturbance: &Disturbance) -> String {
    let pin = hold_the_clocks();
    let remedies = disturbance.kinds.iter().filter_map(|kind| match kind.as_str() {
        "other_process" => Some("stop other programs, or give the model CPU cores of its own (--cpu-mask)"),
        "lower_frequency" => Some(&*pin),
        "throttled" => Some("let the machine cool down, or cool it better"),
        _ => None,
    });
    let remedies: Vec<&str> = remedies.chain(std::iter::once("then measure again")).collect();
    format!(
        "{} of {} samples were disturbed ({}), so the figures are not those of the model alone: {}",
        disturbance.samples,
        disturbance.of,
        disturbance.kinds.join(", "),
        remedies.join("; ")
    )
}

/// The sampler's cost; absent if none ran.
pub(super) fn sampler(sampler: Option<&SamplerRecord>) -> Option<String> {
    let sampler = sampler?;
    let cost = sampler.cost_percent()?;
    Some(format!(
        "sampler: {} % of one core, {} looks",
        percent(cost / 100.0),
        sampler.ticks
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::sampler::{ClockRange, Conditions};
    use crate::record::fixtures;
    use crate::record::ledger::Mark;

    #[test]
    fn shares_and_cost_in_words() {
        let mut run = fixtures::run("one", &[(20_000_000, 1_000_000), (40_000_000, 2_000_000)]);
        let model = &mut run.models[0];
        assert_eq!(
            marked(&Summary::of(model)),
            "marked samples: none of 4; not seen: throttled, lower_frequency, other_process"
        );
        let seen = Conditions {
            throttled: Some(false),
            waited_percent: Some(0.0),
            clocks: vec![ClockRange {
                clock: "ddr".into(),
                held_hz: None,
                min_hz: 1,
                max_hz: 1,
            }],
            ..Conditions::default()
        };
        for prompt in &mut model.prompts {
            for sample in &mut prompt.samples {
                sample.conditions = Some(seen.clone());
            }
        }
        assert_eq!(marked(&Summary::of(model)), "marked samples: none of 4");
        model.prompts[0].samples[0].conditions = Some(Conditions {
            throttled: None,
            ..seen
        });
        assert_eq!(
            marked(&Summary::of(model)),
            "marked samples: none of 4; not seen: throttled in 1"
        );
        model.prompts[0].samples[0].marks = vec![Mark::Throttled, Mark::NoStats];
        model.prompts[1].samples[0].marks = vec![Mark::NoStats];
        assert_eq!(
            marked(&Summary::of(model)),
            "marked samples: no_stats 2 of 4 (50 %), throttled 1 of 4 (25 %); not seen: throttled in 1"
        );
        let record = SamplerRecord {
            interval_ms: 100,
            cpus: vec![0],
            own_cpus: vec![],
            ticks: 50,
            cpu_ns: 10_000_000,
            elapsed_ns: 5_000_000_000,
        };
        let line = "sampler: 0.2 % of one core, 50 looks";
        assert_eq!(sampler(Some(&record)).as_deref(), Some(line));
        let at_once = SamplerRecord {
            elapsed_ns: 0,
            ..record
        };
        assert_eq!((sampler(Some(&at_once)), sampler(None)), (None, None));
    }
}
