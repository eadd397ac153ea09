//! What a person reads: text from a run record. Nothing here measures or decides.

pub mod terminal;
