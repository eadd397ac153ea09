//! Checks properties of everything that is read from outside on generated input: valid documents with random edits, and
//! raw bytes.
//!
//! `cargo test` runs each property on a fixed number of cases from a fixed seed. `PROPTEST_CASES` and
//! `PROPTEST_RNG_SEED` change them (docs/accuracy.md). The fuzz targets in `fuzz/` check the same [`properties`] on
//! input of their own.

mod properties;
pub mod targets;

#[cfg(test)]
mod boards;
#[cfg(test)]
mod corpora;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod hold;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod names;
#[cfg(test)]
mod pins;
#[cfg(test)]
mod records;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod suites;

#[cfg(test)]
use hold::{hold, hold_reader};
pub use properties::Taken;
