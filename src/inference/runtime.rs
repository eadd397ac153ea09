//! What a runtime can do, what it loads, and what it says of itself and of a failure.

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

/// The library behind the C API, as the dynamic linker loaded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// File the code came from; this executable for the host runtime, which is linked in.
    pub path: PathBuf,
    /// `librkllmrt.so`, or `rkllmrt-host` for the host runtime.
    pub name: String,
    /// Version found in the file; absent for the host runtime, whose functions the compiler compared with the header.
    pub file_version: Option<String>,
    /// SHA-256 of the file, hexadecimal; absent for the host runtime.
    pub sha256: Option<String>,
    /// How it was found to go with the header.
    pub pairing: Pairing,
}

/// Runtime, driver and platform as the version line of `rkllm_init` names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionLine {
    /// Version of the runtime.
    pub runtime: String,
    /// Version of the NPU driver, where the line has it.
    pub driver: Option<String>,
    /// Platform, where the line has it.
    pub platform: Option<String>,
}

/// How header and library were found to go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// The release and its header are known, or the compiler compared the two.
    Known,
    /// The two came from one SDK of a release that is not known.
    OneSdk,
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
