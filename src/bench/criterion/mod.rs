//! Criterion: the process that runs it, what it is given, and what it says.

pub(crate) mod process;
pub(crate) mod replay;
pub(crate) mod statistics;
pub(crate) mod verdicts;
