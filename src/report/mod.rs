//! What a person reads: text from a run record or from a gate's verdict. Nothing here measures or decides.

pub mod benchmark;
pub(crate) mod calibration;
pub mod compare;
pub mod gate;
mod layout;
mod markup;
mod numbers;
pub mod reference;
pub mod terminal;
mod words;
