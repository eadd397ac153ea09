//! Run records and baselines.

use serde_json::json;

use super::properties::records::{baseline, record};
use super::{edits, hold_reader};
use crate::inference::{Api, ServerIdentity};
use crate::inference::{Input, Pieces, RuntimeStats, Stream, Unread, Usage};
use crate::inputs::prompts::Check;
use crate::machine::board::Board;
use crate::machine::board::fake::Fake;
use crate::machine::sampler::{ClockRange, Conditions, SamplerRecord};
use crate::record::baseline::Baseline;
use crate::record::ledger::{Mark, Rejection};
use crate::record::{Rejected, RunRecord, ServerParameters, fixtures};
use crate::runtime::engine::{Runtime, scripted};

const WORDS: &[&str] = &[
    "schema_version",
    "run_id",
    "status",
    "complete",
    "running",
    "stopped",
    "models",
    "prompts",
    "samples",
    "warm_up",
    "name",
    "id",
    "inference",
    "phases",
    "tokens",
    "at_ns",
    "stats",
    "conditions",
    "board",
    "quick",
    "kind",
    "runs",
    "rkllm-bench baseline",
    "ttft_ns",
    "2026-01-01T00:00:00Z",
    "-009999-01-02T01:59:59Z",
    "checks",
    "no_repetition",
    "m",
    "a",
];

/// A record with a value in every field.
fn rich() -> RunRecord {
    let mut record = fixtures::complete("one");
    record.board = Board::read_below(Fake::rk3588().written().path());
    record.sampler = Some(SamplerRecord {
        interval_ms: 100,
        cpus: vec![0, 1],
        own_cpus: vec![2],
        ticks: 5,
        cpu_ns: 1_000,
        elapsed_ns: 1_000_000,
    });
    let model = &mut record.models[0];
    model.random_weights = false;
    model.unload_failure = Some(scripted::lost());
    model.warnings = vec!["W rkllm: threads".into()];
    let prompt = &mut model.prompts[0];
    prompt.input = Input::Tokens(vec![1, 2, 3]);
    prompt.prompt_tokens = Some(12);
    prompt.warm_up = vec![fixtures::sample()];
    prompt.failures = vec![scripted::lost()];
    prompt.checks = vec![
        Check::Words {
            min: Some(1),
            max: None,
        },
        Check::Json {
            schema: json!({"type": "object"}),
            bare: false,
        },
        Check::PythonFunction {
            name: "f".into(),
            parameters: Some(vec!["a".into()]),
            docstring: true,
        },
        Check::Sections {
            headings: vec!["## Goals".into()],
            only: true,
        },
        Check::NoRepetition {},
    ];
    let sample = &mut prompt.samples[0];
    sample.marks = vec![Mark::NoStats];
    sample.inference.text =
        "## Goals\n```python\ndef f(a):\n    \"\"\"d\"\"\"\n```\n<think>x</think>{\"n\": 1}".into();
    sample.conditions = Some(Conditions {
        ticks: 3,
        idle_percent: Some(50.0),
        waited_percent: Some(1.0),
        others_percent: Some(2.0),
        hottest_c: Some(45.5),
        clocks: vec![ClockRange {
            clock: "npu".into(),
            held_hz: Some(5),
            min_hz: 1,
            max_hz: 5,
        }],
        ..Conditions::default()
    });
    let mut inference = sample.inference.clone();
    inference.stats = inference.stats.map(|stats| RuntimeStats {
        prefill_time_ms: f32::NAN,
        ..stats
    });
    prompt.rejected = vec![Rejected {
        reason: Rejection::NoTokens,
        inference,
    }];
    record
}

/// A record of a server whose suite is a sweep.
pub(super) fn of_server() -> RunRecord {
    let mut record = fixtures::complete("two");
    record.suite.sweep = true;
    record.suite.ignore_eos = false;
    record.parameters.server = Some(ServerParameters {
        url: "http://board:8080".into(),
        api: Api::Chat,
        manages_models: true,
        concurrency: Some(2),
    });
    let mut loaded = scripted::loaded(scripted::ABILITIES);
    loaded.runtime = Runtime::Server(ServerIdentity {
        url: "http://board:8080".into(),
        software: Some("server".into()),
        api: Api::Chat,
        is_local: false,
        abilities: scripted::ABILITIES,
    });
    record.models[0].loaded = Some(loaded);
    for sample in &mut record.models[0].prompts[1].samples {
        sample.inference.stream = Some(Stream {
            response_ns: 2_000,
            usage: Some(Usage {
                prompt_tokens: Some(12),
                completion_tokens: Some(4),
                cached_tokens: Some(0),
            }),
            finish_reason: Some("length".into()),
            model: Some("m".into()),
            pieces: Pieces::Words,
            unread: Some(Unread {
                chunks: 1,
                fields: vec!["musing".into()],
            }),
            left_out: vec!["top_k".into()],
            shared: true,
        });
        sample.phases = sample.inference.phases().expect("tokens came");
    }
    record
}

fn records() -> Vec<RunRecord> {
    vec![fixtures::complete("one"), rich(), of_server()]
}

#[test]
fn a_record_comes_back_as_it_was_or_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let documents = records().iter().map(|record| json!(record)).collect();
    hold_reader("records", 1000, &edits::file(documents, WORDS), |bytes| {
        record(dir.path(), &bytes)
    });
}

#[test]
fn a_baseline_comes_back_as_it_was_or_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let document = |runs| json!(Baseline::new("before", runs));
    let documents = vec![
        document(vec![fixtures::complete("one"), of_server()]),
        document(vec![rich(), fixtures::complete("two")]),
    ];
    hold_reader("baselines", 500, &edits::file(documents, WORDS), |bytes| {
        baseline(dir.path(), &bytes)
    });
}
