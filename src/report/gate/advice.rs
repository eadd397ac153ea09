//! What would help if the gate cannot decide. Only practical advice is given.

use crate::base::number;
use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::gate::{Comparison, Design, Judged, Limits, Verdict};
use crate::analysis::metrics::Measure;
use crate::report::conditions;
use crate::report::numbers::{bound_above, percent};
use crate::report::words::counted;

/// Most further runs or pairs that the advice proposes.
const MOST_FURTHER: usize = 100;
/// Most time that they may take, seconds.
const MOST_SECONDS: f64 = 3600.0;

/// The first advice if most samples of a side were disturbed, since more runs would be disturbed too.
pub(super) fn disturbed(comparison: &Comparison) -> Vec<String> {
    let most = comparison
        .disturbed
        .iter()
        .filter(|side| side.disturbance.is_most());
    most.map(|side| format!("{}: {}", side.side, conditions::advice(&side.disturbance)))
        .collect()
}

/// Whether `further` runs or pairs of this many seconds each are practical.
pub(crate) fn is_feasible(further: usize, seconds: Option<f64>) -> bool {
    let all = u32::try_from(further).map_or(f64::INFINITY, f64::from) * seconds.unwrap_or(0.0);
    further <= MOST_FURTHER && all <= MOST_SECONDS
}

/// One line for each measure with undecided metrics, because bounds apply to measures, and advice against noise.
///
/// If most samples were disturbed, there is no advice on runs or bounds.
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
    let mut lines = Vec::new();
    if !unknown.is_empty() {
        lines.push(of_unknown(unknown.len(), comparison.design));
    }
    if !disturbed(comparison).is_empty() {
        return lines;
    }
    let mut is_noisy = false;
    for (measure, metrics) in &by_measure {
        let runs = runs(metrics, comparison);
        is_noisy |= runs.is_none();
        lines.push(format!(
            "{} ({}): {}; {}",
            measure.name(),
            counted(metrics.len(), "metric"),
            runs.unwrap_or_else(|| too_noisy(metrics)),
            bound(metrics, &comparison.limits)
        ));
    }
    if is_noisy {
        lines.push(against_noise(comparison.design));
    }
    lines
}

/// Advice for metrics whose variation between processes is unknown, because there is no second run.
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

/// How many more runs would decide all of `metrics`; absent if the number is not practical.
fn runs(metrics: &[&Judged], comparison: &Comparison) -> Option<String> {
    let more = metrics.iter().map(|judged| match judged.verdict {
        Verdict::CannotTell { more } => more,
        _ => Some(0),
    });
    let more = more.collect::<Option<Vec<usize>>>().map(most);
    let feasible = |further: usize| is_feasible(further, comparison.run_seconds);
    match (more, comparison.design) {
        (Some(more), Design::Paired { .. }) if feasible(more) => {
            Some(format!("{} would be likely to decide", further(more, "pair")))
        }
        (Some(more), Design::Unpaired { .. }) if feasible(more) => Some(format!(
            "{} of the candidate would be likely to decide",
            further(more, "run")
        )),
        (
            _,
            Design::Unpaired {
                baseline_runs,
                candidate_runs,
                ..
            },
        ) => {
            let of_sides = [baseline_runs, candidate_runs];
            let sides: Option<Vec<usize>> = metrics.iter().map(|judged| a_side(judged, of_sides)).collect();
            let sides = most(sides?);
            let further = of_sides.map(|there| sides.saturating_sub(there)).iter().sum();
            feasible(further).then(|| {
                format!(
                    "more runs of the candidate alone would not decide; {} a side would be likely to",
                    counted(sides, "run")
                )
            })
        }
        _ => None,
    }
}

fn most(counts: Vec<usize>) -> usize {
    counts.into_iter().max().unwrap_or(0)
}

/// Runs a side that would narrow the interval until it excludes the bound, if the estimate stays the same; absent if no
/// number is enough.
fn a_side(judged: &Judged, sides: [usize; 2]) -> Option<usize> {
    let worse_by = judged.worse_by?;
    let (lower, upper) = (worse_by.lower.ln_1p(), worse_by.upper.ln_1p());
    let distance = (judged.limit.ln_1p() - f64::midpoint(lower, upper)).abs();
    let ratio = (upper - lower) / 2.0 / distance;
    let share: Option<f64> = sides
        .iter()
        .map(|runs| Some(1.0 / f64::from(u32::try_from(*runs).ok()?)))
        .sum();
    let runs = (2.0 * ratio.powi(2) / share?).ceil();
    (runs <= 1000.0).then(|| number::count(runs.max(1.0)).unwrap_or(usize::MAX))
}

fn further(count: usize, what: &str) -> String {
    format!("about {}", counted(count, &format!("further {what}")))
}

fn too_noisy(metrics: &[&Judged]) -> String {
    let bound = metrics
        .iter()
        .map(|judged| judged.limit)
        .fold(f64::INFINITY, f64::min);
    format!("too noisy here for a bound of {} %", percent(bound))
}

fn against_noise(design: Design) -> String {
    let turns = match design {
        Design::Paired { .. } => String::new(),
        Design::Unpaired { .. } => {
            format!(", or {}", conditions::in_turns())
        }
    };
    format!("{}, take a wider bound{turns}", conditions::against_noise())
}

/// The smallest bound above the intervals of all `metrics`, or the advice to leave the measure out.
fn bound(metrics: &[&Judged], limits: &Limits) -> String {
    let upper = metrics
        .iter()
        .filter_map(|judged| judged.worse_by)
        .map(|worse_by| worse_by.upper)
        .fold(0.0, f64::max);
    let measures: BTreeSet<Measure> = metrics
        .iter()
        .flat_map(|judged| limits.names_of(&judged.metric))
        .collect();
    let flag = |bound: &str| {
        let phases = measures
            .iter()
            .map(|measure| format!("{}={bound}", measure.name()));
        format!("--per-phase {}", phases.collect::<Vec<_>>().join(","))
    };
    match bound_above(upper) {
        Some(bound) => {
            let percent = percent(bound);
            let flag = flag(&format!("{percent}%"));
            format!("with a bound of {percent} % this would have passed: {flag}")
        }
        None => format!("no sane bound would do, so leave it out: {}", flag("off")),
    }
}
