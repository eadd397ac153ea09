//! The machine: its clocks, memory and temperatures, whether it is fit for measuring, and what it does during a run.

pub mod board;
pub mod doctor;
mod memory;
pub(crate) mod pin;
pub mod sampler;
