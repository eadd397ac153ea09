//! Criterion: the process that runs it, the replay of recorded samples, and its output.

pub(crate) mod process;
pub(crate) mod replay;
pub(crate) mod statistics;
pub(crate) mod verdicts;
