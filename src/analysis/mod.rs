//! Numbers from records: figures, metrics, changes, verdicts. It uses no runtime, no clock and no terminal.

pub mod checks;
pub mod compare;
pub mod concurrency;
pub(crate) mod figures;
pub mod gate;
pub mod metrics;
pub(crate) mod overhead;
pub mod reference;
pub mod summary;
pub(crate) mod thinking;
