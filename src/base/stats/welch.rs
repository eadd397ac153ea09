//! Compares two groups with different variances: Welch's t (Welch, "The generalization of Student's problem", 1947),
//! with the degrees of freedom of Welch and Satterthwaite.

use super::change::Change;
use super::moments::{LEAST_DEVIATION, float};

/// One group: mean, variance and number of its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Group {
    /// The mean.
    pub(crate) mean: f64,
    /// The unbiased variance of one value.
    pub(crate) variance: f64,
    /// How many values.
    pub(crate) count: usize,
}

/// The change between the groups. Absent if a group has fewer than two values.
pub(crate) fn welch(baseline: Group, candidate: Group) -> Option<Change> {
    if baseline.count < 2 || candidate.count < 2 {
        return None;
    }
    let of_mean = |group: Group| group.variance.max(LEAST_DEVIATION.powi(2)) / float(group.count);
    let squares = |group: Group| of_mean(group).powi(2) / float(group.count - 1);
    let variance = of_mean(baseline) + of_mean(candidate);
    Some(Change::T {
        estimate: candidate.mean - baseline.mean,
        error: variance.sqrt(),
        freedom: variance.powi(2) / (squares(baseline) + squares(candidate)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::{mean, variance};

    fn group(values: &[f64]) -> Group {
        Group {
            mean: mean(values).expect("values"),
            variance: variance(values).unwrap_or_default(),
            count: values.len(),
        }
    }

    /// Expected values: `scipy.stats.ttest_ind(candidate, baseline, equal_var=False).confidence_interval(0.95)`.
    #[test]
    fn groups_of_unlike_variance_and_size() {
        let change = welch(group(&[0.0, 0.02, 0.01]), group(&[0.1, 0.3, 0.2, 0.15])).expect("an interval");
        let (lower, upper) = change.interval(0.95);
        assert!(
            (lower - SCIPY.0).abs() < 1e-9 && (upper - SCIPY.1).abs() < 1e-9,
            "{lower} {upper}"
        );
    }

    const SCIPY: (f64, f64) = (0.043_070_254_595, 0.311_929_745_405);

    #[test]
    fn a_single_value_has_no_interval() {
        assert_eq!(welch(group(&[0.0]), group(&[0.1, 0.3])), None);
        assert_eq!(welch(group(&[0.1, 0.3]), group(&[0.0])), None);
    }

    #[test]
    fn equal_values_are_not_believed_to_be_exact() {
        let (lower, upper) = welch(group(&[0.0; 3]), group(&[0.0; 3]))
            .expect("an interval")
            .interval(0.95);
        assert!(lower < 0.0 && 0.0 < upper);
    }
}
