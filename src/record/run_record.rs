//! The types of the run record.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::git::Git;
use super::ledger::{Mark, Rejection};
use crate::base::atomic::{self, Existing};
use crate::base::error::Result;
use crate::inference::{Api, CacheStart, Failure, Inference, Input, Loaded, Phases, Sampling};
use crate::inputs::model_name::NameParts;
use crate::inputs::prompts::Check;
use crate::machine::board::Board;
use crate::machine::doctor::Item;
use crate::machine::sampler::{Conditions, SamplerRecord};

/// Version of the record's shape.
pub const SCHEMA_VERSION: u32 = 7;
/// The oldest version that is read.
pub(super) const OLDEST_VERSION: u32 = 6;

/// One run of one suite over one or more models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of rkllm-bench that wrote it.
    pub tool_version: String,
    /// Name of the run and of its file: time of its start, models, suite, nonce.
    pub run_id: String,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// How far it got.
    pub status: Status,
    /// The user's label (`--label`).
    pub label: Option<String>,
    /// The commit of the bench target's package when the run began, if known.
    pub git: Option<Git>,
    /// The purpose of the run.
    pub purpose: Purpose,
    /// The regular expression that selects identifiers (FILTER of the command line). Absent: the whole suite.
    pub filter: Option<String>,
    /// The suite.
    pub suite: SuiteRecord,
    /// The parameters of all inferences.
    pub parameters: Parameters,
    /// The machine.
    pub board: Board,
    /// The doctor's findings, including what loading showed about the models. Empty if the models run on another
    /// machine.
    #[serde(default)]
    pub doctor: Vec<Item>,
    /// What the sampler read, and its own cost. Absent until the first model is done.
    pub sampler: Option<SamplerRecord>,
    /// One entry per model, in the order of the run.
    pub models: Vec<ModelRecord>,
}

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In progress, or ended without notice (`kill -9`, power loss).
    Running,
    /// Stopped by Ctrl-C or SIGTERM, or because the program that gives turns was gone.
    Stopped,
    /// Ended because a model's file changed during the run, so its figures are not those of one model.
    Changed,
    /// Reached its end, whatever failed on the way.
    Complete,
}

/// The purpose of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Figures.
    #[default]
    Measure,
    /// A first look with two samples of each prompt (`--quick`).
    Quick,
    /// A check that everything works (`--test`, `cargo test`).
    Test,
}

/// The suite that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteRecord {
    /// Its name, part of each identifier.
    pub name: String,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
    /// Whether its runs ignore end tokens, if the runtime can do that.
    pub ignore_eos: bool,
    /// Whether only the sizes of its prompts matter.
    pub sweep: bool,
}

/// What all inferences of a run were made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Context window, tokens.
    pub max_context: u32,
    /// CPU threads of the runtime. Absent: the runtime decides.
    pub threads: Option<u8>,
    /// CPU cores of the runtime, bit n is CPU n. Absent: the runtime decides.
    pub cpu_mask: Option<u32>,
    /// NPU cores that each model had to be converted for. Absent: any number.
    pub npu_cores: Option<u8>,
    /// Whether embedding rows were fetched from storage instead of memory. Absent: the runtime decides.
    pub embed_flash: Option<bool>,
    /// First NPU memory domain (IOMMU) that the model was loaded into. Absent: the runtime decides.
    pub base_domain_id: Option<u32>,
    /// Longest wait before each model except the first for the board to return to its initial state, seconds. Absent:
    /// no wait.
    pub settle_s: Option<u64>,
    /// Deadline of an inference, seconds.
    pub timeout_s: u64,
    /// Deadline of a load, seconds.
    pub load_timeout_s: u64,
    /// Samples to take of each prompt.
    pub samples: usize,
    /// Warm-up inferences of each prompt, made first and not counted as samples.
    pub warm_up: usize,
    /// Whether the runtime ran in this process instead of a worker.
    pub in_process: bool,
    /// Whether samples that the machine disturbed were rejected.
    pub strict: bool,
    /// The server that ran the models. Absent if the runtime was called directly.
    pub server: Option<ServerParameters>,
}

/// The server that ran the models, and how it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerParameters {
    /// Its address.
    pub url: String,
    /// The API that took text.
    pub api: Api,
    /// Whether models were loaded and unloaded, if the server can do that.
    pub manages_models: bool,
    /// Number of clients, each sending one request after the other. Absent: one client, with the rules of any other
    /// run.
    pub concurrency: Option<u16>,
}

