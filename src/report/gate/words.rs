//! Sentences about a comparison that all formats share.

use super::figures;
use crate::analysis::gate::{Comparison, Design, Difference, Judged, Overall, Verdict};
use crate::report::numbers::{percent, value};
use crate::report::words::{counted, plain};

/// The overall verdict in one sentence, which has only counts and fixed words.
pub(super) fn verdict(comparison: &Comparison) -> String {
    let name = comparison.overall.name();
    match comparison.overall {
        Overall::NoRegression => format!("{name}: {}", no_regression(comparison)),
        Overall::Regression => format!(
            "{name}: {} got worse by more than {} bound{}",
            of_all(comparison, regressed(comparison)),
            if regressed(comparison) == 1 {
                "its"
            } else {
                "their"
            },
            also(comparison)
        ),
        Overall::CannotTell if comparison.metrics.is_empty() => {
            format!("{name}: there is no metric to judge")
        }
        Overall::CannotTell => format!(
            "{name} of {}: too few runs, or too much variation between them",
            of_all(comparison, undecided(comparison))
        ),
        Overall::Absent => format!(
            "{name}: the candidate lacks {} of the baseline{}",
            lacking(comparison),
            also(comparison)
        ),
        Overall::NotComparable => {
            format!("{name}: the sides differ in {}", aspects(comparison))
        }
    }
}

fn no_regression(comparison: &Comparison) -> String {
    let better = count(comparison, |verdict| verdict == Verdict::Improved);
    let better = match better {
        0 => String::new(),
        better => format!(", {better} got better"),
    };
    format!(
        "none of {} got worse by more than its bound{better}",
        counted(comparison.metrics.len(), "metric")
    )
}

/// Further findings besides the most serious one.
fn also(comparison: &Comparison) -> String {
    let absent = match comparison.overall {
        Overall::Absent => 0,
        _ => comparison.absent.len(),
    };
    let found = [(undecided(comparison), "cannot tell"), (absent, "absent")];
    let found: Vec<String> = found
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what}: {count}"))
        .collect();
    if found.is_empty() {
        String::new()
    } else {
        format!(" ({})", found.join(", "))
    }
}

/// The number of absent suites, prompts and metrics. A suite's identifier begins with `*`, a prompt's contains one.
fn lacking(comparison: &Comparison) -> String {
    let kind = |id: &str| match id {
        id if id.starts_with("*/") => "suite",
        id if id.contains("/*/") => "prompt",
        _ => "metric",
    };
    let of_kind = |wanted: &str| {
        let found = comparison
            .absent
            .iter()
            .filter(|absent| kind(&absent.id) == wanted);
        found.count()
    };
    let found = ["suite", "prompt", "metric"].map(|kind| (of_kind(kind), kind));
    let found: Vec<String> = found
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| counted(*count, kind))
        .collect();
    found.join(", ")
}

fn aspects(comparison: &Comparison) -> String {
    let mut names: Vec<&str> = blocking(comparison)
        .map(|difference| difference.aspect.name())
        .collect();
    names.dedup();
    names.join(", ")
}

/// How the runs were taken.
pub(super) fn design(design: Design) -> String {
    match design {
        Design::Paired { pairs } => counted(pairs, "pair") + " of neighbouring runs",
        Design::Unpaired {
            baseline_runs,
            candidate_runs,
            calibration_runs,
        } => {
            let calibration = match calibration_runs {
                0 => String::new(),
                runs => format!(", {runs} of a calibration"),
            };
            format!(
                "{} of the baseline, {candidate_runs} of the candidate{calibration}",
                counted(baseline_runs, "run")
            )
        }
    }
}

/// How to read the numbers.
pub(super) fn legend(comparison: &Comparison) -> String {
    format!(
        "worse by: the change for the worse with its {} % interval (negative is better); a regression is called \
         only where the whole interval lies past the bound, errors controlled over all metrics",
        percent(1.0 - comparison.limits.alpha)
    )
}

/// A metric's numbers in one line.
pub(super) fn numbers(judged: &Judged) -> String {
    format!(
        "{}, worse by {}, bound {} %",
        values(judged),
        figures::worse_by(judged),
        percent(judged.limit)
    )
}

/// A metric's values on both sides.
pub(super) fn values(judged: &Judged) -> String {
    format!(
        "{} → {} {}",
        value(judged.baseline),
        value(judged.candidate),
        judged.unit
    )
}

/// A difference, with the values of both sides.
pub(super) fn difference(difference: &Difference) -> String {
    let side = |values: &[String]| {
        let values: Vec<String> = values.iter().map(|value| shortened(value)).collect();
        values.join(", ")
    };
    format!(
        "{}: {} → {}",
        plain(&difference.what),
        side(&difference.baseline),
        side(&difference.candidate)
    )
}

/// The differences that `--allow` does not permit.
pub(super) fn blocking(comparison: &Comparison) -> impl Iterator<Item = &Difference> {
    comparison
        .differences
        .iter()
        .filter(|difference| !difference.allowed)
}

/// The differences that `--allow` permits.
pub(super) fn experiment(comparison: &Comparison) -> impl Iterator<Item = &Difference> {
    comparison
        .differences
        .iter()
        .filter(|difference| difference.allowed)
}

/// The first digits of a digest; any other value unchanged.
fn shortened(value: &str) -> String {
    const SHA256_DIGITS: usize = 64;
    const SHOWN_DIGITS: usize = 12;
    if value.len() == SHA256_DIGITS && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        format!("{}…", &value[..SHOWN_DIGITS])
    } else {
        plain(value)
    }
}

fn of_all(comparison: &Comparison, some: usize) -> String {
    format!("{some} of {}", counted(comparison.metrics.len(), "metric"))
}

fn regressed(comparison: &Comparison) -> usize {
    count(comparison, |verdict| verdict == Verdict::Regressed)
}

fn undecided(comparison: &Comparison) -> usize {
    count(comparison, |verdict| {
        matches!(verdict, Verdict::CannotTell { .. })
    })
}

fn count(comparison: &Comparison, is: impl Fn(Verdict) -> bool) -> usize {
    comparison
        .metrics
        .iter()
        .filter(|judged| is(judged.verdict))
        .count()
}
