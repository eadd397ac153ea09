//! A bench target: its options, its control flow, and its use of criterion.

pub(crate) mod criterion;
pub(crate) mod harness;
pub(crate) mod options;
pub(crate) mod profile;
pub(crate) mod progress;
pub(crate) mod repetitions;
