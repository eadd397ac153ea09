//! The run record: one JSON file a run, with every raw sample. Reports, baselines and the gate read nothing else.

pub mod baseline;
mod check;
#[cfg(test)]
mod edges;
mod git;
mod journal;
pub(crate) mod keeper;
pub mod ledger;
pub mod phase;
mod read;
pub(crate) mod run_folder;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::atomic::{self, Existing};
use crate::base::error::Result;
use crate::inference::Api;
use crate::inference::{CacheStart, Inference, Input, Phases, Sampling};
use crate::inference::{Failure, Loaded};
use crate::inputs::model_name::NameParts;
use crate::inputs::prompts::Check;
use crate::machine::board::Board;
use crate::machine::doctor::Item;
use crate::machine::sampler::{Conditions, SamplerRecord};
use crate::record::ledger::{Mark, Rejection};

pub(crate) use check::{
    MOST_SAMPLES, label as check_label, parameters as check_parameters, time as check_time,
};
pub use git::Git;
pub(crate) use journal::Journal;
pub(crate) use read::{Document, Fault, document, record as of_document, typed};

/// Version of the record's shape.
pub const SCHEMA_VERSION: u32 = 7;
/// The oldest version that is read.
const OLDEST_VERSION: u32 = 6;

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

/// What went wrong in a run, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Models that were not loaded.
    pub models_not_loaded: usize,
    /// Models whose unloading failed.
    pub models_not_unloaded: usize,
    /// Models that changed while they were measured.
    pub models_changed: usize,
    /// Inferences that an engine's failure cost.
    pub failed: usize,
    /// Inferences that the ledger rejected.
    pub rejected: usize,
    /// Prompts that were given up.
    pub given_up: usize,
}

