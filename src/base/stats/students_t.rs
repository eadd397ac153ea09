//! Student's t distribution.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

fn students_t(freedom: f64) -> StudentsT {
    // Every `Change` has a positive count as its degrees of freedom.
    StudentsT::new(0.0, 1.0, freedom.max(f64::MIN_POSITIVE))
        .unwrap_or_else(|_| unreachable!("freedom is positive"))
}

/// The value that Student's t does not exceed with probability `p`.
pub(super) fn t_quantile(p: f64, freedom: f64) -> f64 {
    students_t(freedom).inverse_cdf(p)
}

/// Probability of `t` or a larger value.
pub(super) fn t_tail(t: f64, freedom: f64) -> f64 {
    students_t(freedom).sf(t)
}
