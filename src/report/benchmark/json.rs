//! The report as JSON. `docs/report.schema.json` describes every field.

use crate::base::number::{Float as _, Long as _};
use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{Error as _, Serializer};
use serde_json::value::RawValue;

use crate::analysis::checks::Outcome;
use crate::analysis::figures::Figures;
use crate::analysis::metrics::{self, Measure};
use crate::analysis::reference::Finding;
use crate::analysis::summary::{Spread, Summary};
use crate::inference::{CacheStart, Inference, Input, Sampling};
use crate::inference::{Failure, Loaded};
use crate::inputs::model_name::NameParts;
use crate::machine::board::Board;
use crate::machine::sampler::SamplerRecord;
use crate::record::ledger::Mark;
use crate::record::{
    Git, ModelRecord, Parameters, PromptRecord, Rejected, RunRecord, Sample, Status, SuiteRecord,
};
use crate::report::ModelReport;

/// Version of the object `rkllm_bench`.
const SCHEMA_VERSION: u32 = 1;

/// How `summary` and `detailed_results` represent unknown values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// As `null`.
    #[default]
    Null,
    /// As 0, and texts as empty, for readers that compute with each value. `rkllm_bench.nulls_as_zero` is then set.
    Zero,
}

/// Writes the report of one model of a run; unknown values are `null`.
///
/// # Errors
/// The writer's.
pub fn json(report: &ModelReport, writer: impl Write) -> io::Result<()> {
    json_with(report, Unknown::Null, writer)
}

/// Writes the report of one model of a run.
///
/// # Errors
/// The writer's.
pub fn json_with(report: &ModelReport, unknown: Unknown, mut writer: impl Write) -> io::Result<()> {
    let summary = OldSummary::of(report.run, report.model, &report.summary);
    let document = Document {
        summary: match unknown {
            Unknown::Null => summary,
            Unknown::Zero => summary.with_zeroes(),
        },
        detailed_results: Results(report.model, unknown),
        rkllm_bench: Ours::of(report, unknown),
    };
    crate::base::json::write_pretty(&mut writer, &document)?;
    writer.write_all(b"\n")
}

#[derive(Serialize)]
struct Document<'a> {
    summary: OldSummary<'a>,
    detailed_results: Results<'a>,
    rkllm_bench: Ours<'a>,
}

#[derive(Serialize)]
struct OldSummary<'a> {
    total_requests: usize,
    successful_requests: usize,
    failed_requests: usize,
    avg_ttft_ms: Option<f64>,
    min_ttft_ms: Option<f64>,
    max_ttft_ms: Option<f64>,
    median_ttft_ms: Option<f64>,
    avg_total_time_ms: Option<f64>,
    min_total_time_ms: Option<f64>,
    max_total_time_ms: Option<f64>,
    avg_tokens_per_second: Option<f64>,
    min_tokens_per_second: Option<f64>,
    max_tokens_per_second: Option<f64>,
    median_tokens_per_second: Option<f64>,
    avg_input_tokens_per_second: Option<f64>,
    total_input_tokens: Option<u64>,
    total_output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    avg_memory_mb: Option<f64>,
    max_memory_mb: Option<f64>,
    model_name: &'a str,
    timestamp: &'a str,
    duration_seconds: Option<f64>,
}

impl<'a> OldSummary<'a> {
    fn of(run: &'a RunRecord, model: &'a ModelRecord, summary: &Summary) -> Self {
        let of = |spread: Option<Spread>, value: fn(Spread) -> f64| spread.map(value);
        let (ttft, total, decode) = (summary.ttft_ms, summary.total_ms, summary.decode_tok_per_s);
        Self {
            total_requests: summary.requests.total,
            successful_requests: summary.requests.successful,
            failed_requests: summary.requests.failed,
            avg_ttft_ms: of(ttft, |spread| spread.average),
            min_ttft_ms: of(ttft, |spread| spread.minimum),
            max_ttft_ms: of(ttft, |spread| spread.maximum),
            median_ttft_ms: of(ttft, |spread| spread.median),
            avg_total_time_ms: of(total, |spread| spread.average),
            min_total_time_ms: of(total, |spread| spread.minimum),
            max_total_time_ms: of(total, |spread| spread.maximum),
            avg_tokens_per_second: of(decode, |spread| spread.average),
            min_tokens_per_second: of(decode, |spread| spread.minimum),
            max_tokens_per_second: of(decode, |spread| spread.maximum),
            median_tokens_per_second: of(decode, |spread| spread.median),
            avg_input_tokens_per_second: of(summary.prefill_tok_per_s, |spread| spread.average),
            total_input_tokens: summary.tokens.input,
            total_output_tokens: summary.tokens.output,
            total_tokens: summary.tokens.total(),
            avg_memory_mb: of(summary.peak_memory_mb, |spread| spread.average),
            max_memory_mb: of(summary.peak_memory_mb, |spread| spread.maximum),
            model_name: &model.name,
            timestamp: &run.started_at,
            duration_seconds: summary.duration_s,
        }
    }

