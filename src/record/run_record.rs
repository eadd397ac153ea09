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
    /// What the user calls it (`--label`).
    pub label: Option<String>,
    /// The commit of the bench target's package when the run began; absent where that is not known.
    pub git: Option<Git>,
    /// What it was made for.
    pub purpose: Purpose,
    /// The regular expression of the identifiers that were run (FILTER of the command line); absent: the whole suite.
    pub filter: Option<String>,
    /// The suite.
    pub suite: SuiteRecord,
    /// What all inferences were made with.
    pub parameters: Parameters,
    /// The machine.
    pub board: Board,
    /// Whether it is fit to measure on, with what loading told of the models; empty where the models run on another machine.
    #[serde(default)]
    pub doctor: Vec<Item>,
    /// What watched the machine, and what that cost; absent before the first model's end.
    pub sampler: Option<SamplerRecord>,
    /// One entry a model, in the order of the run.
    pub models: Vec<ModelRecord>,
}

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Under way, or ended without a word (`kill -9`, power).
    Running,
    /// Stopped by Ctrl-C or SIGTERM, or because nobody gave turns any more.
    Stopped,
    /// Ended because a model's file changed meanwhile, so that its figures are not those of one model.
    Changed,
    /// Came to its end, whatever failed on the way.
    Complete,
}

/// What a run was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Figures.
    #[default]
    Measure,
    /// A first look with two samples of each prompt (`--quick`).
    Quick,
    /// To see that everything works (`--test`, `cargo test`).
    Test,
}

/// The suite that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteRecord {
    /// Its name, part of each identifier.
    pub name: String,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
    /// Whether its runs go on past an end token, where the runtime can do that.
    pub ignore_eos: bool,
    /// Whether its prompts stand for their sizes alone.
    pub sweep: bool,
}

/// What all inferences of a run were made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Context window, tokens.
    pub max_context: u32,
    /// CPU threads of the runtime; absent: left to the runtime.
    pub threads: Option<u8>,
    /// CPU cores of the runtime, bit n is CPU n; absent: left to the runtime.
    pub cpu_mask: Option<u32>,
    /// NPU cores that each model had to be converted for; absent: not asked.
    pub npu_cores: Option<u8>,
    /// Whether embedding rows were fetched from storage instead of memory; absent: left to the runtime.
    pub embed_flash: Option<bool>,
    /// First NPU memory domain (IOMMU) that the model was loaded into; absent: left to the runtime.
    pub base_domain_id: Option<u32>,
    /// Most seconds that were waited before each model but the first until the board was as at the start; absent: it was not
    /// waited.
    pub settle_s: Option<u64>,
    /// Deadline of an inference, seconds.
    pub timeout_s: u64,
    /// Deadline of a load, seconds.
    pub load_timeout_s: u64,
    /// Samples wanted of each prompt.
    pub samples: usize,
    /// Warm-up inferences of each prompt, made first and kept out of the samples.
    pub warm_up: usize,
    /// Whether the runtime ran in this process instead of a worker.
    pub in_process: bool,
    /// Whether samples that the machine disturbed were rejected.
    pub strict: bool,
    /// The server that ran the models; absent where the runtime was called directly.
    pub server: Option<ServerParameters>,
}

/// Which server ran the models, and how it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerParameters {
    /// Its address.
    pub url: String,
    /// Where text went.
    pub api: Api,
    /// Whether models were loaded and unloaded, where the server can do that.
    pub manages_models: bool,
    /// Clients that each sent one request after the other; absent: one, by the rules of every other run.
    pub concurrency: Option<u16>,
}

/// One model of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its name, part of each identifier.
    pub name: String,
    /// Its file, or the first of its shards; of a server, the server's name of it.
    pub path: PathBuf,
    /// Size of its file or of all its shards, bytes; 0 where a server has it.
    pub bytes: u64,
    /// SHA-256 of its file, or of its shards one after the other, hexadecimal; empty where a server has it.
    pub sha256: String,
    /// Whether the weights are pseudo-random: the speed is real, the text is not to be judged.
    pub random_weights: bool,
    /// What was loaded, by the first load; absent when none succeeded.
    pub loaded: Option<Loaded>,
    /// Why the model was not loaded, when it was not.
    pub load_failure: Option<Failure>,
    /// What went wrong when the model was freed, its samples taken.
    pub unload_failure: Option<Failure>,
    /// What of it changed while it was measured: its files, or the library that runs it. Its figures are then not those of one
    /// model. Absent where nothing did; new in version 7.
    #[serde(default)]
    pub changed: Option<String>,
    /// Lines with which the runtime warned, each once, [`MOST_WARNINGS`] at most.
    pub warnings: Vec<String>,
    /// One entry a prompt, in the suite's order.
    pub prompts: Vec<PromptRecord>,
}

