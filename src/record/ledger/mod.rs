//! Laws that every inference must satisfy to become a sample.
//!
//! An inference that contradicts our own clock or counts is rejected with a reason and never averaged in. Disagreement
//! with a runtime counter of unconfirmed meaning is only marked.

mod cache_start;
mod callbacks;
mod disturbance;
#[cfg(test)]
mod edges;
mod ending;
mod explain;
mod laws;
mod statistics;
mod stream;
#[cfg(test)]
mod tests;
mod verdict;

pub use callbacks::REPEATED_GAP_RATIO;
pub use disturbance::{MOST_LOST_PERCENT, marks as disturbances};
pub use laws::Ledger;
pub use statistics::{TOLERANCE_MS, TOLERANCE_RATIO};
pub use verdict::{Accepted, Mark, Rejection};