    fn with_zeroes(mut self) -> Self {
        for number in [
            &mut self.avg_ttft_ms,
            &mut self.min_ttft_ms,
            &mut self.max_ttft_ms,
            &mut self.median_ttft_ms,
            &mut self.avg_total_time_ms,
            &mut self.min_total_time_ms,
            &mut self.max_total_time_ms,
            &mut self.avg_tokens_per_second,
            &mut self.min_tokens_per_second,
            &mut self.max_tokens_per_second,
            &mut self.median_tokens_per_second,
            &mut self.avg_input_tokens_per_second,
            &mut self.avg_memory_mb,
            &mut self.max_memory_mb,
            &mut self.duration_seconds,
        ] {
            number.get_or_insert(0.0);
        }
        self.total_input_tokens.get_or_insert(0);
        self.total_tokens.get_or_insert(0);
        self
    }
}

/// All inferences of a model, prompt by prompt: samples, then rejected and failed ones. Each is made when it is
/// written.
struct Results<'a>(&'a ModelRecord, Unknown);

impl<'a> Serialize for Results<'a> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of_prompt = |prompt: &'a PromptRecord| {
            let samples = prompt.samples.iter().enumerate();
            let rejected = prompt.rejected.iter();
            let failures = prompt.failures.iter();
            samples
                .map(move |(index, sample)| DetailedResult::of_sample(prompt, index, sample))
                .chain(rejected.map(move |rejected| DetailedResult::of_rejected(prompt, rejected)))
                .chain(failures.map(move |failure| DetailedResult::of_failure(prompt, failure)))
        };
        let results = self.0.prompts.iter().flat_map(of_prompt);
        serializer.collect_seq(results.map(|result| match self.1 {
            Unknown::Null => result,
            Unknown::Zero => result.with_zeroes(),
        }))
    }
}

#[derive(Serialize)]
struct DetailedResult<'a> {
    prompt_id: &'a str,
    prompt_name: &'a str,
    prompt_length: Option<usize>,
    ttft_ms: Option<f64>,
    total_time_ms: Option<f64>,
    prefill_time_ms: Option<f32>,
    generate_time_ms: Option<f32>,
    input_tokens: Option<u32>,
    output_tokens: Option<usize>,
    total_tokens: Option<u64>,
    tokens_per_second: Option<f64>,
    input_tokens_per_second: Option<f64>,
    memory_usage_mb: Option<f64>,
    prompt_text: Option<&'a str>,
    response_text: Option<&'a str>,
    success: bool,
    error_message: Option<String>,
    sample: Option<usize>,
    marks: &'a [Mark],
    token_times_ms: Option<TokenTimes<'a>>,
}

impl<'a> DetailedResult<'a> {
    fn of_sample(prompt: &'a PromptRecord, index: usize, sample: &'a Sample) -> Self {
        let of = |measure| metrics::of_sample(measure, prompt, sample);
        Self {
            ttft_ms: of(Measure::Ttft),
            total_time_ms: of(Measure::Total),
            tokens_per_second: of(Measure::Decode),
            input_tokens_per_second: of(Measure::Prefill),
            success: true,
            sample: Some(index + 1),
            marks: &sample.marks,
            ..Self::of_inference(prompt, &sample.inference)
        }
    }

    /// Not an error message: it states that there was no error.
    fn with_zeroes(mut self) -> Self {
        for number in [
            &mut self.ttft_ms,
            &mut self.total_time_ms,
            &mut self.tokens_per_second,
            &mut self.input_tokens_per_second,
            &mut self.memory_usage_mb,
        ] {
            number.get_or_insert(0.0);
        }
        for number in [&mut self.prefill_time_ms, &mut self.generate_time_ms] {
            number.get_or_insert(0.0);
        }
        for count in [&mut self.prompt_length, &mut self.output_tokens] {
            count.get_or_insert(0);
        }
        self.input_tokens.get_or_insert(0);
        self.total_tokens.get_or_insert(0);
        for text in [&mut self.prompt_text, &mut self.response_text] {
            text.get_or_insert("");
        }
        self
    }

    /// Its times must not be used, so they are absent.
    fn of_rejected(prompt: &'a PromptRecord, rejected: &'a Rejected) -> Self {
        Self {
            error_message: Some(format!("rejected: {}", rejected.reason)),
            prefill_time_ms: None,
            generate_time_ms: None,
            token_times_ms: None,
            ..Self::of_inference(prompt, &rejected.inference)
        }
    }

    fn of_failure(prompt: &'a PromptRecord, failure: &Failure) -> Self {
        Self {
            error_message: Some(failure.to_string()),
            ..Self::of_prompt(prompt)
        }
    }

