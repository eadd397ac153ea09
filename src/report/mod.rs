//! Output for people: text from run records, verdicts and the doctor's findings. Nothing here measures or decides.

pub mod benchmark;
pub(crate) mod calibration;
pub mod compare;
pub(crate) mod concurrency;
mod conditions;
mod content;
pub mod criterion_folder;
pub mod doctor;
pub mod export;
pub mod gate;
pub(crate) mod grid;
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

pub use crate::base::layout::WIDTH;
pub use content::{ModelReport, models};
