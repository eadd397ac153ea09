//! Conservation laws that every inference must keep to become a sample.
//!
//! What our own clock and counts disprove rejects the sample and says why; it is never averaged in. Disagreement with
//! a counter of the runtime whose meaning is unconfirmed is only marked.

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
