//! Compares two sides whose processes were not paired.

use super::change::Change;
use super::moments::{LEAST_DEVIATION, RunValue, float, mean, variance};

/// How a metric varies without any change, between processes and within one (Kalibera and Jones, "Rigorous benchmarking
/// in reasonable time", 2013: variances of nested levels).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Variation {
    /// Variance of the mean of a run: between processes, plus the remaining variance within one.
    pub(crate) of_runs: f64,
    /// Variance between processes; 0 if the variance within them explains everything.
    pub(crate) between: f64,
    /// Variance of one sample within a process; absent if each run has one sample.
    pub(crate) within: Option<f64>,
    /// Degrees of freedom.
    pub(crate) freedom: f64,
    /// Whether all runs have the same number of samples.
    balanced: bool,
}

impl Variation {
    /// Variance of the mean of a run of `samples` samples.
    fn of_run(&self, samples: usize) -> f64 {
        let variance = match self.within {
            Some(within) if !self.balanced => self.between + within / float(samples),
            _ => self.of_runs,
        };
        variance.max(LEAST_DEVIATION.powi(2))
    }
}

/// The pooled variation within groups of equivalent runs. Absent if no group has two runs.
pub(crate) fn variation(groups: &[&[RunValue]]) -> Option<Variation> {
    let mut squares = 0.0;
    let mut freedom = 0;
    for group in groups {
        let means: Vec<f64> = group.iter().map(|run| run.mean).collect();
        squares += variance(&means).unwrap_or_default() * float(group.len().saturating_sub(1));
        freedom += group.len().saturating_sub(1);
    }
    if freedom == 0 {
        return None;
    }
    let runs: Vec<&RunValue> = groups.iter().copied().flatten().collect();
    let of_runs = squares / float(freedom);
    let within: Vec<f64> = runs.iter().filter_map(|run| run.within).collect();
    let of_means: Vec<f64> = runs
        .iter()
        .filter_map(|run| Some(run.within? / float(run.samples)))
        .collect();
    Some(Variation {
        of_runs,
        between: (of_runs - mean(&of_means).unwrap_or_default()).max(0.0),
        within: mean(&within),
        freedom: float(freedom),
        balanced: runs.windows(2).all(|pair| pair[0].samples == pair[1].samples),
    })
}

/// The change between the sides: a t interval on the difference of the means over runs, with `variation` for both
/// sides. Absent if a side has no run.
pub(crate) fn unpaired(
    baseline: &[RunValue],
    candidate: &[RunValue],
    variation: &Variation,
) -> Option<Change> {
    let side = |runs: &[RunValue]| {
        let means: Vec<f64> = runs.iter().map(|run| run.mean).collect();
        let of_runs: f64 = runs.iter().map(|run| variation.of_run(run.samples)).sum();
        Some((mean(&means)?, of_runs / float(runs.len()).powi(2)))
    };
    let (baseline, candidate) = (side(baseline)?, side(candidate)?);
    Some(Change::T {
        estimate: candidate.0 - baseline.0,
        error: (baseline.1 + candidate.1).sqrt(),
        freedom: variation.freedom,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(means: &[f64]) -> Vec<RunValue> {
        let of = |mean: &f64| RunValue {
            mean: *mean,
            within: Some(0.0003),
            samples: 10,
        };
        means.iter().map(of).collect()
    }

    /// Expected values: `scipy.stats.ttest_ind`.
    #[test]
    fn two_sides_with_runs_of_their_own() {
        let (baseline, candidate) = (runs(&[0.0, 0.02, 0.01]), runs(&[0.05, 0.07, 0.09]));
        let variation = variation(&[&baseline, &candidate]).expect("runs");
        let change = unpaired(&baseline, &candidate, &variation).expect("runs");
        let (lower, upper) = change.interval(0.95);
        assert!((lower - 0.024_156_247_82).abs() < 1e-9 && (upper - 0.095_843_752_18).abs() < 1e-9);
        assert!((change.p_above(0.0) * 2.0 - 0.009_678_951_648).abs() < 1e-9);
    }

    #[test]
    fn the_variance_of_runs_is_that_between_processes_and_a_share_of_that_within() {
        let variation = variation(&[&runs(&[0.0, 0.02, 0.01])]).expect("runs");
        assert!((variation.of_runs - 1e-4).abs() < 1e-12);
        assert!((variation.between - (1e-4 - 3e-5)).abs() < 1e-12);
        assert_eq!((variation.within, variation.freedom), (Some(0.0003), 2.0));
    }

    #[test]
    fn one_run_a_side_needs_the_variation_from_elsewhere() {
        let (baseline, candidate) = (runs(&[0.0]), runs(&[0.05]));
        assert_eq!(variation(&[&baseline, &candidate]), None);
        let calibration = runs(&[1.0, 1.02, 1.01]);
        let variation = variation(&[&baseline, &candidate, &calibration]).expect("runs");
        let change = unpaired(&baseline, &candidate, &variation).expect("runs");
        assert_eq!(
            change,
            Change::T {
                estimate: 0.05,
                error: (2.0 * variation.of_runs).sqrt(),
                freedom: 2.0
            }
        );
    }

    #[test]
    fn a_run_of_fewer_samples_counts_for_less() {
        let mut candidate = runs(&[0.05]);
        candidate[0].samples = 2;
        let baseline = runs(&[0.0, 0.02, 0.01]);
        let variation = variation(&[&baseline, &candidate]).expect("runs");
        let between = 1e-4 - (3.0 * 3e-5 + 15e-5) / 4.0;
        assert!((variation.of_run(10) - (between + 3e-5)).abs() < 1e-12);
        assert!((variation.of_run(2) - (between + 15e-5)).abs() < 1e-12);
    }

    #[test]
    fn runs_of_like_length_vary_as_their_means_do_and_others_by_their_parts() {
        let of = |lengths: [usize; 2]| {
            let mut runs = runs(&[0.0, 0.001]);
            for (run, samples) in runs.iter_mut().zip(lengths) {
                run.samples = samples;
            }
            variation(&[&runs]).expect("runs").of_run(10)
        };
        // The variance of the means is 5e-7, that of ten samples 3e-4 / 10.
        assert!((of([10, 10]) - 5e-7).abs() < 1e-12, "{}", of([10, 10]));
        assert!((of([10, 20]) - 3e-5).abs() < 1e-12, "{}", of([10, 20]));
    }
}