impl Faults {
    /// Whether the run is to end with a failure: something died, was not loaded or was given up. A rejected
    /// inference that was made good by another one is reported, not punished.
    pub fn are_fatal(&self) -> bool {
        self.models_not_loaded + self.models_not_unloaded + self.models_changed + self.failed + self.given_up
            > 0
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |count: usize, one: &str, many: &str| {
            (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
        };
        let parts: Vec<String> = [
            part(self.models_not_loaded, "model not loaded", "models not loaded"),
            part(
                self.models_not_unloaded,
                "model failed on unloading",
                "models failed on unloading",
            ),
            part(
                self.models_changed,
                "model changed while it was measured",
                "models changed while they were measured",
            ),
            part(self.failed, "inference failed", "inferences failed"),
            part(
                self.rejected,
                "inference rejected by the ledger",
                "inferences rejected by the ledger",
            ),
            part(self.given_up, "prompt given up", "prompts given up"),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(&if parts.is_empty() {
            "no faults".to_owned()
        } else {
            parts.join(", ")
        })
    }
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

    /// Counts what went wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for model in &self.models {
            faults.models_not_loaded += usize::from(model.load_failure.is_some());
            faults.models_not_unloaded += usize::from(model.unload_failure.is_some());
            faults.models_changed += usize::from(model.changed.is_some());
            for prompt in &model.prompts {
                faults.failed += prompt.failures.len();
                faults.rejected += prompt.rejected.len();
                faults.given_up += usize::from(prompt.given_up.is_some());
            }
        }
        faults
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

    /// Reads a record, complete or not. Refused is what rkllm-bench cannot have written: another shape or version, and
    /// stored phases that do not follow from their inference's stamps.
    ///
    /// # Errors
    /// [`Error::Record`](crate::Error::Record) with the field and what to do.
    pub fn load(path: &Path) -> Result<Self> {
        document(path)
            .and_then(|document| of_document(&document))
            .map_err(|fault| fault.of_record(path))
    }

    /// Reads a record that is to be compared with others: a complete run with a sample at least.
    ///
    /// # Errors
    /// As [`RunRecord::load`], and [`Error::Record`](crate::Error::Record) with the status of a run that did not come to its end.
    pub fn load_complete(path: &Path) -> Result<Self> {
        let record = Self::load(path)?;
        record.check_comparable().map_err(|fault| fault.of_record(path))?;
        Ok(record)
    }

    /// Whether it can be compared with others, else the field that forbids it.
    pub(crate) fn check_comparable(&self) -> std::result::Result<(), Fault> {
        check::comparable(self)
    }

    /// All laws that [`RunRecord::load`] asks for, of a record that was not read.
    pub(crate) fn check(&self) -> std::result::Result<(), Fault> {
        check::record(self)
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    use super::*;
    use crate::inference::RuntimeStats;
    use crate::runtime::engine::scripted;

    /// A complete run of model `m` over prompts `a` and `b`: for each sample the TTFT and the gap between each two of
    /// its ten tokens, both in nanoseconds.
    pub(crate) fn run(id: &str, samples: &[(u64, u64)]) -> RunRecord {
        let samples: Vec<Sample> = samples
            .iter()
            .map(|(ttft, gap)| even_sample(*ttft, *gap))
            .collect();
        let of_prompt = |id| PromptRecord {
            prompt_tokens: Some(100),
            samples: samples.clone(),
            ..prompt(id)
        };
        let mut record = RunRecord {
            run_id: id.into(),
            status: Status::Complete,
            ..empty()
        };
        record.models.push(ModelRecord {
            loaded: Some(scripted::loaded(scripted::ABILITIES)),
            prompts: vec![of_prompt("a"), of_prompt("b")],
            ..model("m")
        });
        record
    }

    /// A sample of ten tokens.
    fn even_sample(ttft_ns: u64, gap_ns: u64) -> Sample {
        sample_of(&(0..10).map(|token| ttft_ns + token * gap_ns).collect::<Vec<_>>())
    }

    /// A sample with a token at each stamp, of a call at 0.
    pub(crate) fn sample_of(stamps: &[u64]) -> Sample {
        let end = stamps.last().copied().unwrap_or_default();
        let mut inference = scripted::inference(0, stamps, end);
        inference.peak_rss_bytes = Some(100_000_000);
        Sample {
            phases: inference.phases().expect("tokens came"),
            marks: Vec::new(),
            conditions: None,
            inference,
        }
    }

    /// A record without models.
    pub(crate) fn empty() -> RunRecord {
        RunRecord {
            schema_version: SCHEMA_VERSION,
            tool_version: "0.0.0".into(),
            run_id: "run".into(),
            started_at: "2026-01-01T00:00:00Z".into(),
            status: Status::Running,
            label: None,
            git: None,
            purpose: Purpose::Measure,
            filter: None,
            suite: SuiteRecord {
                name: "quick".into(),
                sha256: "00".into(),
                ignore_eos: true,
                sweep: false,
            },
            parameters: Parameters {
                max_context: 512,
                threads: Some(1),
                cpu_mask: None,
                npu_cores: None,
                embed_flash: None,
                base_domain_id: None,
                settle_s: None,
                timeout_s: 60,
                load_timeout_s: 60,
                samples: 10,
                warm_up: 1,
                in_process: false,
                strict: false,
                server: None,
            },
            board: Board {
                cores: Some(1),
                kernel: Some("6".into()),
                architecture: Some("aarch64".into()),
                ..Board::default()
            },
            doctor: Vec::new(),
            sampler: None,
            models: Vec::new(),
        }
    }

    /// A complete record of a model with two prompts of two samples each.
    pub(crate) fn complete(run_id: &str) -> RunRecord {
        let sampled = |id: &str| PromptRecord {
            samples: vec![sample(), sample()],
            ..prompt(id)
        };
        RunRecord {
            run_id: run_id.into(),
            status: Status::Complete,
            models: vec![ModelRecord {
                loaded: Some(scripted::loaded(scripted::ABILITIES)),
                prompts: vec![sampled("question"), sampled("code")],
                ..model("m")
            }],
            ..empty()
        }
    }

    /// Four tokens: TTFT 5,000 ns, then 1,000 ns a token.
    pub(crate) fn sample() -> Sample {
        let mut inference = scripted::inference(1_000, &[6_000, 7_000, 8_500, 9_000], 9_200);
        inference.stats = Some(RuntimeStats {
            prefill_time_ms: 0.005,
            prefill_tokens: 12,
            generate_time_ms: 0.003,
            generate_tokens: 4,
            memory_usage_mb: 1.0,
        });
        Sample {
            phases: inference.phases().expect("tokens came"),
            marks: vec![],
            conditions: None,
            inference,
        }
    }

    /// A model without prompts that was not loaded yet.
    pub(crate) fn model(name: &str) -> ModelRecord {
        ModelRecord {
            name: name.into(),
            path: name.into(),
            bytes: 0,
            sha256: String::new(),
            random_weights: true,
            loaded: None,
            load_failure: None,
            unload_failure: None,
            changed: None,
            warnings: Vec::new(),
            prompts: Vec::new(),
        }
    }

    /// A prompt without samples.
    pub(crate) fn prompt(id: &str) -> PromptRecord {
        PromptRecord {
            id: id.into(),
            name: id.into(),
            input: Input::Text("text".into()),
            max_new_tokens: 8,
            sampling: Sampling::GREEDY,
            depth: 0,
            cache_start: CacheStart::Cold,
            checks: vec![],
            prompt_tokens: None,
            warm_up: vec![],
            samples: vec![],
            rejected: vec![],
            failures: vec![],
            given_up: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deep/run.json");
        let mut record = fixtures::complete("one");
        record.models[0].prompts[0].checks = vec![
            Check::Words {
                min: Some(1),
                max: None,
            },
            Check::NoRepetition {},
        ];
        record.save(&path).expect("saved");
        assert_eq!(RunRecord::load(&path).expect("loaded"), record);
        let files: Vec<_> = std::fs::read_dir(dir.path().join("deep"))
            .expect("listed")
            .collect();
        assert_eq!(files.len(), 1, "nothing is left beside it");
    }

    #[test]
    fn only_a_complete_run_with_samples_is_compared() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run.json");
        let complete = fixtures::complete("one");
        complete.save(&path).expect("saved");
        assert_eq!(RunRecord::load_complete(&path).expect("loaded"), complete);
        let of = |models: Vec<ModelRecord>| RunRecord {
            models,
            ..complete.clone()
        };
        let with_status = |status| RunRecord {
            status,
            ..complete.clone()
        };
        let mut unloaded = fixtures::model("m");
        let mut silent = unloaded.clone();
        silent.prompts.push(fixtures::prompt("question"));
        unloaded.prompts.clear();
        for (record, expected) in [
            (with_status(Status::Running), "status: running: "),
            (with_status(Status::Stopped), "status: stopped: "),
            (of(vec![]), "models: no model was run"),
            (of(vec![unloaded]), "models[0].prompts: no prompt was run"),
            (of(vec![silent]), "models: no prompt has a sample"),
        ] {
            record.save(&path).expect("saved");
            assert_eq!(RunRecord::load(&path).expect("partial data is read"), record);
            assert_eq!(record.is_complete(), record.status == Status::Complete);
            let text = RunRecord::load_complete(&path)
                .expect_err("nothing to compare")
                .to_string();
            assert!(
                text.contains(expected) && text.contains("measure again"),
                "{text}"
            );
        }
    }

    #[test]
    fn faults_in_words() {
        assert_eq!(Faults::default().to_string(), "no faults");
        let faults = Faults {
            failed: 1,
            given_up: 2,
            ..Faults::default()
        };
        assert_eq!(faults.to_string(), "1 inference failed, 2 prompts given up");
        assert!(faults.are_fatal());
        assert!(
            !Faults {
                rejected: 3,
                ..Faults::default()
            }
            .are_fatal()
        );
    }
}
