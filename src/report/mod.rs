//! What a person reads: text from a run record from a gate's verdict, or from a doctor's findings. Nothing here measures or decides.

pub(crate) mod calibration;
pub mod doctor;
pub mod gate;
pub mod terminal;
