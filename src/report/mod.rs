//! What a person reads: text from a run record or from a gate's verdict. Nothing here measures or decides.

pub mod gate;
pub mod terminal;
