//! What runs a model. The recorder knows this trait and nothing behind it.

mod cache_start;
mod identified;
mod in_process;
pub(crate) mod log;
#[cfg(test)]
pub(crate) mod scripted;
pub mod server;
mod varied;
mod worker;

use crate::inference::{Inference, Request};

pub use crate::inference::{Failure, FailureKind, LoadSpec, Loaded, Runtime, RuntimeIdentity, Trial};
pub(crate) use identified::Identified;
pub use in_process::InProcess;
pub(crate) use in_process::Moment;
pub(crate) use worker::die_with;
pub use worker::{WORKER_ARGUMENT, Worker, serve_if_worker};

/// Loads a model and makes inferences with it. Nothing here assumes shared memory.
pub trait Engine {
    /// Loads the model; a second call loads it anew, also after a failure.
    ///
    /// # Errors
    /// Why the model is not loaded.
    fn load(&mut self, spec: &LoadSpec) -> Result<Loaded, Failure>;

    /// Makes one inference. The KV cache is emptied first, where the runtime can, and then filled to the request's
    /// depth or with the prefix that it starts from.
    ///
    /// # Errors
    /// Why there is none. After [`FailureKind::Lost`] the model must be loaded again.
    fn infer(&mut self, request: &Request) -> Result<Inference, Failure>;

    /// Frees the model. Without one nothing happens.
    ///
    /// # Errors
    /// What went wrong; the model is gone all the same.
    fn unload(&mut self) -> Result<(), Failure>;

    /// The lines with which the runtime warned since this was asked last. An engine in this process knows those of
    /// loads alone.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// The process that runs the model, to watch it; absent while there is none, or where it is not on this machine.
    fn process_id(&self) -> Option<u32> {
        None
    }
}
