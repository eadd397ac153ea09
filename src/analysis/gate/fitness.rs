//! What a gate can decide, given repeated runs of an unchanged program.

use std::collections::BTreeSet;

use super::{Deviation, Limits, sides};
use crate::analysis::metrics::{self, Metric};
use crate::base::stats::{self, Variation};
use crate::record::RunRecord;

/// Largest number of runs per side that is planned.
pub(crate) const MOST_RUNS: usize = 10;

/// How one metric varies, and which bounds a gate can decide for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fitness {
    /// The metric.
    pub(crate) metric: Metric,
    /// Its own bound, as a ratio.
    pub(crate) limit: f64,
    /// Standard deviations, as ratios.
    pub(crate) deviation: Deviation,
    /// The smallest bound that is likely to be decided with 1, 2, … [`MOST_RUNS`] runs per side, as a ratio. Absent if
    /// the metric is not judged with that many runs.
    decidable: [Option<f64>; MOST_RUNS],
}

impl Fitness {
    fn of(metric: Metric, limit: f64, variation: &Variation, runs: &[&RunRecord], alpha: f64) -> Self {
        let carried = |count| metrics::carries(&metric, runs.iter().copied().cycle().take(count));
        let decidable = std::array::from_fn(|index| {
            let count = index + 1;
            carried(count).then(|| stats::smallest_bound(variation, count, alpha).exp_m1())
        });
        Self {
            limit,
            deviation: Deviation {
                between: variation.between.sqrt(),
                within: variation.within.map(f64::sqrt),
            },
            decidable,
            metric,
        }
    }

    /// The smallest bound that is decided with `runs` runs per side, 1 to [`MOST_RUNS`]. Absent: not judged.
    pub(crate) fn decidable(&self, runs: usize) -> Option<f64> {
        *self.decidable.get(runs.checked_sub(1)?)?
    }

    /// Whether its own bound is decided with `runs` runs per side.
    pub(crate) fn is_decided(&self, runs: usize) -> bool {
        self.decidable(runs).is_none_or(|bound| bound <= self.limit)
    }
}

/// Each judged metric of `runs`, which must be of one suite and one unchanged program. Empty with fewer than two runs.
pub(crate) fn fitness(runs: &[&RunRecord], limits: &Limits) -> Vec<Fitness> {
    let scope = sides::in_all(runs.iter());
    let of_metric = |(metric, values): (Metric, Vec<_>)| {
        let limit = limits.of_metric(&metric)?;
        let variation = stats::variation(&[&values])?;
        (values.len() == runs.len()).then(|| Fitness::of(metric, limit, &variation, runs, limits.alpha))
    };
    let mut values = sides::values(runs, &scope);
    let whole: BTreeSet<Metric> = values
        .iter()
        .filter(|(_, values)| values.len() == runs.len())
        .map(|(metric, _)| metric.clone())
        .collect();
    metrics::without_twins(&mut values, |metric| whole.contains(metric));
    values.into_iter().filter_map(of_metric).collect()
}

/// The fewest runs per side that decide every metric at its own bound. Absent if [`MOST_RUNS`] are not enough.
pub(crate) fn runs_needed(metrics: &[Fitness]) -> Option<usize> {
    (1..=MOST_RUNS).find(|runs| metrics.iter().all(|metric| metric.is_decided(*runs)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    const MS: u64 = 1_000_000;

    /// Runs of ten samples each, all with the run's time to the first token in microseconds.
    fn runs(ttft_us: &[u64]) -> Vec<RunRecord> {
        let of = |us: &u64| fixtures::run(&us.to_string(), &[(us * 1000, 10 * MS); 10]);
        ttft_us.iter().map(of).collect()
    }

    fn fitness_of(runs: &[RunRecord], limits: &Limits) -> Vec<Fitness> {
        fitness(&runs.iter().collect::<Vec<_>>(), limits)
    }

    fn find<'a>(metrics: &'a [Fitness], id: &str) -> &'a Fitness {
        let found = metrics.iter().find(|fitness| fitness.metric.to_string() == id);
        found.expect("a metric")
    }

    /// The logarithms of 50 and 52 ms differ by 0.0392207: a standard deviation of 0.0277332, with one degree of
    /// freedom, whose quantiles are 12.706205 (0.975) and 3.077684 (0.90).
    #[test]
    fn by_hand() {
        let metrics = fitness_of(&runs(&[50_000, 52_000]), &Limits::new(0.05));
        let prefill = find(&metrics, "m/quick/prefill/a");
        let bound = |runs: f64| ((12.706_205 + 3.077_684) * 0.027_733_2 * (2.0 / runs).sqrt()).exp_m1();
        for runs in [1_u8, 3, 5, 10] {
            let decidable = prefill.decidable(usize::from(runs)).expect("carried");
            assert!((decidable - bound(f64::from(runs))).abs() < 1e-5, "{decidable}");
        }
        assert!((prefill.deviation.between - 0.027_733_2).abs() < 1e-6);
        assert_eq!(prefill.decidable(0), None);
        assert_eq!(prefill.decidable(MOST_RUNS + 1), None);
        assert_eq!(runs_needed(&metrics), None);
    }

    #[test]
    fn each_metric_is_held_to_its_own_bound() {
        let steady = runs(&[50_000, 50_100, 50_050, 49_990, 50_020]);
        assert_eq!(runs_needed(&fitness_of(&steady, &Limits::new(0.05))), Some(1));
        // 0.0887 % between runs: by hand 0.313 % is decided with three a side and 0.271 % with four.
        assert_eq!(runs_needed(&fitness_of(&steady, &Limits::new(0.0029))), Some(4));
        let mut limits = Limits::new(0.05);
        limits
            .per_phase
            .insert(crate::analysis::metrics::Measure::Ttft, Some(0.0001));
        assert_eq!(runs_needed(&fitness_of(&steady, &limits)), None);
        limits
            .per_phase
            .insert(crate::analysis::metrics::Measure::Ttft, None);
        assert_eq!(runs_needed(&fitness_of(&steady, &limits)), Some(1));
    }

    #[test]
    fn a_percentile_is_held_to_its_bound_from_as_many_runs_on_as_carry_it() {
        let metrics = fitness_of(&runs(&[50_000, 50_010, 50_020]), &Limits::new(0.05));
        let p90 = find(&metrics, "m/quick/gap_p90");
        assert_eq!((p90.decidable(6), p90.decidable(7).is_some()), (None, true));
        assert!(p90.is_decided(6));
        let p99 = find(&metrics, "m/quick/gap_p99");
        assert_eq!(p99.decidable(MOST_RUNS), None);
    }

    #[test]
    fn one_run_shows_no_variation() {
        assert!(fitness_of(&runs(&[50_000]), &Limits::new(0.05)).is_empty());
    }
}
