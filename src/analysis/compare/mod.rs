//! Models and runs beside each other, for people: values, ratios to the first, and which one is best. No verdict: that
//! is the gate's.
//!
//! A ratio's interval is Welch's t at 95 % on logarithms, of each ratio by itself: over the runs where both subjects have two
//! or more, over the samples of the one process where both have one run. Processes differ by more than the samples
//! of one show, so an interval of the latter kind is too narrow for the next process; [`Comparison::notes`] says so.

mod notes;
mod rows;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::analysis::metrics::{self, Measure, Prompts, Worse};
use crate::record::RunRecord;

/// Runs under one name: those of a baseline, of a pattern, or one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its runs, of any suites.
    pub runs: Vec<RunRecord>,
}

/// What is compared: a model of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The model's name; with ` @ ` and the source's where several subjects are of that name.
    pub label: String,
    /// The model's name.
    pub model: String,
    /// The source's name.
    pub source: String,
    /// Runs of the source that have this model.
    pub runs: usize,
    /// Their labels and commits, each once; empty where no run has any.
    pub captions: Vec<String>,
}

/// Models and runs beside each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The subjects; ratios are to the first that has the metric's suite.
    pub subjects: Vec<Subject>,
    /// One table a suite, by the suite's name.
    pub suites: Vec<SuiteTable>,
    /// In what the subjects differ, and what the figures do not show.
    pub notes: Vec<String>,
}

/// The figures of one suite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuiteTable {
    /// The suite's name.
    pub suite: String,
    /// Index of the subject that ratios are to.
    pub reference: usize,
    /// Ids of the prompts that all subjects have: what figures without a prompt are taken of.
    pub common_prompts: Vec<String>,
    /// One row a metric.
    pub rows: Vec<Row>,
}

/// One metric of all subjects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What is measured.
    pub measure: Measure,
    /// The prompt's id; absent: of the model, or the geometric mean over [`SuiteTable::common_prompts`].
    pub prompt: Option<String>,
    /// The values' unit.
    pub unit: &'static str,
    /// Which way is worse.
    pub worse: Worse,
    /// One entry a subject, in their order; absent where a subject has no value.
    pub cells: Vec<Option<Cell>>,
}

/// One metric of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cell {
    /// Geometric mean over the samples of a run, and over the runs.
    pub value: f64,
    /// Value over that of the reference; absent for the reference itself, and where that has none.
    pub ratio: Option<Ratio>,
    /// Whether it is the best, or its interval to the best one includes 1, so that the two cannot be told apart. Nobody
    /// is best where that holds of all subjects, or where an interval to the best one is missing.
    pub best: bool,
}

/// A ratio and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The estimate.
    pub estimate: f64,
    /// Its 95 % interval; absent where a side has fewer than two values.
    pub interval: Option<Interval>,
}

/// A 95 % interval of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// What it was taken over.
    pub over: Over,
}

/// What an interval was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Runs, each a process of its own.
    Runs,
    /// Samples of one process on each side.
    Samples,
}

impl Over {
    /// Its name in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Samples => "samples",
        }
    }
}

/// The different labels and commits of some runs, in words; empty where none has any.
pub(crate) fn captions<'a>(runs: impl Iterator<Item = &'a RunRecord>) -> Vec<String> {
    let words: BTreeSet<String> = runs.filter_map(RunRecord::caption).collect();
    words.into_iter().collect()
}

/// The models of one run beside each other.
pub fn of_run(run: &RunRecord) -> Comparison {
    compare(&[Source {
        name: run.run_id.clone(),
        runs: vec![run.clone()],
    }])
}

/// The models of all sources beside each other, in the order of the sources and of the models in their runs.
pub fn compare(sources: &[Source]) -> Comparison {
    let members: Vec<Member> = sources.iter().flat_map(Member::of).collect();
    let subjects = members.iter().map(|member| member.subject(&members)).collect();
    let mut names: Vec<&str> = members.iter().flat_map(Member::suites).collect();
    names.sort_unstable();
    names.dedup();
    let mut comparison = Comparison {
        subjects,
        suites: names
            .iter()
            .filter_map(|suite| rows::table(suite, &members))
            .collect(),
        notes: Vec::new(),
    };
    comparison.notes = notes::of(&comparison, &members);
    comparison
}

/// A subject with its runs.
struct Member<'a> {
    source: &'a str,
    model: &'a str,
    runs: Vec<&'a RunRecord>,
}

impl<'a> Member<'a> {
    fn of(source: &'a Source) -> Vec<Self> {
        let mut members: Vec<Self> = Vec::new();
        for run in &source.runs {
            for model in &run.models {
                match members.iter_mut().find(|member| member.model == model.name) {
                    Some(member) => member.runs.push(run),
                    None => members.push(Self {
                        source: &source.name,
                        model: &model.name,
                        runs: vec![run],
                    }),
                }
            }
        }
        members
    }

    fn subject(&self, all: &[Self]) -> Subject {
        let namesakes = all.iter().filter(|other| other.model == self.model).count();
        Subject {
            label: match namesakes {
                1 => self.model.to_owned(),
                _ => format!("{} @ {}", self.model, self.source),
            },
            model: self.model.to_owned(),
            source: self.source.to_owned(),
            runs: self.runs.len(),
            captions: captions(self.runs.iter().copied()),
        }
    }

    fn suites(&self) -> impl Iterator<Item = &'a str> {
        self.runs.iter().map(|run| run.suite.name.as_str())
    }

    fn runs_of(&self, suite: &str) -> Vec<&'a RunRecord> {
        let runs = self.runs.iter().copied();
        runs.filter(|run| run.suite.name == suite).collect()
    }

    /// The prompts of this model that all its runs of a suite have samples of.
    fn prompts(&self, suite: &str) -> Prompts {
        let of_runs = self.runs_of(suite).into_iter().map(metrics::prompts_with_samples);
        let mut prompts = of_runs.reduce(|a, b| &a & &b).unwrap_or_default();
        prompts.retain(|(model, _)| model == self.model);
        prompts
    }
}

#[cfg(test)]
mod tests;
