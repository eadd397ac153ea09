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

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::tail_of;
use crate::ffi::Abilities;
use crate::ffi::library::{Library, VersionLine};
use crate::inference::{Inference, Request, Sampling};

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

/// What to load, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadSpec {
    /// The model file; for a server, its name of the model.
    pub model_path: PathBuf,
    /// Context window, tokens.
    pub max_context: u32,
    /// Cap on new tokens a run, for runtimes that only know it at load.
    pub max_new_tokens: u32,
    /// How tokens are chosen, for runtimes that only know it at load.
    pub sampling: Sampling,
    /// Whether runs go on past an end token, where the runtime can do that.
    pub ignore_eos: bool,
    /// CPU threads of the runtime; absent leaves it to the runtime.
    pub threads: Option<u8>,
    /// CPU cores of the runtime, bit n is CPU n; absent leaves it to the runtime.
    pub cpu_mask: Option<u32>,
    /// NPU cores that the model must have been converted for; absent: any.
    pub npu_cores: Option<u8>,
    /// Whether embedding rows are fetched from storage instead of memory; absent leaves it to the runtime.
    pub embed_flash: Option<bool>,
    /// First NPU memory domain (IOMMU) to load into; absent leaves it to the runtime.
    pub base_domain_id: Option<u32>,
    /// Version to assume of a library whose file carries none.
    pub trust_sdk_version: Option<String>,
    /// How long loading may take.
    pub deadline: Duration,
}

impl LoadSpec {
    /// The model at `model_path` with a context of 4096 tokens, greedy runs of fixed length, threads and cores left to
    /// the runtime, and half an hour to load: reading gigabytes from an SD card takes minutes.
    pub fn new(model_path: impl Into<PathBuf>) -> Self {
        Self {
            model_path: model_path.into(),
            max_context: 4096,
            max_new_tokens: 64,
            sampling: Sampling::GREEDY,
            ignore_eos: true,
            threads: None,
            cpu_mask: None,
            npu_cores: None,
            embed_flash: None,
            base_domain_id: None,
            trust_sdk_version: None,
            deadline: Duration::from_mins(30),
        }
    }
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// How long `rkllm_init` took, ns; of a server, until it was ready with the model.
    pub load_ns: u64,
    /// NPU cores that the model was converted for; absent where the runtime does not say.
    pub npu_cores: Option<u8>,
    /// Version of the toolkit that converted the model; absent where the runtime does not say.
    pub toolkit: Option<String>,
    /// What runs the model.
    pub runtime: Runtime,
    /// Peak resident set of the process after the load, bytes; absent where it cannot be read.
    pub peak_rss_bytes: Option<u64>,
}

/// What runs a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// A library behind the RKLLM C API.
    Library(RuntimeIdentity),
    /// A server over HTTP.
    Server(server::Identity),
}

impl Runtime {
    /// What it can do.
    pub const fn abilities(&self) -> Abilities {
        match self {
            Self::Library(library) => library.abilities,
            Self::Server(server) => server.abilities,
        }
    }

    /// The library; absent for a server.
    pub const fn library(&self) -> Option<&RuntimeIdentity> {
        match self {
            Self::Library(library) => Some(library),
            Self::Server(_) => None,
        }
    }

    /// The line that the library printed of itself, if it did.
    pub fn version_line(&self) -> Option<&VersionLine> {
        self.library()?.version_line.as_ref()
    }

    /// A name: the library's file, or what the server calls itself.
    pub fn name(&self) -> &str {
        match self {
            Self::Library(library) => &library.library.name,
            Self::Server(server) => server.software.as_deref().unwrap_or("server"),
        }
    }
}

/// Which library made the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeIdentity {
    /// Library that was really loaded.
    pub library: Library,
    /// What it printed of itself; absent when it printed no version line.
    pub version_line: Option<VersionLine>,
    /// Generation of the API it was built against; `unknown` for a header of a shape that no known release has.
    pub header_generation: String,
    /// What that generation can do.
    pub abilities: Abilities,
    /// CPU features that the host runtime's kernels were built for; absent for an NPU runtime.
    pub cpu_features: Option<String>,
    /// The inference that was tried before any was measured; absent where the library's release is known.
    pub trial: Option<Trial>,
}

impl RuntimeIdentity {
    /// Its release, as its file or its first line names it.
    pub fn release(&self) -> &str {
        let printed = self.version_line.as_ref().map(|line| line.runtime.as_str());
        self.library
            .file_version
            .as_deref()
            .or(printed)
            .unwrap_or("without a name")
    }
}

/// A trial that a library of a release that is not known has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Tokens that it gave.
    pub tokens: usize,
}

/// Why an engine gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{}", tail_of(.last_lines))]
pub struct Failure {
    /// What it means for the next step.
    pub kind: FailureKind,
    /// What happened.
    pub message: String,
    /// The last lines that the runtime printed.
    pub last_lines: Vec<String>,
}

/// What a failure means for the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The runtime refused; the model, if one was loaded, still is.
    Refused,
    /// The runtime died or was killed; a model must be loaded again.
    Lost,
    /// The user stopped the run.
    Stopped,
    /// What is measured became something else, so the run is over.
    Changed,
}

impl Failure {
    /// A refusal without lines of the runtime.
    pub fn refused(message: impl std::fmt::Display) -> Self {
        Self {
            kind: FailureKind::Refused,
            message: message.to_string(),
            last_lines: Vec::new(),
        }
    }
    /// The user stopped the run.
    pub(crate) fn stopped() -> Self {
        Self {
            kind: FailureKind::Stopped,
            ..Self::refused("stopped")
        }
    }
}
