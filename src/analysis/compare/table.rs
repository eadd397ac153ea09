//! A comparison as data.

use serde::Serialize;

use crate::analysis::metrics::{Measure, Worse};

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
