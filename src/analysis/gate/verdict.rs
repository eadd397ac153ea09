//! What the gate says, as data. Formats for people and programs are made of it elsewhere.

use serde::{Deserialize, Serialize};

use super::comparable::Difference;
use super::limits::Limits;
use crate::analysis::metrics::{Metric, Worse};
use crate::analysis::summary::Disturbance;

/// The verdict of a comparison, and all that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The whole.
    pub overall: Overall,
    /// How the runs were taken.
    pub design: Design,
    /// What was let pass.
    pub limits: Limits,
    /// Each metric that both sides have.
    pub metrics: Vec<Judged>,
    /// Metrics of the baseline that the candidate lacks.
    pub absent: Vec<Absent>,
    /// In what the sides differ, allowed or not.
    pub differences: Vec<Difference>,
    /// The sides, each with its disturbed samples.
    #[serde(default)]
    pub disturbed: Vec<Disturbed>,
    /// What a run, or a pair of runs, takes, in seconds; absent where nothing was run.
    #[serde(default)]
    pub run_seconds: Option<f64>,
    /// What else a reader has to know.
    pub notes: Vec<String>,
}

/// The disturbed samples of one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbed {
    /// `baseline` or `candidate`.
    pub side: String,
    /// Its samples.
    #[serde(flatten)]
    pub disturbance: Disturbance,
}

/// How the runs of a comparison were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Design {
    /// Each side for itself.
    Unpaired {
        /// Runs of the baseline.
        baseline_runs: usize,
        /// Runs of the candidate.
        candidate_runs: usize,
        /// Runs of a calibration that the variation is taken from as well.
        calibration_runs: usize,
    },
    /// Pairs of neighbouring runs.
    Paired {
        /// Pairs.
        pairs: usize,
    },
}

/// The verdict on the whole, by the gravest of what was found, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// No metric got worse by more than its bound, shown for each.
    NoRegression,
    /// Too noisy or too few runs to tell of a metric.
    CannotTell,
    /// A metric of the baseline is absent from the candidate.
    Absent,
    /// A metric got worse by more than its bound.
    Regression,
    /// The sides differ in what must be equal; nothing was judged.
    NotComparable,
}

/// One metric, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Its identifier.
    pub id: String,
    /// The metric.
    pub metric: Metric,
    /// Unit of the values.
    pub unit: String,
    /// Which way is worse.
    pub worse: Worse,
    /// Geometric mean over the baseline's runs.
    pub baseline: f64,
    /// Geometric mean over the candidate's runs.
    pub candidate: f64,
    /// How much worse the candidate is, as a ratio: 0.03 is 3 % worse (3 % more time for the same work), negative is
    /// better. Absent without any way to know the variation between processes.
    pub worse_by: Option<Estimate>,
    /// The bound, as a ratio.
    pub limit: f64,
    /// Probability, adjusted over all metrics (Holm), of such a change for the worse were the true one within the
    /// bound; absent with `worse_by`.
    pub p_worse: Option<f64>,
    /// The same for the better.
    pub p_better: Option<f64>,
    /// Standard deviation between processes, and of one sample within a process, as ratios; absent where unknown.
    pub deviation: Option<Deviation>,
    /// The verdict.
    pub verdict: Verdict,
}

/// An estimate with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate.
    pub estimate: f64,
    /// Lower end of the interval of level 1 - alpha.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// How a metric varies while nothing changes, as ratios.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Deviation {
    /// Between processes.
    pub between: f64,
    /// Of one sample within a process; absent where a run has one.
    pub within: Option<f64>,
}

/// The verdict on one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Worse by more than the bound: the whole interval lies past it, also after control over all metrics.
    Regressed,
    /// Better by more than the bound, likewise.
    Improved,
    /// The whole interval lies within the bound on both sides.
    Equivalent,
    /// The whole interval lies below the bound for worse.
    NotWorse,
    /// The interval has the bound inside.
    CannotTell {
        /// Further runs of the candidate, or pairs, that would be likely to decide; absent when it would take more
        /// than a thousand, or when the variation is unknown.
        more: Option<usize>,
    },
}

/// A metric of the baseline that the candidate lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The identifier, or as much of it as is absent.
    pub id: String,
    /// Why, as far as the candidate's record says.
    pub reason: String,
}

impl Verdict {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::Equivalent => "equivalent",
            Self::NotWorse => "not worse",
            Self::CannotTell { .. } => "cannot tell",
        }
    }
}

impl Overall {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRegression => "no regression",
            Self::CannotTell => "cannot tell",
            Self::Absent => "absent",
            Self::Regression => "regression",
            Self::NotComparable => "not comparable",
        }
    }

    /// The exit code of a program that gives this verdict.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::NoRegression => 0,
            Self::Regression => 1,
            Self::CannotTell => 2,
            Self::NotComparable => 3,
            Self::Absent => 4,
        }
    }
}
