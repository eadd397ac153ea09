//! Aligns the runs of two sides, metric by metric.

use std::collections::{BTreeMap, BTreeSet};

use super::comparable::{self, Aspect, Difference};
use super::limits::Limits;
use super::verdict::Absent;
use crate::analysis::metrics::{self, Metric, Prompts};
use crate::base::stats::RunValue;
use crate::record::RunRecord;

/// Input of a comparison.
pub(super) struct Input<'a> {
    pub(super) baseline: &'a [RunRecord],
    pub(super) candidate: &'a [RunRecord],
    /// Runs used only for the variation between processes.
    pub(super) calibration: &'a [RunRecord],
    pub(super) allowed: BTreeSet<Aspect>,
    pub(super) limits: &'a Limits,
}

/// One metric on both sides, a value for each run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sides {
    pub(crate) metric: Metric,
    pub(crate) baseline: Vec<RunValue>,
    pub(crate) candidate: Vec<RunValue>,
    /// Runs used only for the variation between processes.
    pub(crate) calibration: Vec<RunValue>,
}

impl Input<'_> {
    /// Differences between the sides, suite by suite.
    pub(super) fn differences(&self) -> Vec<Difference> {
        let of_suite = |suite: &str| {
            let (baseline, candidate) = (of(self.baseline, suite), of(self.candidate, suite));
            comparable::differences(&baseline, &candidate, &self.allowed)
        };
        let mut differences: Vec<Difference> = self.suites().into_iter().flat_map(of_suite).collect();
        differences.sort_by(|a, b| (a.aspect, &a.what).cmp(&(b.aspect, &b.what)));
        differences.dedup();
        differences
    }

    /// The metrics of both sides, and those that only the baseline has.
    pub(super) fn sides(&self) -> (Vec<Sides>, Vec<Absent>) {
        let (mut sides, mut absent) = (Vec::new(), Vec::new());
        for suite in self.suites() {
            let all = of(self.candidate, suite);
            if all.is_empty() {
                absent.push(Absent {
                    id: format!("*/{suite}"),
                    reason: "the candidate has no run of this suite".into(),
                });
                continue;
            }
            let baseline = of(self.baseline, suite);
            for model in models_of(&baseline) {
                let of_candidate = with(&all, model);
                let runs = Subject {
                    suite,
                    model,
                    baseline: with(&baseline, model),
                    // If no run has the model, all runs are the reason that it is absent.
                    candidate: if of_candidate.is_empty() {
                        all.clone()
                    } else {
                        of_candidate
                    },
                    calibration: with(&of(self.calibration, suite), model),
                };
                runs.collect(&mut sides, &mut absent);
            }
        }
        (sides, absent)
    }

    fn suites(&self) -> BTreeSet<&str> {
        self.baseline.iter().map(|run| run.suite.name.as_str()).collect()
    }
}

fn of<'a>(runs: &'a [RunRecord], suite: &str) -> Vec<&'a RunRecord> {
    runs.iter().filter(|run| run.suite.name == suite).collect()
}

fn models_of<'a>(runs: &[&'a RunRecord]) -> BTreeSet<&'a str> {
    let models = runs.iter().flat_map(|run| &run.models);
    models.map(|model| model.name.as_str()).collect()
}

/// The runs of a model. Two runs of one suite may have different models.
fn with<'a>(runs: &[&'a RunRecord], model: &str) -> Vec<&'a RunRecord> {
    let ran = |run: &&&RunRecord| run.models.iter().any(|other| other.name == model);
    runs.iter().filter(ran).copied().collect()
}

/// The runs of one suite with one model.
struct Subject<'a> {
    suite: &'a str,
    model: &'a str,
    baseline: Vec<&'a RunRecord>,
    candidate: Vec<&'a RunRecord>,
    calibration: Vec<&'a RunRecord>,
}

impl Subject<'_> {
    fn collect(&self, sides: &mut Vec<Sides>, absent: &mut Vec<Absent>) {
        let mut of_baseline = in_any(&self.baseline);
        of_baseline.retain(|(model, _)| model == self.model);
        // A metric over several prompts uses the same prompts in all runs.
        let mut everywhere = in_all(self.baseline.iter().chain(&self.candidate));
        everywhere.retain(|(model, _)| model == self.model);
        for (model, prompt) in of_baseline.difference(&in_all(self.candidate.iter())) {
            absent.push(Absent {
                id: format!("{model}/{}/*/{prompt}", self.suite),
                reason: self.reason(model, prompt),
            });
        }
        let mut baseline = values(&self.baseline, &everywhere);
        baseline.retain(|metric, _| metric.model == self.model);
        let candidate = values(&self.candidate, &everywhere);
        let whole = |of_side: &BTreeMap<Metric, Vec<RunValue>>, metric: &Metric, runs: usize| {
            of_side.get(metric).is_some_and(|values| values.len() == runs)
        };
        let known = baseline.clone();
        metrics::without_twins(&mut baseline, |metric| {
            whole(&known, metric, self.baseline.len()) && whole(&candidate, metric, self.candidate.len())
        });
        let calibration = values(&self.calibration, &everywhere);
        for (metric, of_baseline) in baseline {
            let carried = |runs: &[&RunRecord]| metrics::carries(&metric, runs.iter().copied());
            if of_baseline.len() < self.baseline.len()
                || !carried(&self.baseline)
                || !carried(&self.candidate)
            {
                continue;
            }
            match candidate.get(&metric) {
                Some(of_candidate) if of_candidate.len() == self.candidate.len() => sides.push(Sides {
                    baseline: of_baseline,
                    candidate: of_candidate.clone(),
                    calibration: calibration.get(&metric).cloned().unwrap_or_default(),
                    metric,
                }),
                _ => absent.push(Absent {
                    id: metric.to_string(),
                    reason: "the candidate's record has no value for it".into(),
                }),
            }
        }
    }

    /// Why the candidate has no samples of a prompt.
    fn reason(&self, model: &str, prompt: &str) -> String {
        for run in &self.candidate {
            let Some(of_model) = run.models.iter().find(|other| other.name == model) else {
                return format!("run {} did not run this model", run.run_id);
            };
            if let Some(failure) = &of_model.load_failure {
                return format!("run {}: the model was not loaded: {failure}", run.run_id);
            }
            match of_model.prompts.iter().find(|other| other.id == prompt) {
                None => return format!("run {} did not run this prompt", run.run_id),
                Some(record) => {
                    if let Some(reason) = &record.given_up {
                        return format!("run {}: the prompt was given up: {reason}", run.run_id);
                    }
                }
            }
        }
        "it has no samples".into()
    }
}

fn in_any(runs: &[&RunRecord]) -> Prompts {
    runs.iter()
        .flat_map(|run| metrics::prompts_with_samples(run))
        .collect()
}

pub(super) fn in_all<'a>(runs: impl Iterator<Item = &'a &'a RunRecord>) -> Prompts {
    let of_runs = runs.map(|run| metrics::prompts_with_samples(run));
    of_runs.reduce(|a, b| &a & &b).unwrap_or_default()
}

/// The values of each metric over some runs, in their order.
pub(super) fn values(runs: &[&RunRecord], scope: &Prompts) -> BTreeMap<Metric, Vec<RunValue>> {
    let mut values = BTreeMap::<Metric, Vec<RunValue>>::new();
    for run in runs {
        for (metric, value) in metrics::of_run(run, scope) {
            values.entry(metric).or_default().push(value);
        }
    }
    values
}