/// One model of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its name, part of each identifier.
    pub name: String,
    /// Its file, the first of its shards, or the server's name for it.
    pub path: PathBuf,
    /// Size of its file or of all its shards, bytes. 0 if a server has it.
    pub bytes: u64,
    /// SHA-256 of its file, or of its concatenated shards, hexadecimal. Empty if a server has it.
    pub sha256: String,
    /// Whether the weights are pseudo-random: the speed is real, the text is not judged.
    pub random_weights: bool,
    /// What the first successful load reported. Absent if none succeeded.
    pub loaded: Option<Loaded>,
    /// Why the model was not loaded, if it was not.
    pub load_failure: Option<Failure>,
    /// What went wrong when the model was freed after its samples.
    pub unload_failure: Option<Failure>,
    /// What changed during the measurement: its files, or the library that runs it. Its figures are then not those of
    /// one model. Absent if nothing changed. New in version 7.
    #[serde(default)]
    pub changed: Option<String>,
    /// Warnings of the runtime, each once, at most [`MOST_WARNINGS`].
    pub warnings: Vec<String>,
    /// One entry per prompt, in the suite's order.
    pub prompts: Vec<PromptRecord>,
}

/// One prompt of a suite with one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// Its id, part of each identifier.
    pub id: String,
    /// Its readable name.
    pub name: String,
    /// The model's input.
    pub input: Input,
    /// Requested new tokens of each inference.
    pub max_new_tokens: u32,
    /// How tokens were chosen.
    pub sampling: Sampling,
    /// Tokens in the KV cache before the prompt.
    pub depth: u32,
    /// State of the KV cache when the prompt starts.
    pub cache_start: CacheStart,
    /// The checks of its answers, applied by [`checks::outcomes`](crate::analysis::checks::outcomes).
    pub checks: Vec<Check>,
    /// Tokens that its prefill computes. For ids, their number minus a prefix in the KV cache. For text (with its chat
    /// template), and for ids at a depth, what the first prefill computed. Absent if unknown.
    pub prompt_tokens: Option<u32>,
    /// Accepted warm-up inferences, apart from the samples.
    pub warm_up: Vec<Sample>,
    /// Samples in the order in which they were taken.
    pub samples: Vec<Sample>,
    /// Inferences that the ledger rejected.
    pub rejected: Vec<Rejected>,
    /// Inferences lost to an engine's failure.
    pub failures: Vec<Failure>,
    /// Why the prompt was given up, if it was.
    pub given_up: Option<String>,
}

/// An accepted inference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its phases.
    pub phases: Phases,
    /// Odd things about it.
    pub marks: Vec<Mark>,
    /// State of the machine during the inference. Absent if nothing could be read.
    pub conditions: Option<Conditions>,
    /// The raw inference.
    pub inference: Inference,
}

/// A rejected inference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// The broken law.
    pub reason: Rejection,
    /// The raw inference.
    pub inference: Inference,
}

/// Most warnings kept for a model. A runtime may write one for each run.
pub const MOST_WARNINGS: usize = 20;

impl ModelRecord {
    /// Adds new warnings of the runtime.
    pub(crate) fn warn(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            if self.warnings.len() < MOST_WARNINGS && !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// What the names say about the conversion: the parts of the file's name, completed by the model's name.
    pub fn name_parts(&self) -> NameParts {
        let file_name = self.path.file_name().unwrap_or_default().to_string_lossy();
        NameParts::of(&file_name).or(NameParts::of(&self.name))
    }
}

impl PromptRecord {
    /// The distinct causes of the prompt's faults with their counts, in order of first appearance.
    pub fn causes(&self) -> Vec<(String, usize)> {
        let mut causes: Vec<(String, usize)> = Vec::new();
        let failures = self.failures.iter().map(ToString::to_string);
        let rejections = self
            .rejected
            .iter()
            .map(|rejected| format!("rejected: {}", rejected.reason));
        for cause in failures.chain(rejections) {
            match causes.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, count)) => *count += 1,
                None => causes.push((cause, 1)),
            }
        }
        causes
    }
}

impl RunRecord {
    /// The label and the commit, for people. Absent if there is neither.
    pub fn caption(&self) -> Option<String> {
        let label = self.label.as_ref().map(|label| format!("label {label}"));
        let git = self.git.as_ref().map(|git| format!("revision {}", git.short()));
        let parts: Vec<String> = label.into_iter().chain(git).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Sets the final status: changed, stopped or complete.
    pub(crate) fn end(&mut self, stopped: bool) {
        self.status = if self.models.iter().any(|model| model.changed.is_some()) {
            Status::Changed
        } else if stopped {
            Status::Stopped
        } else {
            Status::Complete
        };
    }

    /// Whether the run reached its end. Other runs can be read, but not compared: their prompts may lack samples or
    /// have samples of another model.
    pub fn is_complete(&self) -> bool {
        self.status == Status::Complete
    }

    /// Writes the record to `path` atomically and durably, through a temporary file and a rename.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save(&self, path: &Path) -> Result<()> {
        atomic::write_json(path, self, Existing::Replace)
    }
}

/// The distinct labels and commits of some runs, in words. Empty if none has any.
pub(crate) fn captions<'a>(runs: impl Iterator<Item = &'a RunRecord>) -> Vec<String> {
    let words: BTreeSet<String> = runs.filter_map(RunRecord::caption).collect();
    words.into_iter().collect()
}
