//! The gate's result as data. `report` makes formats for people and programs from it.

use serde::{Deserialize, Serialize};

use super::comparable::Difference;
use super::limits::Limits;
use crate::analysis::metrics::{Metric, Worse};
use crate::analysis::summary::Disturbance;

/// The verdict of a comparison, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The overall verdict.
    pub overall: Overall,
    /// How the runs were taken.
    pub design: Design,
    /// The bounds that were used.
    pub limits: Limits,
    /// Each metric that both sides have.
    pub metrics: Vec<Judged>,
    /// Metrics that only the baseline has.
    pub absent: Vec<Absent>,
    /// Differences between the sides, allowed or not.
    pub differences: Vec<Difference>,
    /// The disturbed samples of each side.
    #[serde(default)]
    pub disturbed: Vec<Disturbed>,
    /// Time of a run, or of a pair of runs, seconds. Absent if nothing was run.
    #[serde(default)]
    pub run_seconds: Option<f64>,
    /// Further notes for a reader.
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
    /// Independent sides.
    Unpaired {
        /// Runs of the baseline.
        baseline_runs: usize,
        /// Runs of the candidate.
        candidate_runs: usize,
        /// Runs of a calibration that also contribute to the variation.
        calibration_runs: usize,
    },
    /// Pairs of neighbouring runs.
    Paired {
        /// Pairs.
        pairs: usize,
    },
}

/// The overall verdict: the most severe finding, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// For each metric it was shown that it did not get worse by more than its bound.
    NoRegression,
    /// A metric is undecided: too noisy, or too few runs.
    CannotTell,
    /// The candidate lacks a metric of the baseline.
    Absent,
    /// A metric got worse by more than its bound.
    Regression,
    /// The sides differ in something that must be equal; nothing was judged.
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
    /// Which direction is worse.
    pub worse: Worse,
    /// Geometric mean over the baseline's runs.
    pub baseline: f64,
    /// Geometric mean over the candidate's runs.
    pub candidate: f64,
    /// How much worse the candidate is, as a ratio: 0.03 is 3 % worse (3 % more time for the same work), negative is
    /// better. Absent if the variation between processes is unknown.
    pub worse_by: Option<Estimate>,
    /// The bound, as a ratio.
    pub limit: f64,
    /// p-value, adjusted over all metrics (Holm), of a change for the worse beyond the bound. Absent with `worse_by`.
    pub p_worse: Option<f64>,
    /// The same for the better.
    pub p_better: Option<f64>,
    /// Standard deviation between processes, and of one sample within a process, as ratios. Absent if unknown.
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
    /// Of one sample within a process. Absent if a run has only one sample.
    pub within: Option<f64>,
}

/// The verdict on one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Worse by more than the bound: the whole interval is beyond it, also after error control over all metrics.
    Regressed,
    /// Better by more than the bound, by the same criterion.
    Improved,
    /// The whole interval is within the bound in both directions.
    Equivalent,
    /// The whole interval is below the bound for worse.
    NotWorse,
    /// The interval contains the bound.
    CannotTell {
        /// Further runs of the candidate, or pairs, that are likely to decide. Absent if more than a thousand are
        /// needed, or if the variation is unknown.
        more: Option<usize>,
    },
}

/// A metric of the baseline that the candidate lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The identifier, or a pattern for all absent metrics.
    pub id: String,
    /// The reason, as far as the candidate's record shows it.
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
