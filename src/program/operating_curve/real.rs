//! Comparisons drawn from the pool of recorded processes.

use crate::base::number::{self, Long as _};
use rand::seq::index;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::criterion;
use super::pool::{Pair, Pool, Run};
use super::rate::Rate;
use super::tally::{SEED, Tally, Truth};
use crate::analysis::gate::{Design, Limits};
use crate::analysis::metrics::Measure;
use crate::base::error::Result;

/// Inference time of one comparison, seconds: what a pipeline may spend on a change.
const SECONDS: f64 = 300.0;
/// Runs on each side in comparisons without pairs.
const RUNS: usize = 10;

/// The conditions, each with its slowdown.
pub(super) const CONDITIONS: [(&str, Truth); 5] = [
    ("none", Truth::NONE),
    (
        "prefill=3%",
        Truth {
            slowed: Measure::Ttft,
            by: 0.03,
        },
    ),
    (
        "prefill=5%",
        Truth {
            slowed: Measure::Ttft,
            by: 0.05,
        },
    ),
    (
        "decode=3%",
        Truth {
            slowed: Measure::Decode,
            by: 0.03,
        },
    ),
    (
        "decode=5%",
        Truth {
            slowed: Measure::Decode,
            by: 0.05,
        },
    ),
];

/// Bounds of the comparisons.
pub(super) const BOUNDS: [f64; 3] = [0.0, 0.01, 0.02];

/// The results of all conditions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Real {
    /// Number of pairs of each comparison.
    pub(super) pairs: usize,
    /// Inference time of a pair, seconds.
    pub(super) seconds_per_pair: f64,
    /// Runs on each side of the comparisons without pairs.
    pub(super) runs: usize,
    /// One row for each condition.
    pub(super) rows: Vec<Row>,
}

/// The results of one condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) condition: &'static str,
    /// Number of recorded pairs.
    pub(super) recorded: usize,
    /// Comparisons with pairs, for each of [`BOUNDS`].
    pub(super) paired: Vec<Tally>,
    /// Comparisons without pairs, at a bound of 5 %.
    pub(super) unpaired: Tally,
    /// Comparisons in which criterion called any benchmark regressed.
    pub(super) criterion_any: Rate,
    /// Benchmarks that criterion called regressed.
    pub(super) criterion_each: Rate,
}

/// Draws and judges comparisons: `comparisons` without a slowdown, and a fifth of this number with each slowdown.
///
/// # Errors
/// If criterion's process fails.
pub(super) fn judge(pool: &Pool, comparisons: usize) -> Result<Real> {
    let all = || pool.conditions.values().flatten();
    let seconds: f64 = all().map(|pair| pair.seconds).sum();
    let seconds_per_pair = seconds / crate::base::stats::float(all().count().max(1));
    let pairs = pairs_within(seconds_per_pair, pool);
    let mut rows = Vec::new();
    for (index, (condition, truth)) in CONDITIONS.into_iter().enumerate() {
        let recorded = pool.pairs(condition);
        if recorded.is_empty() {
            continue;
        }
        let mut row = Row {
            condition,
            recorded: recorded.len(),
            paired: vec![Tally::default(); BOUNDS.len()],
            unpaired: Tally::default(),
            criterion_any: Rate::default(),
            criterion_each: Rate::default(),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(SEED + index.long());
        let comparisons = if truth == Truth::NONE {
            comparisons
        } else {
            comparisons / 5
        };
        for _ in 0..comparisons {
            row.draw(pool, recorded, pairs, truth, &mut rng)?;
        }
        rows.push(row);
    }
    Ok(Real {
        pairs,
        seconds_per_pair,
        runs: RUNS,
        rows,
    })
}

/// Number of pairs of a comparison. It is at most that of the condition with the fewest recorded pairs, because a
/// drawn comparison has no more information than the pool.
fn pairs_within(seconds_per_pair: f64, pool: &Pool) -> usize {
    let fewest = pool.conditions.values().map(Vec::len).min().unwrap_or_default();
    let fit = number::count(SECONDS / seconds_per_pair).unwrap_or_default();
    fit.min(fewest)
}

/// Draws the pairs of a comparison. If twice as many were recorded, they are drawn without replacement, which is as
/// good as fresh pairs. Otherwise they are drawn with replacement, which adds the chance of the pool to that of the
/// draw.
fn draw_pairs<'a>(recorded: &'a [Pair], pairs: usize, rng: &mut ChaCha8Rng) -> Vec<&'a Pair> {
    if recorded.len() >= 2 * pairs {
        let indices = index::sample(rng, recorded.len(), pairs);
        indices.into_iter().map(|index| &recorded[index]).collect()
    } else {
        (0..pairs)
            .map(|_| &recorded[rng.random_range(0..recorded.len())])
            .collect()
    }
}

impl Row {
    fn draw(
        &mut self,
        pool: &Pool,
        recorded: &[Pair],
        pairs: usize,
        truth: Truth,
        rng: &mut ChaCha8Rng,
    ) -> Result<()> {
        let drawn = draw_pairs(recorded, pairs, rng);
        let base: Vec<&Run> = drawn.iter().map(|pair| &pair.base).collect();
        let candidate: Vec<&Run> = drawn.iter().map(|pair| &pair.candidate).collect();
        for (tally, bound) in self.paired.iter_mut().zip(BOUNDS) {
            let design = Design::Paired { pairs };
            tally.count(pool.sides(&base, &candidate), design, &Limits::new(bound), truth);
        }
        // The runs of the two sides come from different pairs, so they were not recorded together.
        let runs = RUNS.min(pairs / 2);
        let (base, candidate) = (&base[..runs], &candidate[pairs - runs..]);
        let design = Design::Unpaired {
            baseline_runs: runs,
            candidate_runs: runs,
            calibration_runs: 0,
        };
        self.unpaired
            .count(pool.sides(base, candidate), design, &Limits::new(0.05), truth);
        // Criterion compares one process with one other.
        let regressed = criterion::regressed(base[0], candidate[0])?;
        self.criterion_any.count(regressed.contains(&true));
        for regressed in regressed {
            self.criterion_each.count(regressed);
        }
        Ok(())
    }
}
