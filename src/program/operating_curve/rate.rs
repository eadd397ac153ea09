//! A rate of events, with its uncertainty.

use crate::base::number::Float as _;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF as _};

/// Hits among trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) hits: u64,
    pub(crate) trials: u64,
}

impl Rate {
    /// Counts one more trial.
    pub(crate) fn count(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.trials += 1;
    }

    /// The sum of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            trials: self.trials + other.trials,
        }
    }

    /// The share of hits, 0 without trials.
    pub(crate) fn share(self) -> f64 {
        float(self.hits) / float(self.trials.max(1))
    }

    /// The exact 95 % interval of the share (Clopper and Pearson, 1934): quantiles of beta distributions.
    pub(crate) fn bounds(self) -> (f64, f64) {
        let (hits, misses) = (float(self.hits), float(self.trials - self.hits));
        let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(p));
        let lower = if self.hits == 0 {
            0.0
        } else {
            quantile(hits, misses + 1.0, 0.025)
        };
        let upper = if self.hits == self.trials {
            1.0
        } else {
            quantile(hits + 1.0, misses, 0.975)
        };
        (lower, upper)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (lower, upper) = self.bounds();
        let percent = |share: f64| share * 100.0;
        write!(
            f,
            "{:.1} % [{:.1}, {:.1}]",
            percent(self.share()),
            percent(lower),
            percent(upper)
        )
    }
}

fn float(count: u64) -> f64 {
    count.float()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: `scipy.stats.binomtest(3, 20).proportion_ci(method="exact")`, and 1 - 0.025^(1/n).
    #[test]
    fn exact_bounds() {
        let (lower, upper) = Rate { hits: 3, trials: 20 }.bounds();
        assert!(
            (lower - 0.032_070_936_7).abs() < 1e-6 && (upper - 0.378_926_8).abs() < 1e-6,
            "{lower} {upper}"
        );
        let (lower, upper) = Rate { hits: 0, trials: 300 }.bounds();
        assert!(lower == 0.0 && (upper - (1.0 - 0.025_f64.powf(1.0 / 300.0))).abs() < 1e-6);
        assert_eq!(Rate { hits: 5, trials: 5 }.to_string(), "100.0 % [47.8, 100.0]");
        assert_eq!(Rate { hits: 0, trials: 300 }.to_string(), "0.0 % [0.0, 1.2]");
    }
}
