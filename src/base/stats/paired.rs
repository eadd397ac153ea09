//! Pairs of neighbouring runs.

use super::change::Change;
use super::moments::{LEAST_DEVIATION, float, mean, variance};
use super::signed_ranks::SignedRanks;

/// Fewest pairs for signed ranks. Now and then a shared machine slows a run down by half; that moves an average but not
/// a rank. With fewer pairs the ranks have too few values for a family of tests: the smallest probability of 16 pairs
/// is 2^-16.
const SIGNED_RANKS_FROM: usize = 16;

/// The change from the differences of pairs, candidate minus baseline. Absent below two pairs.
pub(crate) fn paired(differences: &[f64]) -> Option<Change> {
    if differences.len() >= SIGNED_RANKS_FROM {
        return Some(Change::SignedRanks(SignedRanks::of(differences)));
    }
    let variance = variance(differences)?.max(LEAST_DEVIATION.powi(2));
    Some(Change::T {
        estimate: mean(differences)?,
        error: (variance / float(differences.len())).sqrt(),
        freedom: float(differences.len() - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFFERENCES: [f64; 16] = [
        1.21, -0.43, 0.94, 2.15, 0.36, -1.17, 1.78, 0.82, 0.65, 1.42, -0.29, 1.99, 0.51, 1.13, -0.74, 1.34,
    ];

    /// Expected values: `scipy.stats.wilcoxon(..., mode="exact")` of scipy 1.
    #[test]
    fn exact_probabilities() {
        let change = paired(&DIFFERENCES).expect("pairs");
        assert!(matches!(change, Change::SignedRanks(_)));
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(change.p_above(0.0), 0.005_493_164_062_5);
        close(change.p_above(0.4), 0.096_405_029_296_875);
        close(change.p_below(2.0), 4.577_636_718_75e-5);
    }

    #[test]
    fn estimate_and_interval_are_walsh_averages() {
        let change = paired(&DIFFERENCES).expect("pairs");
        assert!((change.estimate() - 0.79).abs() < 1e-12);
        // 29 is the largest sum of ranks of 16 whose lower tail is at most 2.5 %: tables of the signed-rank test.
        let (lower, upper) = change.interval(0.95);
        assert!(
            (lower - 0.18).abs() < 1e-12 && (upper - 1.315).abs() < 1e-12,
            "{lower} {upper}"
        );
        assert_eq!(change.negated().interval(0.95), (-upper, -lower));
    }

    #[test]
    fn the_approximation_joins_the_exact_distribution() {
        let differences: Vec<f64> = (0..31).map(|i| f64::from(i * 12 % 31) - 9.5).collect();
        let p = |differences: &[f64]| paired(differences).expect("pairs").p_above(0.0);
        let (exact, approximate) = (p(&differences[..30]), p(&differences));
        assert!(
            (exact - approximate).abs() < 0.01 && approximate < 0.01,
            "{exact} {approximate}"
        );
        let lower = |differences: &[f64]| paired(differences).expect("pairs").interval(0.95).0;
        assert!((lower(&differences[..30]) - lower(&differences)).abs() < 1.0);
    }

    #[test]
    fn pairs_that_never_differ_are_no_proof_of_perfection() {
        let change = paired(&[0.0; 5]).expect("pairs");
        let (lower, upper) = change.interval(0.95);
        assert!(lower < 0.0 && upper > 0.0 && upper < 1e-3, "{lower} {upper}");
        assert!(paired(&[0.0; 40]).is_some_and(|change| change.p_above(0.01) > 0.999));
        assert_eq!(paired(&[0.1]), None);
    }

    /// Expected values: `scipy.stats.ttest_1samp`.
    #[test]
    fn few_pairs_are_compared_by_t() {
        let change = paired(&[0.05, 0.05, 0.08]).expect("pairs");
        let (lower, upper) = change.interval(0.95);
        assert!((lower - 0.016_973_472_702_5).abs() < 1e-9 && (upper - 0.103_026_527_297_5).abs() < 1e-9);
        assert!((change.p_above(0.01) - 0.018_874_775_675_3).abs() < 1e-9);
    }

    /// Differences without ties, in no order.
    fn scattered(count: u32) -> Vec<f64> {
        (0..count)
            .map(|i| f64::from((i * i * 7919 + 31 * i) % 1009) / 1000.0 - 0.3)
            .collect()
    }

    /// Expected numbers of averages: n (n + 1) / 4 - z sqrt(n (n + 1) (2 n + 1) / 24) - 0.5, by Python's
    /// `statistics.NormalDist`.
    #[test]
    fn beyond_the_exact_distribution_the_interval_leaves_out_what_the_normal_one_says() {
        for (count, level, left_out) in [(31, 0.95, 147), (40, 0.95, 263), (57, 0.95, 579), (57, 0.99, 501)] {
            let differences = scattered(count);
            let mut averages: Vec<f64> = (0..differences.len())
                .flat_map(|a| (0..=a).map(move |b| (a, b)))
                .map(|(a, b)| f64::midpoint(differences[a], differences[b]))
                .collect();
            averages.sort_by(f64::total_cmp);
            let expected = (averages[left_out], averages[averages.len() - 1 - left_out]);
            let change = paired(&differences).expect("pairs");
            assert_eq!(change.interval(level), expected, "{count} at {level}");
        }
    }

    /// Expected values: the normal approximation with its correction for continuity and for ties, by Python's
    /// `statistics.NormalDist`.
    #[test]
    fn beyond_the_exact_distribution_probabilities_are_those_of_the_normal_one() {
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
        let p = |differences: &[f64], bound| paired(differences).expect("pairs").p_above(bound);
        close(p(&scattered(31), 0.0), 1.104_469_146_562_259_1e-5);
        close(p(&scattered(40), 0.0), 1.009_572_794_696_822_5e-6);
        let ties = [1.0, 1.0, -1.0, 2.0, 2.0, 2.0, -2.0, 3.0, -3.0, 4.0].repeat(4);
        close(p(&ties, 0.0), 0.009_816_744_384_537_612);
        // Those on the bound say nothing and leave 32.
        close(p(&ties, 1.0), 0.664_602_895_008_058_9);
    }

    #[test]
    fn up_to_thirty_differences_the_distribution_is_exact() {
        // Of 30 positive differences the probability is that of 30 tosses alike.
        let positive: Vec<f64> = (1..=30).map(f64::from).collect();
        let change = paired(&positive).expect("pairs");
        assert!((change.p_above(0.0) / 2f64.powi(-30) - 1.0).abs() < 1e-9);
        // Tables of the signed-rank test: 137 of 30 at 2.5 %. The normal approximation gives 136.
        let differences = scattered(30);
        let mut averages: Vec<f64> = (0..30)
            .flat_map(|a| (0..=a).map(move |b| (a, b)))
            .map(|(a, b)| f64::midpoint(differences[a], differences[b]))
            .collect();
        averages.sort_by(f64::total_cmp);
        assert!(averages[136] < averages[137]);
        let change = paired(&differences).expect("pairs");
        assert!((change.interval(0.95).0 - averages[137]).abs() < 1e-12);
    }
}
