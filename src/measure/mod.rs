//! Runs a suite on an engine: warm-up, samples, second attempts, turns.

pub(crate) mod closed_loop;
pub(crate) mod observer;
pub mod recorder;
pub(crate) mod run;
pub(crate) mod settle;
pub(crate) mod trial;
pub mod turns;
