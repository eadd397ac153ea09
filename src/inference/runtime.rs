//! What a runtime loads, what it reports about itself, and its failures.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::abilities::Abilities;
use super::sampling::Sampling;
use super::server::ServerIdentity;
use crate::base::error::tail_of;

/// What to load, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadSpec {
    /// The model file; for a server, its name for the model.
    pub model_path: PathBuf,
    /// Context window, tokens.
    pub max_context: u32,
    /// Limit on new tokens per run, for runtimes that set it only at load.
    pub max_new_tokens: u32,
    /// How tokens are chosen, for runtimes that set it only at load.
    pub sampling: Sampling,
    /// Whether runs continue after an end token, if the runtime supports that.
    pub ignore_eos: bool,
    /// CPU threads of the runtime; absent leaves it to the runtime.
    pub threads: Option<u8>,
    /// CPU cores of the runtime as a mask, bit n for CPU n; absent leaves it to the runtime.
    pub cpu_mask: Option<u32>,
    /// NPU cores that the model must have been converted for; absent: any.
    pub npu_cores: Option<u8>,
    /// Whether embedding rows are fetched from storage instead of memory; absent leaves it to the runtime.
    pub embed_flash: Option<bool>,
    /// First NPU memory domain (IOMMU) to load into; absent leaves it to the runtime.
    pub base_domain_id: Option<u32>,
    /// Version to assume for a library whose file has none.
    pub trust_sdk_version: Option<String>,
    /// How long loading may take.
    pub deadline: Duration,
}

impl LoadSpec {
    /// The model at `model_path` with a context of 4096 tokens and greedy runs of fixed length. Threads and cores are
    /// left to the runtime. Loading may take half an hour: reading gigabytes from an SD card takes minutes.
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
    /// Duration of `rkllm_init`, ns; for a server, until it was ready with the model.
    pub load_ns: u64,
    /// NPU cores that the model was converted for; absent if the runtime does not report it.
    pub npu_cores: Option<u8>,
    /// Version of the toolkit that converted the model; absent if the runtime does not report it.
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
    Server(ServerIdentity),
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

    /// The version line that the library printed, if any.
    pub fn version_line(&self) -> Option<&VersionLine> {
        self.library()?.version_line.as_ref()
    }

    /// The file name of the library, or the name that the server gives itself.
    pub fn name(&self) -> &str {
        match self {
            Self::Library(library) => &library.library.name,
            Self::Server(server) => server.software.as_deref().unwrap_or("server"),
        }
    }
}

/// The library that produced the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeIdentity {
    /// The library that was actually loaded.
    pub library: Library,
    /// Its version line; absent if it printed none.
    pub version_line: Option<VersionLine>,
    /// Generation of the API that this program was built with; `unknown` for a header that matches no known release.
    pub header_generation: String,
    /// What that generation can do.
    pub abilities: Abilities,
    /// CPU features that the host runtime's kernels were built for; absent for an NPU runtime.
    pub cpu_features: Option<String>,
    /// The inference that was tried before measuring; absent if the release of the library is known.
    pub trial: Option<Trial>,
}

impl RuntimeIdentity {
    /// Its release, from its file or from its version line.
    pub fn release(&self) -> &str {
        let printed = self.version_line.as_ref().map(|line| line.runtime.as_str());
        self.library
            .file_version
            .as_deref()
            .or(printed)
            .unwrap_or("without a name")
    }
}

/// A trial that a library of an unknown release passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Tokens that it generated.
    pub tokens: usize,
}

/// The library behind the C API, as the dynamic linker loaded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// The file with the code; this executable for the host runtime, which is linked in.
    pub path: PathBuf,
    /// `librkllmrt.so`, or `rkllmrt-host` for the host runtime.
    pub name: String,
    /// Version found in the file; absent for the host runtime, whose functions the compiler checked against the header.
    pub file_version: Option<String>,
    /// SHA-256 of the file, hexadecimal; absent for the host runtime.
    pub sha256: Option<String>,
    /// How it was matched with the header.
    pub pairing: Pairing,
}

/// Runtime, driver and platform from the version line of `rkllm_init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionLine {
    /// Version of the runtime.
    pub runtime: String,
    /// Version of the NPU driver, if the line has it.
    pub driver: Option<String>,
    /// Platform, if the line has it.
    pub platform: Option<String>,
}

/// How header and library were matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// The release and its header are known, or the compiler checked the two.
    Known,
    /// Both came from one SDK of an unknown release.
    OneSdk,
}

/// Why an engine returned no result.
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
    /// The runtime refused; a loaded model stays loaded.
    Refused,
    /// The runtime crashed or was killed; the model must be loaded again.
    Lost,
    /// The user stopped the run.
    Stopped,
    /// The measured model or server changed, so the run is over.
    Changed,
}

impl Failure {
    /// A refusal without output of the runtime.
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
