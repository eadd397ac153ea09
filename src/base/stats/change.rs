//! The estimate of a change between two sides, with its uncertainty.

use super::signed_ranks::SignedRanks;
use super::students_t::{t_quantile, t_tail};

/// A change: the logarithm of candidate over baseline, with its uncertainty.
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
    SignedRanks(SignedRanks),
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

    /// Probability of this estimate or a higher one if the true change is at most `bound`.
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

    /// Probability of this estimate or a lower one if the true change is at least `bound`.
    pub(crate) fn p_below(&self, bound: f64) -> f64 {
        self.negated().p_above(-bound)
    }

    /// The same change with baseline and candidate exchanged.
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
