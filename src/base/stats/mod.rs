//! Statistics of the gate: numbers in, numbers out. All values are natural logarithms, so that differences are ratios.

mod adjust;
mod change;
mod moments;
mod paired;
mod signed_ranks;
mod sizing;
mod students_t;
mod unpaired;
mod welch;

pub(crate) use adjust::holm;
pub(crate) use change::Change;
pub(crate) use moments::{RunValue, float, mean, variance};
pub(crate) use paired::paired;
pub(crate) use sizing::smallest_bound;
pub(crate) use unpaired::{Variation, unpaired, variation};
pub(crate) use welch::{Group, welch};
