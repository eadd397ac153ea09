//! The result as JSON.

use serde::Serialize;

use super::facts::{RuntimeParts, bytes, failed, is_of_models, new_tokens, npu_cores, quantization};
use crate::analysis::concurrency::{Level, levels};
use crate::analysis::figures::Figures;
use crate::analysis::summary::Summary;
use crate::base::layout::document;
use crate::machine::doctor::Fitness;
use crate::record::{Git, ModelRecord, Parameters, PromptRecord, RunRecord, Status, SuiteRecord};

/// Version of the document's shape.
const SCHEMA_VERSION: u32 = 1;
/// Identifies this kind of JSON document.
const KIND: &str = "rkllm-bench result";

/// All runs; unknown values are `null`.
pub(super) fn json(runs: &[RunRecord]) -> String {
    #[derive(Serialize)]
    struct Content<'a> {
        runs: Vec<OneRun<'a>>,
    }
    let content = Content {
        runs: runs.iter().map(OneRun::of).collect(),
    };
    document(KIND, SCHEMA_VERSION, &content)
}

#[derive(Serialize)]
struct OneRun<'a> {
    run_id: &'a str,
    label: Option<&'a str>,
    git: Option<&'a Git>,
    started_at: &'a str,
    tool_version: &'a str,
    status: Status,
    suite: &'a SuiteRecord,
    parameters: &'a Parameters,
    machine: Option<Machine<'a>>,
    models: Vec<Model<'a>>,
    levels: Vec<Level>,
}

#[derive(Serialize)]
struct Machine<'a> {
    name: Option<&'a str>,
    soc: Option<&'a str>,
    cpu: Option<&'a str>,
    architecture: Option<&'a str>,
    kernel: Option<&'a str>,
    fitness: Fitness,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    bytes: Option<u64>,
    sha256: Option<&'a str>,
    random_weights: bool,
    quantization: Option<String>,
    npu_cores: Option<u8>,
    runtime: RuntimeParts<'a>,
    load_failure: Option<String>,
    summary: Summary,
    prompts: Vec<OnePrompt<'a>>,
}

#[derive(Serialize)]
struct OnePrompt<'a> {
    id: &'a str,
    depth: u32,
    cache_start: &'a str,
    prompt_tokens: Option<u32>,
    new_tokens: Option<Range>,
    samples: usize,
    failed: usize,
    given_up: Option<&'a str>,
    figures: Figures,
}

#[derive(Serialize)]
struct Range {
    minimum: usize,
    maximum: usize,
}

impl<'a> OneRun<'a> {
    fn of(run: &'a RunRecord) -> Self {
        let board = &run.board;
        Self {
            run_id: &run.run_id,
            label: run.label.as_deref(),
            git: run.git.as_ref(),
            started_at: &run.started_at,
            tool_version: &run.tool_version,
            status: run.status,
            suite: &run.suite,
            parameters: &run.parameters,
            machine: is_of_models(run).then(|| Machine {
                name: board.name.as_deref(),
                soc: board.soc.as_deref(),
                cpu: board.cpu.as_deref(),
                architecture: board.architecture.as_deref(),
                kernel: board.kernel.as_deref(),
                fitness: Fitness::of(&run.doctor),
            }),
            models: run.models.iter().map(Model::of).collect(),
            levels: levels(run),
        }
    }
}

impl<'a> Model<'a> {
    fn of(model: &'a ModelRecord) -> Self {
        Self {
            name: &model.name,
            bytes: bytes(model),
            sha256: Some(model.sha256.as_str()).filter(|digest| !digest.is_empty()),
            random_weights: model.random_weights,
            quantization: quantization(model),
            npu_cores: npu_cores(model),
            runtime: RuntimeParts::of(model),
            load_failure: model.load_failure.as_ref().map(ToString::to_string),
            summary: Summary::of(model),
            prompts: model.prompts.iter().map(OnePrompt::of).collect(),
        }
    }
}

impl<'a> OnePrompt<'a> {
    fn of(prompt: &'a PromptRecord) -> Self {
        Self {
            id: &prompt.id,
            depth: prompt.depth,
            cache_start: prompt.cache_start.name(),
            prompt_tokens: prompt.prompt_tokens,
            new_tokens: new_tokens(prompt).map(|(minimum, maximum)| Range { minimum, maximum }),
            samples: prompt.samples.len(),
            failed: failed(prompt),
            given_up: prompt.given_up.as_deref(),
            figures: Figures::of(prompt),
        }
    }
}
