//! Wilcoxon's signed ranks.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::moments::float;
use crate::base::number;

/// Wilcoxon's signed ranks, with the estimate and interval of Hodges and Lehmann. Both use the means of all pairs of
/// differences ("Walsh averages"). Exact up to [`EXACT_UP_TO`] differences, a normal approximation beyond. (Hollander,
/// Wolfe and Chicken, Nonparametric Statistical Methods, chapter 3.)
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignedRanks {
    differences: Vec<f64>,
    /// Walsh averages, ascending.
    averages: Vec<f64>,
}

/// Most differences for which the distribution of the signed ranks is computed exactly. Beyond, the normal
/// approximation has heavier tails than the true distribution, so its errors are on the safe side.
const EXACT_UP_TO: usize = 30;

impl SignedRanks {
    pub(super) fn of(differences: &[f64]) -> Self {
        let mut averages = Vec::with_capacity(differences.len() * (differences.len() + 1) / 2);
        for (index, a) in differences.iter().enumerate() {
            averages.extend(differences[index..].iter().map(|b| f64::midpoint(*a, *b)));
        }
        averages.sort_by(f64::total_cmp);
        Self {
            differences: differences.to_vec(),
            averages,
        }
    }

    /// The median of the Walsh averages.
    pub(super) fn estimate(&self) -> f64 {
        let count = self.averages.len();
        f64::midpoint(self.averages[(count - 1) / 2], self.averages[count / 2])
    }

    pub(super) fn interval(&self, level: f64) -> (f64, f64) {
        let cut = self.cut((1.0 - level) / 2.0);
        (self.averages[cut], self.averages[self.averages.len() - 1 - cut])
    }

    /// How many Walsh averages lie below the interval, and above it: the largest sum of ranks whose cumulative
    /// probability is at most `tail`.
    fn cut(&self, tail: f64) -> usize {
        let count = self.differences.len();
        if count > EXACT_UP_TO {
            let n = float(count);
            let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
            let cut = n * (n + 1.0) / 4.0 + normal().inverse_cdf(tail) * deviation - 0.5;
            return number::count(cut.max(0.0)).unwrap_or_default();
        }
        let ranks: Vec<usize> = (1..=count).collect();
        let mut below = 0.0;
        let sums = distribution(&ranks);
        let within = sums.iter().take_while(|p| {
            below += **p;
            below <= tail
        });
        within.count().saturating_sub(1)
    }

    pub(super) fn p_above(&self, bound: f64) -> f64 {
        let mut shifted: Vec<f64> = self
            .differences
            .iter()
            .map(|difference| difference - bound)
            .collect();
        shifted.retain(|difference| *difference != 0.0);
        shifted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let ranks = doubled_ranks(&shifted);
        let positive = shifted
            .iter()
            .zip(&ranks)
            .filter(|(difference, _)| **difference > 0.0);
        let sum: usize = positive.map(|(_, rank)| rank).sum();
        if shifted.len() > EXACT_UP_TO {
            let ranks: Vec<f64> = ranks.iter().map(|rank| float(*rank)).collect();
            let center = ranks.iter().sum::<f64>() / 2.0;
            let deviation = ranks.iter().map(|rank| rank * rank / 4.0).sum::<f64>().sqrt();
            // Sums of doubled ranks are 2 apart; 1 is the continuity correction.
            return normal().sf((float(sum) - 1.0 - center) / deviation);
        }
        distribution(&ranks)[sum..].iter().sum::<f64>().min(1.0)
    }

    pub(super) fn negated(&self) -> Self {
        Self {
            differences: self.differences.iter().map(|difference| -difference).collect(),
            averages: self.averages.iter().rev().map(|average| -average).collect(),
        }
    }
}

/// Doubled ranks of values in ascending magnitude. Equal magnitudes share the mean of their ranks; doubled, it is a
/// whole number.
fn doubled_ranks(ascending: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(ascending.len());
    for tied in ascending.chunk_by(|a, b| a.abs().total_cmp(&b.abs()).is_eq()) {
        let first = ranks.len() + 1;
        let last = ranks.len() + tied.len();
        ranks.extend(std::iter::repeat_n(first + last, tied.len()));
    }
    ranks
}

/// Probability of each sum of a random subset of `ranks`; each rank is in it with probability 1/2.
fn distribution(ranks: &[usize]) -> Vec<f64> {
    let mut sums = vec![0.0; ranks.iter().sum::<usize>() + 1];
    sums[0] = 1.0;
    let mut highest = 0;
    for rank in ranks {
        highest += rank;
        for sum in (0..=highest).rev() {
            let with = sum.checked_sub(*rank).map_or(0.0, |rest| sums[rest]);
            sums[sum] = f64::midpoint(sums[sum], with);
        }
    }
    sums
}

fn normal() -> Normal {
    Normal::standard()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_magnitudes_share_their_ranks() {
        assert_eq!(doubled_ranks(&[1.0, -2.0, 2.0, 3.0]), [2, 5, 5, 8]);
        // Both ranks 1.5: the sums 0, 1.5, 1.5 and 3 are equally likely.
        assert_eq!(
            distribution(&doubled_ranks(&[2.0, -2.0])),
            [0.25, 0.0, 0.0, 0.5, 0.0, 0.0, 0.25]
        );
    }
}
