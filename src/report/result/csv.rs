//! The result as CSV: one row for each prompt.

use super::facts::{RuntimeParts, bytes, failed, is_of_models, new_tokens, npu_cores, quantization};
use crate::analysis::figures::Figures;
use crate::base::csv_text::{self, cell, number};
use crate::record::{ModelRecord, PromptRecord, RunRecord};

const HEADER: [&str; 33] = [
    "run",
    "started_at",
    "label",
    "git_revision",
    "git_clean",
    "suite",
    "model",
    "model_bytes",
    "quantization",
    "random_weights",
    "runtime",
    "runtime_version",
    "driver",
    "platform",
    "machine",
    "soc",
    "threads",
    "npu_cores",
    "max_context",
    "prompt",
    "depth",
    "cache_start",
    "samples",
    "failed",
    "prompt_tokens",
    "new_tokens_min",
    "new_tokens_max",
    "ttft_ms",
    "prefill_tok_per_s",
    "decode_tok_per_s",
    "worst_gap_ms",
    "peak_memory_mb",
    "load_failure",
];

/// All prompts of all models and runs; unknown values are empty.
pub(super) fn csv(runs: &[RunRecord]) -> String {
    let rows = runs.iter().flat_map(|run| {
        run.models.iter().flat_map(move |model| {
            let prompts = model.prompts.iter();
            prompts.map(move |prompt| row(run, model, prompt))
        })
    });
    csv_text::table(HEADER, rows)
}

fn row(run: &RunRecord, model: &ModelRecord, prompt: &PromptRecord) -> [String; 33] {
    let runtime = RuntimeParts::of(model);
    let figures = Figures::of(prompt);
    let new_tokens = new_tokens(prompt);
    let machine = is_of_models(run).then_some(&run.board);
    let text = |text: Option<&str>| cell(text.unwrap_or_default()).into_owned();
    let failure = model.load_failure.as_ref().map(ToString::to_string);
    [
        text(Some(&run.run_id)),
        text(Some(&run.started_at)),
        text(run.label.as_deref()),
        text(run.git.as_ref().map(|git| git.revision.as_str())),
        shown(run.git.as_ref().map(|git| git.clean)),
        text(Some(&run.suite.name)),
        text(Some(&model.name)),
        shown(bytes(model)),
        text(quantization(model).as_deref()),
        model.random_weights.to_string(),
        text(runtime.name),
        text(runtime.version),
        text(runtime.driver),
        text(runtime.platform),
        text(machine.and_then(|board| board.name.as_deref().or(board.cpu.as_deref()))),
        text(machine.and_then(|board| board.soc.as_deref())),
        shown(run.parameters.threads),
        shown(npu_cores(model)),
        run.parameters.max_context.to_string(),
        text(Some(&prompt.id)),
        prompt.depth.to_string(),
        prompt.cache_start.name().to_owned(),
        prompt.samples.len().to_string(),
        failed(prompt).to_string(),
        shown(prompt.prompt_tokens),
        shown(new_tokens.map(|(least, _)| least)),
        shown(new_tokens.map(|(_, most)| most)),
        number(figures.ttft_ms),
        number(figures.prefill_tok_per_s),
        number(figures.decode_tok_per_s),
        number(figures.worst_gap_ms),
        number(figures.peak_memory_mb),
        text(failure.as_deref()),
    ]
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
