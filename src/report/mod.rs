//! What a person reads: text from run records, from a verdict, or from what the doctor found. Nothing here measures or
//! decides.

pub mod benchmark;
pub(crate) mod calibration;
pub mod compare;
mod conditions;
mod content;
pub mod doctor;
pub mod gate;
pub(crate) mod grid;
pub(crate) mod layout;
pub(crate) mod levels;
mod markup;
mod numbers;
pub(crate) mod overhead;
pub(crate) mod pages;
pub(crate) mod pin;
pub mod reference;
pub(crate) mod result;
pub(crate) mod runs;
#[cfg(test)]
mod screens;
pub mod terminal;
pub(crate) mod words;

pub use content::{ModelReport, models};
pub use layout::WIDTH;
