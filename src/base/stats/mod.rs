//! Statistics of the gate: numbers in, numbers out. All values are natural logarithms, so that differences are ratios.

mod adjust;
mod paired;
mod sizing;
mod unpaired;
mod welch;

pub(crate) use adjust::holm;
pub(crate) use paired::paired;
pub(crate) use sizing::smallest_bound;
pub(crate) use unpaired::{Variation, unpaired, variation};
pub(crate) use welch::{Group, welch};

use crate::base::number::Float as _;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The smallest standard deviation between runs that is believed, as a ratio: 0.01 %. Memory is counted in pages and
/// may be the same in all runs at hand, which does not make it the same in the next.
const LEAST_DEVIATION: f64 = 1e-4;

/// One metric in one run (one process).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunValue {
    /// Mean of the logarithms of its samples.
    pub(crate) mean: f64,
    /// Variance of one sample about the mean; absent for a single one.
    pub(crate) within: Option<f64>,
    /// Samples.
    pub(crate) samples: usize,
}

impl RunValue {
    /// Of samples; absent when there is none, or one that has no logarithm.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let logs: Vec<f64> = samples.iter().map(|sample| sample.ln()).collect();
        let mean = mean(&logs)?;
        mean.is_finite().then(|| Self {
            mean,
            within: variance(&logs),
            samples: logs.len(),
        })
    }

    /// Of a quantity that a run has once.
    pub(crate) fn single(value: f64) -> Option<Self> {
        Self::of(&[value])
    }
}

/// What is known of a change: the logarithm of candidate over baseline, with its uncertainty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// Student's t: an estimate, its standard error and degrees of freedom.
    T {
        /// The estimate.
        estimate: f64,
        /// Its standard error.
        error: f64,
        /// Degrees of freedom of the standard error.
        freedom: f64,
    },
    /// Wilcoxon's signed ranks over differences of pairs.
    SignedRanks(paired::SignedRanks),
}

impl Change {
    /// The estimate.
    pub(crate) fn estimate(&self) -> f64 {
        match self {
            Self::T { estimate, .. } => *estimate,
            Self::SignedRanks(ranks) => ranks.estimate(),
        }
    }

    /// The two-sided interval of a confidence `level`, such as 0.95.
    pub(crate) fn interval(&self, level: f64) -> (f64, f64) {
        match self {
            Self::T {
                estimate,
                error,
                freedom,
            } => {
                let width = error * t_quantile(f64::midpoint(1.0, level), *freedom);
                (estimate - width, estimate + width)
            }
            Self::SignedRanks(ranks) => ranks.interval(level),
        }
    }

    /// Probability of such an estimate or a higher one, were the change `bound` or less.
    pub(crate) fn p_above(&self, bound: f64) -> f64 {
        match self {
            Self::T {
                estimate,
                error,
                freedom,
            } => t_tail((estimate - bound) / error, *freedom),
            Self::SignedRanks(ranks) => ranks.p_above(bound),
        }
    }

    /// Probability of such an estimate or a lower one, were the change `bound` or more.
    pub(crate) fn p_below(&self, bound: f64) -> f64 {
        self.negated().p_above(-bound)
    }

    /// The same change, seen from the other side.
    pub(crate) fn negated(&self) -> Self {
        match self {
            Self::T {
                estimate,
                error,
                freedom,
            } => Self::T {
                estimate: -estimate,
                error: *error,
                freedom: *freedom,
            },
            Self::SignedRanks(ranks) => Self::SignedRanks(ranks.negated()),
        }
    }
}

/// The mean; absent without a value.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / float(values.len()))
}

/// The unbiased variance; absent below two values.
pub(crate) fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| squares / float(values.len() - 1))
}

pub(crate) fn float(count: usize) -> f64 {
    count.float()
}

fn students_t(freedom: f64) -> StudentsT {
    // Freedom is a positive count wherever a `Change` is made.
    StudentsT::new(0.0, 1.0, freedom.max(f64::MIN_POSITIVE))
        .unwrap_or_else(|_| unreachable!("freedom is positive"))
}

/// The value that Student's t does not exceed with probability `p`.
pub(crate) fn t_quantile(p: f64, freedom: f64) -> f64 {
    students_t(freedom).inverse_cdf(p)
}

fn t_tail(t: f64, freedom: f64) -> f64 {
    students_t(freedom).sf(t)
}
