//! How many runs a comparison needs.

use super::moments::{LEAST_DEVIATION, float};
use super::students_t::t_quantile;
use super::unpaired::Variation;

/// Share of the comparisons of an unchanged candidate that should reach a verdict.
const POWER: f64 = 0.90;

/// The smallest bound that a comparison of `runs` runs a side can be expected to decide. With it, nine of ten
/// comparisons of an unchanged candidate show that it is not worse. As a logarithm, like all values here:
///
/// ```text
/// bound = (t(1 - alpha/2) + t(0.90)) · s · √(2 / runs)
/// ```
///
/// `s` is the standard deviation of the mean of a run. `t` is the quantile of Student's t, with the degrees of freedom
/// of `s`. The first summand is half the width of the interval of level 1 - alpha around the estimate, which must stay
/// below the bound. The second is how far above 0 the estimate of an unchanged candidate lies in one of ten
/// comparisons. The runs of the comparison itself improve `s`, so this is on the safe side.
pub(crate) fn smallest_bound(variation: &Variation, runs: usize, alpha: f64) -> f64 {
    let deviation = variation.of_runs.max(LEAST_DEVIATION.powi(2)).sqrt();
    let t = |p| t_quantile(p, variation.freedom);
    (t(1.0 - alpha / 2.0) + t(POWER)) * deviation * (2.0 / float(runs)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::{RunValue, variation};

    fn of(means: &[f64]) -> Variation {
        let run = |mean: &f64| RunValue {
            mean: *mean,
            within: None,
            samples: 1,
        };
        variation(&[&means.iter().map(run).collect::<Vec<_>>()]).expect("runs")
    }

    /// Tables of Student's t with 2 degrees of freedom: 4.302653 (0.975) and 1.885618 (0.90).
    #[test]
    fn by_hand() {
        let variation = of(&[0.0, 0.02, 0.01]);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-7, "{a} {b}");
        close(smallest_bound(&variation, 2, 0.05), 0.061_882_71);
        close(smallest_bound(&variation, 8, 0.05), 0.061_882_71 / 2.0);
        // 9.924843 (0.995).
        close(smallest_bound(&variation, 2, 0.01), 0.118_104_61);
    }

    #[test]
    fn runs_that_never_differ_are_no_proof_of_perfection() {
        assert!(smallest_bound(&of(&[1.0, 1.0, 1.0]), 1, 0.05) > 1e-4);
    }
}
