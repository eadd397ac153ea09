//! Engines run models. The recorder knows only the trait [`Engine`].

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
    /// Loads the model. A second call loads it again, also after a failure.
    ///
    /// # Errors
    /// Why the model is not loaded.
    fn load(&mut self, spec: &LoadSpec) -> Result<Loaded, Failure>;

    /// Makes one inference. If the runtime can, the KV cache is emptied first, and then filled to the request's depth
    /// or with the prefix that the request starts from.
    ///
    /// # Errors
    /// Why the inference was not made. After [`FailureKind::Lost`] the model must be loaded again.
    fn infer(&mut self, request: &Request) -> Result<Inference, Failure>;

    /// Frees the model. Does nothing if no model is loaded.
    ///
    /// # Errors
    /// What went wrong. The model is gone in any case.
    fn unload(&mut self) -> Result<(), Failure>;

    /// The warnings that the runtime printed since the last call. An engine in this process only has those of loads.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// The process that runs the model, for the sampler. Absent if there is none, or if it is on another machine.
    fn process_id(&self) -> Option<u32> {
        None
    }
}
