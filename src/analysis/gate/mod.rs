//! The gate: whether a candidate got worse than a baseline by more than the bounds allow.
//!
//! ```
//! use rkllm_bench::gate::{self, Limits, Overall};
//! # fn judge(baseline: &[rkllm_bench::record::RunRecord], candidate: &[rkllm_bench::record::RunRecord]) {
//! let comparison = gate::compare(baseline, candidate, &[], &[], &Limits::new(0.05));
//! if comparison.overall == Overall::Regression {
//!     for judged in &comparison.metrics {
//!         println!("{}: {}", judged.id, judged.verdict.name());
//!     }
//! }
//! # }
//! ```

mod comparable;
mod fitness;
mod limits;
mod sides;
mod verdict;

pub use comparable::{Aspect, Difference};
pub(crate) use comparable::{differences, fingerprint};
pub(crate) use fitness::{Fitness, MOST_RUNS, fitness, runs_needed};
pub use limits::{Limits, PerPhase, Percent};
pub use verdict::{Absent, Comparison, Design, Deviation, Disturbed, Estimate, Judged, Overall, Verdict};

pub(crate) use self::sides::Sides;
use crate::analysis::metrics::Worse;
use crate::analysis::summary::{self, Disturbance, Summary};
use crate::base::number;
use crate::base::stats::{self, Change, RunValue, Variation};
use crate::record::{RunRecord, captions};

/// Largest number of further runs that is suggested.
const MOST_FURTHER_RUNS: f64 = 1000.0;

/// Compares two sides of fresh processes that were run independently.
///
/// The variation between processes comes from both sides and from the runs of `calibration`. One run on a side is
/// enough if there are more elsewhere. `allowed` permits differences that are being tested.
pub fn compare(
    baseline: &[RunRecord],
    candidate: &[RunRecord],
    calibration: &[RunRecord],
    allowed: &[Aspect],
    limits: &Limits,
) -> Comparison {
    let design = Design::Unpaired {
        baseline_runs: baseline.len(),
        candidate_runs: candidate.len(),
        calibration_runs: calibration.len(),
    };
    let input = sides::Input {
        baseline,
        candidate,
        calibration,
        allowed: allowed.iter().copied().collect(),
        limits,
    };
    judge(&input, design)
}

/// Compares pairs of neighbouring fresh processes: `baseline[i]` and `candidate[i]` are a pair.
pub fn compare_pairs(
    baseline: &[RunRecord],
    candidate: &[RunRecord],
    allowed: &[Aspect],
    limits: &Limits,
) -> Comparison {
    let design = Design::Paired {
        pairs: baseline.len().min(candidate.len()),
    };
    let input = sides::Input {
        baseline,
        candidate,
        calibration: &[],
        allowed: allowed.iter().copied().collect(),
        limits,
    };
    judge(&input, design)
}

/// A metric with its change, before error control over all metrics.
struct Tested {
    sides: Sides,
    limit: f64,
    change: Option<Change>,
    variation: Option<Variation>,
}

/// Notes for a reader of the verdict on each side: labels and commits, on which the verdict does not depend, and
/// disturbed samples.
fn notes(input: &sides::Input) -> Vec<String> {
    let sides = [("baseline", input.baseline), ("candidate", input.candidate)];
    let of_side = |(name, runs): (&'static str, &[RunRecord])| {
        let disturbed = summary::disturbed(runs.iter().flat_map(|run| &run.models));
        let notes = captions(runs.iter()).into_iter().chain(disturbed);
        notes.map(|note| format!("{name}: {note}")).collect::<Vec<_>>()
    };
    sides.into_iter().flat_map(of_side).collect()
}

/// The sides with their disturbed samples.
fn disturbed(input: &sides::Input) -> Vec<Disturbed> {
    let of_side = |(side, runs): (&str, &[RunRecord])| Disturbed {
        side: side.to_owned(),
        disturbance: Disturbance::of(runs.iter().flat_map(|run| &run.models)),
    };
    [("baseline", input.baseline), ("candidate", input.candidate)]
        .map(of_side)
        .into()
}

/// Mean time of a run, or of both runs of a pair, summed over their models.
fn run_seconds(input: &sides::Input, design: Design) -> Option<f64> {
    let runs = input.baseline.iter().chain(input.candidate);
    let of_run = |run: &RunRecord| {
        let of_models = run
            .models
            .iter()
            .filter_map(|model| Summary::of(model).duration_s);
        of_models.sum::<f64>()
    };
    let mean = stats::mean(&runs.map(of_run).collect::<Vec<_>>())?;
    Some(match design {
        Design::Unpaired { .. } => mean,
        Design::Paired { .. } => 2.0 * mean,
    })
}

fn judge(input: &sides::Input, design: Design) -> Comparison {
    let differences = input.differences();
    let mut comparison = Comparison {
        overall: Overall::NotComparable,
        design,
        limits: input.limits.clone(),
        metrics: Vec::new(),
        absent: Vec::new(),
        differences,
        disturbed: disturbed(input),
        run_seconds: run_seconds(input, design),
        notes: notes(input),
    };
    if comparison
        .differences
        .iter()
        .any(|difference| !difference.allowed)
    {
        return comparison;
    }
    let (sides, absent) = input.sides();
    comparison.absent = absent;
    comparison.metrics = judge_sides(sides, design, input.limits);
    comparison.overall = overall(&comparison.metrics, &comparison.absent);
    comparison
}

/// The verdict on each judged metric.
pub(crate) fn judge_sides(sides: Vec<Sides>, design: Design, limits: &Limits) -> Vec<Judged> {
    let mut tested = Vec::new();
    for sides in sides {
        if let Some(limit) = limits.of_metric(&sides.metric) {
            let (change, variation) = change_of(&sides, design);
            tested.push(Tested {
                sides,
                limit,
                change,
                variation,
            });
        }
    }
    verdicts(&tested, design, limits.alpha)
}

