//! The program `rkllm-bench`: its subcommands, and the code that runs bench targets repeatedly.

pub(crate) mod ab;
pub(crate) mod bench_process;
pub(crate) mod calibration;
pub(crate) mod cli;
pub(crate) mod operating_curve;
pub(crate) mod overhead;
