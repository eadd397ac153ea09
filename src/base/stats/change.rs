//! What two sides' samples say of a change.

use super::signed_ranks::SignedRanks;
use super::students_t::{t_quantile, t_tail};

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
