//! Rows as `llama-bench -o jsonl` writes them, for llama.cpp's scripts/compare-llama-bench.py.
//!
//! The script requires keys that only llama.cpp can fill. They are empty strings, because the script joins on equality
//! and null equals nothing. Optional keys without a value are left out.

use crate::base::number::{self, Float as _, NS_PER_S};
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::base::stats::{mean, variance};
use crate::record::{ModelRecord, PromptRecord, RunRecord, Sample};

/// Required keys for which an RKLLM runtime has no value.
const EMPTY: [&str; 18] = [
    "gpu_info",
    "n_cpu_moe",
    "tensor_buft_overrides",
    "n_batch",
    "n_ubatch",
    "embeddings",
    "cpu_strict",
    "poll",
    "type_k",
    "type_v",
    "load_mode",
    "no_kv_offload",
    "split_mode",
    "main_gpu",
    "tensor_split",
    "flash_attn",
    "fit_target",
    "fit_min_ctx",
];

/// Two kinds of rows for each prompt: prefill (`n_prompt`, from the TTFT) and decode (`n_gen` steps after the first
/// token, one row for each length of answers, after `n_depth` tokens of the KV cache).
///
/// Prompts that the KV cache held in part have no rows, because the format cannot distinguish them from cold ones.
///
/// `commit` becomes `build_commit`, by which the script distinguishes two sides. Without it the run's own commit is
/// used, with the suffix `-dirty` if files differed from it; empty if the run has none.
pub fn llama_bench_jsonl(runs: &[RunRecord], commit: Option<&str>) -> String {
    let mut lines = String::new();
    for run in runs {
        for model in &run.models {
            let head = head(run, model, commit.map_or_else(|| own_commit(run), str::to_owned));
            for prompt in model.prompts.iter().filter(|prompt| is_exported(prompt)) {
                for test in [prefill(prompt)].into_iter().flatten().chain(decodes(prompt)) {
                    let mut row = head.clone();
                    row.extend(test.fields());
                    lines += &Value::Object(row).to_string();
                    lines.push('\n');
                }
            }
        }
    }
    lines
}

/// As `git describe --dirty` marks it.
fn own_commit(run: &RunRecord) -> String {
    run.git.as_ref().map_or_else(String::new, |git| {
        let dirty = if git.clean { "" } else { "-dirty" };
        format!("{}{dirty}", git.revision)
    })
}

fn is_exported(prompt: &PromptRecord) -> bool {
    prompt.given_up.is_none() && prompt.cache_start.is_cold()
}

/// The values that all rows of a model in a run share.
fn head(run: &RunRecord, model: &ModelRecord, commit: String) -> Map<String, Value> {
    let mut head = Map::new();
    let mut set = |key: &str, value: Value| head.insert(key.to_owned(), value);
    for key in EMPTY {
        set(key, json!(""));
    }
    // No layer is on a GPU; the script requires a number.
    set("n_gpu_layers", json!(0));
    set("build_commit", Value::String(commit));
    set("cpu_info", json!(run.board.cpu.as_deref().unwrap_or_default()));
    let runtime = model.loaded.as_ref().map(|loaded| loaded.runtime.name());
    set("backends", json!(runtime.unwrap_or_default()));
    set("model_filename", json!(model.path.to_string_lossy()));
    set("model_type", json!(model.name));
    set("model_size", json!(model.bytes));
    set(
        "n_threads",
        run.parameters
            .threads
            .map_or_else(|| json!(""), |threads| json!(threads)),
    );
    let mask = run.parameters.cpu_mask.map(|mask| format!("{mask:#x}"));
    set("cpu_mask", json!(mask.unwrap_or_default()));
    set("test_time", json!(run.started_at));
    head
}

/// One row: a number of tokens, and each sample's nanoseconds for them.
struct Test {
    n_prompt: u32,
    n_gen: u32,
    n_depth: u32,
    samples_ns: Vec<u64>,
}

impl Test {
    fn fields(&self) -> Vec<(String, Value)> {
        let ns: Vec<f64> = self.samples_ns.iter().map(|ns| ns.float()).collect();
        let tokens = f64::from(self.n_prompt + self.n_gen);
        let rates: Vec<f64> = ns.iter().map(|ns| tokens * NS_PER_S / ns).collect();
        let deviation = |values: &[f64]| variance(values).map_or(0.0, f64::sqrt);
        let fields = [
            ("n_prompt", json!(self.n_prompt)),
            ("n_gen", json!(self.n_gen)),
            ("n_depth", json!(self.n_depth)),
            ("avg_ns", json!(whole(mean(&ns).unwrap_or_default()))),
            ("avg_ts", json!(mean(&rates))),
            ("samples_ns", json!(self.samples_ns)),
            ("samples_ts", json!(rates)),
        ];
        // Absent for one sample, because the deviation is unknown. llama-bench writes 0.
        let several = (ns.len() > 1).then(|| {
            [
                ("stddev_ns", json!(whole(deviation(&ns)))),
                ("stddev_ts", json!(deviation(&rates))),
            ]
        });
        let fields = fields.into_iter().chain(several.into_iter().flatten());
        fields.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// Absent if the prompt's tokens or their computation time are unknown.
fn prefill(prompt: &PromptRecord) -> Option<Test> {
    let samples = prompt.samples.iter();
    let samples_ns: Vec<u64> = samples
        .map(|sample| sample.phases.prefill_ns)
        .collect::<Option<_>>()?;
    (!samples_ns.is_empty()).then_some(())?;
    Some(Test {
        n_prompt: prompt.prompt_tokens?,
        n_gen: 0,
        n_depth: prompt.depth,
        samples_ns,
    })
}

/// The steps after the first token, by their number.
fn decodes(prompt: &PromptRecord) -> Vec<Test> {
    let Some(prompt_tokens) = prompt.prompt_tokens else {
        return Vec::new();
    };
    let mut by_length = BTreeMap::<u32, Vec<u64>>::new();
    for sample in &prompt.samples {
        if let Some((steps, ns)) = steps(sample) {
            by_length.entry(steps).or_default().push(ns);
        }
    }
    let test = |(n_gen, samples_ns)| Test {
        n_prompt: 0,
        n_gen,
        n_depth: prompt.depth + prompt_tokens,
        samples_ns,
    };
    by_length.into_iter().map(test).collect()
}

fn steps(sample: &Sample) -> Option<(u32, u64)> {
    sample.phases.decode_ns_per_token?;
    let tokens = sample.inference.own_tokens();
    let (first, last) = (tokens.first()?, tokens.last()?);
    let ns = last.at_ns.checked_sub(first.at_ns).filter(|ns| *ns > 0)?;
    let steps = sample.inference.token_count().tokens?.checked_sub(1)?;
    let steps = u32::try_from(steps).ok().filter(|steps| *steps > 0)?;
    Some((steps, ns))
}

fn whole(ns: f64) -> u64 {
    number::whole(ns.round()).unwrap_or_default()
}
