//! The run record: one JSON file a run, with every raw sample. Reports, baselines and the gate read nothing else.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::board::Board;
use crate::engine::{Failure, Loaded};
use crate::error::{Error, Result};
use crate::inference::{Inference, Input, Phases, Sampling};
use crate::ledger::{Mark, Rejection};

/// Version of the record's shape. A reader refuses any other.
pub const SCHEMA_VERSION: u32 = 2;

/// One run of one suite over one or more models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of rkllm-bench that wrote it.
    pub tool_version: String,
    /// Name of the run: time of its start, suite, nonce.
    pub run_id: String,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// How far it got.
    pub status: Status,
    /// The suite.
    pub suite: SuiteRecord,
    /// What all inferences were made with.
    pub parameters: Parameters,
    /// The machine.
    pub board: Board,
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
    /// Came to its end, whatever failed on the way.
    Complete,
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
}

/// One model of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its name, part of each identifier.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Whether the weights are pseudo-random: the speed is real, the text is not to be judged.
    pub random_weights: bool,
    /// What was loaded, by the first load; absent when none succeeded.
    pub loaded: Option<Loaded>,
    /// Why the model was not loaded, when it was not.
    pub load_failure: Option<Failure>,
    /// What went wrong when the model was freed, its samples taken.
    pub unload_failure: Option<Failure>,
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
    /// Tokens that its prefill computes: the ids' count, or of text, chat template included, and of ids behind others,
    /// what the first prefill computed; absent where none could be seen.
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
        self.models_not_loaded + self.models_not_unloaded + self.failed + self.given_up > 0
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

impl RunRecord {
    /// Counts what went wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for model in &self.models {
            faults.models_not_loaded += usize::from(model.load_failure.is_some());
            faults.models_not_unloaded += usize::from(model.unload_failure.is_some());
            for prompt in &model.prompts {
                faults.failed += prompt.failures.len();
                faults.rejected += prompt.rejected.len();
                faults.given_up += usize::from(prompt.given_up.is_some());
            }
        }
        faults
    }

    /// Marks the run as ended: stopped by the user, or complete.
    pub(crate) fn end(&mut self, stopped: bool) {
        self.status = if stopped {
            Status::Stopped
        } else {
            Status::Complete
        };
    }

    /// Writes the record to `path`: beside it first, then by rename, so that `path` is whole at every moment.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        write_json(path, self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Record`] when it is of a newer schema or no record at all.
    pub fn load(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let refuse = |reason: String| Error::Record {
            path: path.to_owned(),
            reason,
        };
        let Version { schema_version } =
            serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        if schema_version != SCHEMA_VERSION {
            return Err(refuse(format!(
                "it has schema version {schema_version}, this rkllm-bench reads {SCHEMA_VERSION}: use the rkllm-bench that \
                 wrote it, or measure again"
            )));
        }
        serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))
    }
}

/// Writes `value` to `path` as JSON: beside it first, then by rename, so that `path` is whole at every moment.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(Error::io(dir))?;
    serde_json::to_writer(std::io::BufWriter::new(&mut file), value).map_err(|error| Error::Io {
        path: path.to_owned(),
        source: error.into(),
    })?;
    file.write_all(b"\n").map_err(Error::io(path))?;
    file.persist(path).map_err(|error| Error::Io {
        path: path.to_owned(),
        source: error.error,
    })?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod fixtures {
    use super::*;
    use crate::engine::scripted;

    /// A complete run of model `m` over prompts `a` and `b`: for each sample the TTFT and the gap between each two of
    /// its ten tokens, both in nanoseconds.
    pub(crate) fn run(id: &str, samples: &[(u64, u64)]) -> RunRecord {
        let samples: Vec<Sample> = samples.iter().map(|(ttft, gap)| sample(*ttft, *gap)).collect();
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
    pub(crate) fn sample(ttft_ns: u64, gap_ns: u64) -> Sample {
        let stamps: Vec<u64> = (0..10).map(|token| ttft_ns + token * gap_ns).collect();
        let mut inference = scripted::inference(0, &stamps, ttft_ns + 9 * gap_ns);
        inference.peak_rss_bytes = Some(100_000_000);
        Sample {
            phases: inference.phases().expect("tokens came"),
            marks: Vec::new(),
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
                timeout_s: 60,
                load_timeout_s: 60,
                samples: 10,
                warm_up: 1,
                in_process: false,
            },
            board: Board {
                name: None,
                cpu: None,
                cores: 1,
                kernel: "6".into(),
                architecture: "aarch64".into(),
                memory_bytes: None,
            },
            models: Vec::new(),
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
        let record = fixtures::empty();
        record.save(&path).expect("saved");
        assert_eq!(RunRecord::load(&path).expect("loaded"), record);
        let files: Vec<_> = std::fs::read_dir(dir.path().join("deep"))
            .expect("listed")
            .collect();
        assert_eq!(files.len(), 1, "nothing is left beside it");
    }

    #[test]
    fn another_schema_is_refused_by_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run.json");
        RunRecord {
            schema_version: 99,
            ..fixtures::empty()
        }
        .save(&path)
        .expect("saved");
        let error = RunRecord::load(&path).expect_err("newer").to_string();
        assert!(error.contains("99") && error.contains("run.json"), "{error}");
    }

    #[test]
    fn half_a_file_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run.json");
        std::fs::write(&path, r#"{"schema_version": 1, "tool"#).expect("written");
        assert!(matches!(RunRecord::load(&path), Err(Error::Record { .. })));
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
