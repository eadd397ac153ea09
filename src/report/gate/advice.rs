//! What would help where the gate cannot tell.

use std::collections::BTreeMap;

use crate::gate::{Comparison, Design, Judged, Verdict};
use crate::metrics::Measure;
use crate::report::numbers::percent;
use crate::report::words::counted;

/// Steps of the bounds that are proposed, as a ratio: finer ones would be read as knowledge.
const BOUND_STEP: f64 = 0.005;
/// The widest bound that the command line takes, as a ratio.
const WIDEST_BOUND: f64 = 100.0;

/// One line for each measure that has metrics which the gate cannot tell of: bounds are given by measure.
pub(super) fn lines(comparison: &Comparison) -> Vec<String> {
    let mut by_measure = BTreeMap::<Measure, Vec<&Judged>>::new();
    let mut unknown = Vec::new();
    for judged in &comparison.metrics {
        if !matches!(judged.verdict, Verdict::CannotTell { .. }) {
            continue;
        }
        match judged.worse_by {
            Some(_) => by_measure.entry(judged.metric.measure).or_default().push(judged),
            None => unknown.push(judged),
        }
    }
    let of_measure = |(measure, metrics): (&Measure, &Vec<&Judged>)| {
        format!(
            "{} ({}): {}{}",
            measure.name(),
            counted(metrics.len(), "metric"),
            runs(metrics, comparison.design),
            bound(*measure, metrics)
        )
    };
    let unknown = (!unknown.is_empty()).then(|| of_unknown(unknown.len(), comparison.design));
    unknown
        .into_iter()
        .chain(by_measure.iter().map(of_measure))
        .collect()
}

/// Where there is no second run to see the variation between processes by.
fn of_unknown(count: usize, design: Design) -> String {
    let what = match design {
        Design::Paired { .. } => "take further pairs (--pairs)",
        Design::Unpaired { .. } => {
            "take a further run on a side, or calibrate: repeat the runs of one program"
        }
    };
    format!(
        "{}: the variation between processes is unknown: {what}",
        counted(count, "metric")
    )
}

/// How many more runs would decide all of `metrics`.
fn runs(metrics: &[&Judged], design: Design) -> String {
    let more = |judged: &&Judged| match judged.verdict {
        Verdict::CannotTell { more } => more,
        _ => Some(0),
    };
    let more: Option<Vec<usize>> = metrics.iter().map(more).collect();
    let most = more.and_then(|more| more.into_iter().max());
    match (most, design) {
        (Some(more), Design::Paired { .. }) => format!("{} would be likely to decide", further(more, "pair")),
        (Some(more), Design::Unpaired { .. }) => {
            format!(
                "{} of the candidate would be likely to decide",
                further(more, "run")
            )
        }
        (None, Design::Paired { .. }) => "more than a thousand further pairs would be needed".into(),
        (None, Design::Unpaired { .. }) => {
            "more runs of the candidate alone would not decide, more of the baseline may".into()
        }
    }
}

fn further(count: usize, what: &str) -> String {
    format!("about {}", counted(count, &format!("further {what}")))
}

/// The smallest bound, in steps, that the intervals of all `metrics` lie below.
fn bound(measure: Measure, metrics: &[&Judged]) -> String {
    let upper = metrics
        .iter()
        .filter_map(|judged| judged.worse_by)
        .map(|worse_by| worse_by.upper)
        .fold(0.0, f64::max);
    // The next step even from a step: the interval must lie below its bound, not on it.
    let bound = ((upper / BOUND_STEP).floor() + 1.0) * BOUND_STEP;
    if bound > WIDEST_BOUND {
        return String::new();
    }
    let percent = percent(bound);
    format!(
        "; with a bound of {percent} % this would have passed: --per-phase {}={percent}%",
        measure.name()
    )
}
