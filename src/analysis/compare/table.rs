//! A comparison as data.

use serde::Serialize;

use crate::analysis::metrics::{Measure, Worse};

/// A compared model of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The model's name, followed by ` @ ` and the source's name if several subjects have this model.
    pub label: String,
    /// The model's name.
    pub model: String,
    /// The source's name.
    pub source: String,
    /// Runs of the source that have this model.
    pub runs: usize,
    /// Their distinct labels and commits. Empty if no run has any.
    pub captions: Vec<String>,
}

/// A comparison of models and runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The subjects. Ratios are relative to the first that has the metric's suite.
    pub subjects: Vec<Subject>,
    /// One table per suite, ordered by the suite's name.
    pub suites: Vec<SuiteTable>,
    /// Differences between the subjects, and what the figures do not show.
    pub notes: Vec<String>,
}

/// The figures of one suite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuiteTable {
    /// The suite's name.
    pub suite: String,
    /// Index of the subject that ratios are relative to.
    pub reference: usize,
    /// Ids of the prompts that all subjects have. Figures without a prompt are taken over these.
    pub common_prompts: Vec<String>,
    /// One row per metric.
    pub rows: Vec<Row>,
}

/// One metric of all subjects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What is measured.
    pub measure: Measure,
    /// The prompt's id. Absent: a metric of the model, or the geometric mean over [`SuiteTable::common_prompts`].
    pub prompt: Option<String>,
    /// The values' unit.
    pub unit: &'static str,
    /// Which direction is worse.
    pub worse: Worse,
    /// One entry per subject, in their order. Absent if a subject has no value.
    pub cells: Vec<Option<Cell>>,
}

/// One metric of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cell {
    /// Geometric mean over the samples of a run, and over the runs.
    pub value: f64,
    /// Value divided by the reference's value. Absent for the reference, and if that has no value.
    pub ratio: Option<Ratio>,
    /// Whether it is the best, or its interval to the best one includes 1, so that the two are indistinguishable. None
    /// is best if that holds for all subjects, or if an interval to the best one is missing.
    pub best: bool,
}

/// A ratio with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The estimate.
    pub estimate: f64,
    /// Its 95 % interval. Absent if a side has fewer than two values.
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
