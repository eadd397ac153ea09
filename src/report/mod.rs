//! What a person reads: text from a run record or from a gate's verdict. Nothing here measures or decides.

pub(crate) mod calibration;
pub mod compare;
pub mod gate;
pub mod terminal;