/// A metric's change, with higher meaning worse, and its variation.
fn change_of(sides: &Sides, design: Design) -> (Option<Change>, Option<Variation>) {
    let variation = stats::variation(&[&sides.baseline, &sides.candidate, &sides.calibration]);
    let change = match design {
        Design::Unpaired { .. } => {
            variation.and_then(|variation| stats::unpaired(&sides.baseline, &sides.candidate, &variation))
        }
        Design::Paired { .. } => {
            let pairs = sides.candidate.iter().zip(&sides.baseline);
            let differences: Vec<f64> = pairs
                .map(|(candidate, baseline)| candidate.mean - baseline.mean)
                .collect();
            stats::paired(&differences)
        }
    };
    let change = change.map(|change| match sides.metric.measure.worse() {
        Worse::Higher => change,
        Worse::Lower => change.negated(),
    });
    (change, variation)
}

/// The verdict on the whole.
pub(crate) fn overall(metrics: &[Judged], absent: &[Absent]) -> Overall {
    let of_metric = |judged: &Judged| match judged.verdict {
        Verdict::Regressed => Overall::Regression,
        Verdict::CannotTell { .. } => Overall::CannotTell,
        Verdict::Improved | Verdict::Equivalent | Verdict::NotWorse => Overall::NoRegression,
    };
    let of_absent = absent.iter().map(|_| Overall::Absent);
    let of_metrics = metrics.iter().map(of_metric);
    // Without any metric nothing was shown.
    of_metrics.chain(of_absent).max().unwrap_or(Overall::CannotTell)
}

/// Controls errors over all metrics and gives each its verdict.
fn verdicts(tested: &[Tested], design: Design, alpha: f64) -> Vec<Judged> {
    let p_worse = adjusted(tested, Change::p_above);
    let p_better = adjusted(tested, |change, limit| change.p_below(-limit));
    tested
        .iter()
        .zip(p_worse.into_iter().zip(p_better))
        .map(|(tested, (p_worse, p_better))| tested.judged(p_worse, p_better, design, alpha))
        .collect()
}

/// p-values adjusted over all metrics.
fn adjusted(tested: &[Tested], p: impl Fn(&Change, f64) -> f64) -> Vec<Option<f64>> {
    let of_metric = |tested: &Tested| Some(p(tested.change.as_ref()?, tested.limit.ln_1p()));
    let p_values: Vec<Option<f64>> = tested.iter().map(of_metric).collect();
    let known: Vec<f64> = p_values.iter().copied().flatten().collect();
    let mut adjusted = stats::holm(&known).into_iter();
    p_values
        .into_iter()
        .map(|p| p.and_then(|_| adjusted.next()))
        .collect()
}

impl Tested {
    fn judged(&self, p_worse: Option<f64>, p_better: Option<f64>, design: Design, alpha: f64) -> Judged {
        let Sides {
            metric,
            baseline,
            candidate,
            ..
        } = &self.sides;
        let value = |runs: &[RunValue]| {
            let means: Vec<f64> = runs.iter().map(|run| run.mean).collect();
            stats::mean(&means).unwrap_or(f64::NAN).exp()
        };
        let interval = self.change.as_ref().map(|change| change.interval(1.0 - alpha));
        let is_shown = |p: Option<f64>| p.is_some_and(|p| p <= alpha / 2.0);
        let bound = self.limit.ln_1p();
        let verdict = match interval {
            None => Verdict::CannotTell { more: None },
            Some(_) if is_shown(p_worse) => Verdict::Regressed,
            Some(_) if is_shown(p_better) => Verdict::Improved,
            Some((lower, upper)) if upper < bound && lower > -bound => Verdict::Equivalent,
            Some((_, upper)) if upper < bound => Verdict::NotWorse,
            Some(interval) => Verdict::CannotTell {
                more: self.further_runs(interval, design),
            },
        };
        Judged {
            id: metric.to_string(),
            unit: metric.measure.unit().to_owned(),
            worse: metric.measure.worse(),
            baseline: value(baseline),
            candidate: value(candidate),
            worse_by: self
                .change
                .as_ref()
                .zip(interval)
                .map(|(change, (lower, upper))| Estimate {
                    estimate: change.estimate().exp_m1(),
                    lower: lower.exp_m1(),
                    upper: upper.exp_m1(),
                }),
            limit: self.limit,
            p_worse,
            p_better,
            deviation: self.variation.map(|variation| Deviation {
                between: variation.between.sqrt(),
                within: variation.within.map(f64::sqrt),
            }),
            verdict,
            metric: metric.clone(),
        }
    }

    /// Further runs that narrow the interval until it excludes the bound, if the estimate stays. Widths fall with the
    /// square root of the number of runs. With the estimate on the bound, no number suffices.
    fn further_runs(&self, (lower, upper): (f64, f64), design: Design) -> Option<usize> {
        let distance = (self.limit.ln_1p() - f64::midpoint(lower, upper)).abs();
        let ratio = (upper - lower) / 2.0 / distance;
        let runs = stats::float(self.sides.candidate.len());
        // The variance is proportional to 1/runs + fixed: the share of a fixed baseline does not fall.
        let fixed = match design {
            Design::Paired { .. } => 0.0,
            Design::Unpaired { .. } => 1.0 / stats::float(self.sides.baseline.len()),
        };
        let share = (1.0 / runs + fixed) / ratio.powi(2) - fixed;
        let further = (1.0 / share - runs).ceil();
        (share > 0.0 && further <= MOST_FURTHER_RUNS)
            .then(|| number::count(further.max(1.0)).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests;