/// One prompt of a suite with one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// Its id, part of each identifier.
    pub id: String,
    /// Its readable name.
    pub name: String,
    /// What the model read.
    pub input: Input,
    /// New tokens asked of each inference.
    pub max_new_tokens: u32,
    /// How tokens were chosen.
    pub sampling: Sampling,
    /// Tokens that the KV cache held before the prompt came.
    pub depth: u32,
    /// What the KV cache held of the prompt itself.
    pub cache_start: CacheStart,
    /// What its answers are checked for: [`checks::outcomes`](crate::analysis::checks::outcomes) judges them.
    pub checks: Vec<Check>,
    /// Tokens that its prefill computes: the ids' count less a prefix in the KV cache, or of text, chat template included, and
    /// of ids behind others, what the first prefill computed; absent where none could be seen.
    pub prompt_tokens: Option<u32>,
    /// Warm-up inferences that stood, apart from the samples.
    pub warm_up: Vec<Sample>,
    /// Samples in the order they were taken.
    pub samples: Vec<Sample>,
    /// Inferences that a law of the ledger rejected.
    pub rejected: Vec<Rejected>,
    /// Inferences that an engine's failure cost.
    pub failures: Vec<Failure>,
    /// Why no more samples were tried, when the prompt was given up.
    pub given_up: Option<String>,
}

/// An inference that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its phases.
    pub phases: Phases,
    /// What is odd about it.
    pub marks: Vec<Mark>,
    /// What the machine did meanwhile; absent where nothing could be read.
    pub conditions: Option<Conditions>,
    /// All of it, raw.
    pub inference: Inference,
}

/// An inference that does not stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// The law it broke.
    pub reason: Rejection,
    /// All of it, raw.
    pub inference: Inference,
}

/// Lines of warning that are kept of a model. A runtime may write one for each run.
pub const MOST_WARNINGS: usize = 20;

impl ModelRecord {
    /// Takes what the runtime warned of, where it is new.
    pub(crate) fn warn(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            if self.warnings.len() < MOST_WARNINGS && !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// What the model's name says of its conversion: the parts of its file's name, and where that lacks one, of its own.
    pub fn name_parts(&self) -> NameParts {
        let file_name = self.path.file_name().unwrap_or_default().to_string_lossy();
        NameParts::of(&file_name).or(NameParts::of(&self.name))
    }
}

impl PromptRecord {
    /// The different causes of the prompt's faults, in the order they came first, with their counts.
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
    /// The label and the commit, for people; absent where there is neither.
    pub fn caption(&self) -> Option<String> {
        let label = self.label.as_ref().map(|label| format!("label {label}"));
        let git = self.git.as_ref().map(|git| format!("revision {}", git.short()));
        let parts: Vec<String> = label.into_iter().chain(git).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Marks the run as ended: by a model that changed, stopped by the user, or complete.
    pub(crate) fn end(&mut self, stopped: bool) {
        self.status = if self.models.iter().any(|model| model.changed.is_some()) {
            Status::Changed
        } else if stopped {
            Status::Stopped
        } else {
            Status::Complete
        };
    }

    /// Whether the run came to its end. Any other can be read, but its prompts may lack samples or have those of another model,
    /// and nothing is to be compared with it.
    pub fn is_complete(&self) -> bool {
        self.status == Status::Complete
    }

    /// Writes the record to `path`: beside it first, then by rename, so that `path` is whole at every moment, and stays after a
    /// power cut.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save(&self, path: &Path) -> Result<()> {
        atomic::write_json(path, self, Existing::Replace)
    }
}

/// The different labels and commits of some runs, in words; empty where none has any.
pub(crate) fn captions<'a>(runs: impl Iterator<Item = &'a RunRecord>) -> Vec<String> {
    let words: BTreeSet<String> = runs.filter_map(RunRecord::caption).collect();
    words.into_iter().collect()
}
