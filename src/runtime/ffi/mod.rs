//! The runtime's C API behind safe types. All `unsafe` code of this crate is in this folder.
//!
//! [`sys`] is the raw layer: bindings of the header in use and of the guard. [`Session`] is the safe layer: a loaded
//! model that is freed once and runs with a deadline. Its callbacks cannot outlive a run. [`library`] finds out which
//! library was really loaded, and refuses any but the chosen one.

#![expect(unsafe_code, reason = "this is where the crate talks to C")]

mod deadline;
pub(crate) mod file_version;
pub mod library;
mod params;
mod recording;
mod releases;
mod session;
mod status;
pub mod sys;

pub use params::Params;
pub use recording::Recording;
pub use session::{RunInput, RunOutcome, RunRequest, Session};

// The host runtime is linked only for its C symbols.
#[cfg(feature = "host")]
use rkllmrt as _;

/// Flushes C's stdio, so that the runtime's output can be read.
pub(crate) fn flush_stdio() {
    // SAFETY: flushing all output streams has no precondition.
    unsafe { sys::rkb_flush_stdio() }
}
