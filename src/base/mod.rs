//! General helpers that know nothing about benchmarks: files, text, numbers, waits, signals, exit codes.

pub(crate) mod atomic;
pub(crate) mod child;
pub(crate) mod console;
pub(crate) mod csv_text;
pub(crate) mod error;
pub(crate) mod exit;
pub(crate) mod file;
pub(crate) mod float;
pub(crate) mod foreign;
pub(crate) mod json;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod number;
pub mod paths;
pub(crate) mod scratch;
pub(crate) mod signals;
pub(crate) mod stats;
pub(crate) mod suggest;
pub(crate) mod wait;

/// Whether the host runtime is linked into this program.
pub const IS_HOST: bool = cfg!(feature = "host");
