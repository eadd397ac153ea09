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

/// Inference of one comparison: what a change may cost in a pipeline.
const SECONDS: f64 = 300.0;
/// Runs a side without pairs.
const RUNS: usize = 10;

/// The slowdowns: condition, truth.
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

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Real {
    /// Pairs of each comparison.
    pub(super) pairs: usize,
    /// Seconds of inference of a pair.
    pub(super) seconds_per_pair: f64,
    /// Runs on each side of the comparisons without pairs.
    pub(super) runs: usize,
    /// A row a condition.
    pub(super) rows: Vec<Row>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) condition: &'static str,
    /// Pairs recorded.
    pub(super) recorded: usize,
    /// With pairs, for each of [`BOUNDS`].
    pub(super) paired: Vec<Tally>,
    /// Without, at a bound of 5 %.
    pub(super) unpaired: Tally,
    /// Criterion's: comparisons in which any benchmark "regressed".
    pub(super) criterion_any: Rate,
    /// Criterion's: benchmarks that "regressed".
    pub(super) criterion_each: Rate,
}

/// Draws and judges: `comparisons` of like with like, a fifth of it with each slowdown.
///
/// # Errors
/// When criterion's process fails.
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

/// Pairs of a comparison, as many as the least recorded condition has at most: a drawn comparison does not know more
/// than the pool.
fn pairs_within(seconds_per_pair: f64, pool: &Pool) -> usize {
    let fewest = pool.conditions.values().map(Vec::len).min().unwrap_or_default();
    let fit = number::count(SECONDS / seconds_per_pair).unwrap_or_default();
    fit.min(fewest)
}

/// Without putting back where there are twice as many to draw from: a draw is then as good as fresh pairs. Where there
/// are not, with putting back: each draw then has the chance of the pool in it besides its own.
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
        // Two sides that were not taken together: the runs of one side come from other pairs than those of the other.
        let runs = RUNS.min(pairs / 2);
        let (base, candidate) = (&base[..runs], &candidate[pairs - runs..]);
        let design = Design::Unpaired {
            baseline_runs: runs,
            candidate_runs: runs,
            calibration_runs: 0,
        };
        self.unpaired
            .count(pool.sides(base, candidate), design, &Limits::new(0.05), truth);
        // Criterion compares one process with another.
        let regressed = criterion::regressed(base[0], candidate[0])?;
        self.criterion_any.count(regressed.contains(&true));
        for regressed in regressed {
            self.criterion_each.count(regressed);
        }
        Ok(())
    }
}
