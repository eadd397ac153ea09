//! One row a sample.

use crate::base::csv_text::{self, cell, number};
use crate::base::number::{BYTES_PER_MB, Float as _, NS_PER_MS, NS_PER_S, ms};
use crate::record::{ModelRecord, PromptRecord, RunRecord, Sample};

const HEADER: [&str; 21] = [
    "run",
    "started_at",
    "suite",
    "model",
    "runtime",
    "prompt",
    "sample",
    "depth",
    "cache_start",
    "prompt_tokens",
    "new_tokens",
    "ttft_ms",
    "prefill_tok_per_s",
    "decode_tok_per_s",
    "total_ms",
    "worst_gap_ms",
    "load_ms",
    "peak_memory_mb",
    "label",
    "git_revision",
    "git_clean",
];

/// All samples, those of given-up prompts too; warm-up, rejected and failed inferences are in the record alone. Absent
/// values are empty. Texts that a spreadsheet would compute get an apostrophe before them.
pub fn csv(runs: &[RunRecord]) -> String {
    let mut rows = Vec::new();
    for run in runs {
        for model in &run.models {
            for prompt in &model.prompts {
                let samples = prompt.samples.iter().enumerate();
                rows.extend(samples.map(|(index, sample)| row(run, model, prompt, index + 1, sample)));
            }
        }
    }
    csv_text::table(HEADER, rows)
}

fn row(
    run: &RunRecord,
    model: &ModelRecord,
    prompt: &PromptRecord,
    number_of: usize,
    sample: &Sample,
) -> [String; 21] {
    let phases = &sample.phases;
    let total_ns = phases.total_ns.float();
    let count = |count: Option<String>| count.unwrap_or_default();
    let loaded = model.loaded.as_ref();
    let runtime = loaded.map_or("", |loaded| loaded.runtime.name());
    [
        cell(&run.run_id).into_owned(),
        cell(&run.started_at).into_owned(),
        cell(&run.suite.name).into_owned(),
        cell(&model.name).into_owned(),
        cell(runtime).into_owned(),
        cell(&prompt.id).into_owned(),
        number_of.to_string(),
        prompt.depth.to_string(),
        prompt.cache_start.name().to_owned(),
        count(prompt.prompt_tokens.map(|tokens| tokens.to_string())),
        count(
            sample
                .inference
                .token_count()
                .tokens
                .map(|tokens| tokens.to_string()),
        ),
        number(phases.ttft_ns.map(ms)),
        number(
            prompt
                .prompt_tokens
                .zip(phases.prefill_ns)
                .map(|(tokens, ns)| f64::from(tokens) * NS_PER_S / ns.float()),
        ),
        number(phases.decode_ns_per_token.map(|ns| NS_PER_S / ns)),
        number(Some(total_ns / NS_PER_MS)),
        number(phases.worst_gap_ns.map(ms)),
        number(loaded.map(|loaded| ms(loaded.load_ns))),
        number(
            sample
                .inference
                .peak_rss_bytes
                .map(|bytes| bytes.float() / BYTES_PER_MB),
        ),
        cell(run.label.as_deref().unwrap_or_default()).into_owned(),
        run.git
            .as_ref()
            .map_or_else(String::new, |git| git.revision.clone()),
        run.git
            .as_ref()
            .map_or_else(String::new, |git| git.clean.to_string()),
    ]
}