    fn of_inference(prompt: &'a PromptRecord, inference: &'a Inference) -> Self {
        let output = inference.token_count().tokens;
        let megabytes = |bytes: u64| bytes.float() / 1e6;
        let finite = |ms: f32| ms.is_finite().then_some(ms);
        Self {
            prefill_time_ms: inference.stats.and_then(|stats| finite(stats.prefill_time_ms)),
            generate_time_ms: inference.stats.and_then(|stats| finite(stats.generate_time_ms)),
            output_tokens: output,
            total_tokens: prompt
                .prompt_tokens
                .zip(output)
                .map(|(input, output)| u64::from(input) + output.long()),
            memory_usage_mb: inference.peak_rss_bytes.map(megabytes),
            response_text: Some(&inference.text),
            token_times_ms: Some(TokenTimes(inference)),
            ..Self::of_prompt(prompt)
        }
    }

    fn of_prompt(prompt: &'a PromptRecord) -> Self {
        let text = match &prompt.input {
            Input::Text(text) => Some(text.as_str()),
            Input::Tokens(_) => None,
        };
        Self {
            prompt_id: &prompt.id,
            prompt_name: &prompt.name,
            prompt_length: text.map(|text| text.chars().count()),
            ttft_ms: None,
            total_time_ms: None,
            prefill_time_ms: None,
            generate_time_ms: None,
            input_tokens: prompt.prompt_tokens,
            output_tokens: None,
            total_tokens: None,
            tokens_per_second: None,
            input_tokens_per_second: None,
            memory_usage_mb: None,
            prompt_text: text,
            response_text: None,
            success: false,
            error_message: None,
            sample: None,
            marks: &[],
            token_times_ms: None,
        }
    }
}

/// Time of each token, ms after the call, to the microsecond; on one line, because there are thousands.
struct TokenTimes<'a>(&'a Inference);

impl Serialize for TokenTimes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let times = self.0.tokens.iter().map(|token| {
            let ns = token.at_ns.saturating_sub(self.0.call_ns);
            format!("{}.{:03}", ns / 1_000_000, ns % 1_000_000 / 1_000)
        });
        let line = format!("[{}]", times.collect::<Vec<_>>().join(", "));
        RawValue::from_string(line)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

/// Fields that this program's predecessors, the scripts, did not have.
#[derive(Serialize)]
struct Ours<'a> {
    schema_version: u32,
    tool_version: &'a str,
    run_id: &'a str,
    label: &'a Option<String>,
    git: &'a Option<Git>,
    status: Status,
    nulls_as_zero: bool,
    suite: &'a SuiteRecord,
    parameters: &'a Parameters,
    board: &'a Board,
    sampler: &'a Option<SamplerRecord>,
    model: OurModel<'a>,
    summary: &'a Summary,
    prompts: Vec<OurPrompt<'a>>,
    published_figures: &'a [Finding],
}

#[derive(Serialize)]
struct OurModel<'a> {
    name: &'a str,
    path: &'a std::path::Path,
    bytes: u64,
    sha256: &'a str,
    random_weights: bool,
    name_parts: NameParts,
    loaded: &'a Option<Loaded>,
    load_failure: &'a Option<Failure>,
    unload_failure: &'a Option<Failure>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct OurPrompt<'a> {
    id: &'a str,
    max_new_tokens: u32,
    sampling: Sampling,
    depth: u32,
    cache_start: &'a CacheStart,
    token_ids: Option<&'a [i32]>,
    samples: usize,
    figures: Figures,
    checks: &'a [Outcome],
    given_up: &'a Option<String>,
}

impl<'a> Ours<'a> {
    fn of(report: &'a ModelReport, unknown: Unknown) -> Self {
        let ModelReport { run, model, .. } = report;
        Self {
            schema_version: SCHEMA_VERSION,
            tool_version: &run.tool_version,
            run_id: &run.run_id,
            label: &run.label,
            git: &run.git,
            status: run.status,
            nulls_as_zero: unknown == Unknown::Zero,
            suite: &run.suite,
            parameters: &run.parameters,
            board: &run.board,
            sampler: &run.sampler,
            model: OurModel {
                name: &model.name,
                path: &model.path,
                bytes: model.bytes,
                sha256: &model.sha256,
                random_weights: model.random_weights,
                name_parts: model.name_parts(),
                loaded: &model.loaded,
                load_failure: &model.load_failure,
                unload_failure: &model.unload_failure,
                warnings: &model.warnings,
            },
            summary: &report.summary,
            prompts: report.prompts().map(OurPrompt::of).collect(),
            published_figures: &report.findings,
        }
    }
}

impl<'a> OurPrompt<'a> {
    fn of((prompt, checks): (&'a PromptRecord, &'a [Outcome])) -> Self {
        Self {
            id: &prompt.id,
            max_new_tokens: prompt.max_new_tokens,
            sampling: prompt.sampling,
            depth: prompt.depth,
            cache_start: &prompt.cache_start,
            token_ids: match &prompt.input {
                Input::Text(_) => None,
                Input::Tokens(ids) => Some(ids),
            },
            samples: prompt.samples.len(),
            figures: Figures::of(prompt),
            checks,
            given_up: &prompt.given_up,
        }
    }
}
