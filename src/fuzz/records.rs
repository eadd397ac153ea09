//! Run records and baselines.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::{Taken, assert_readable, edits, hold_reader, measured};
use crate::analysis::compare as beside;
use crate::analysis::concurrency;
use crate::analysis::gate::{self, Limits};
use crate::base::foreign::Shown as _;
use crate::inference::Api;
use crate::inference::Runtime;
use crate::inference::ServerIdentity;
use crate::inference::{Input, Pieces, RuntimeStats, Stream, Unread, Usage};
use crate::inputs::prompts::Check;
use crate::machine::board::Board;
use crate::machine::board::fake::Fake;
use crate::machine::sampler::{ClockRange, Conditions, SamplerRecord};
use crate::record::baseline::{self, Baseline};
use crate::record::ledger::{Mark, Rejection};
use crate::record::{Rejected, RunRecord, ServerParameters, fixtures};
use crate::report::export;
use crate::report::{self, compare, terminal};
use crate::runtime::engine::scripted;

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

/// What a record's file takes of memory. The least of a struct on disk is a few bytes of `null`.
const ALLOWANCE: usize = 1 << 20;
const BYTES_A_BYTE: usize = 60;

/// A record with something in every field.
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

/// One of a server, with a suite that is swept over.
fn of_server() -> RunRecord {
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
    let (path, copy) = (dir.path().join("run.json"), dir.path().join("copy.json"));
    let documents = records().iter().map(|record| json!(record)).collect();
    hold_reader("records", 1000, &edits::file(documents, WORDS), |bytes| {
        std::fs::write(&path, &bytes).expect("written");
        match measured(bytes.len(), ALLOWANCE, BYTES_A_BYTE, || RunRecord::load(&path)) {
            Ok(record) => {
                record.save(&path).expect("saved");
                RunRecord::load(&path)
                    .expect("it was accepted before")
                    .save(&copy)
                    .expect("saved");
                assert_same_bytes(&path, &copy);
                assert_used(&record);
                Taken::Accepted
            }
            Err(error) => {
                assert_placed(&error.to_string(), &path, "run record", &bytes);
                Taken::Refused
            }
        }
    });
}

#[test]
fn a_baseline_comes_back_as_it_was_or_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, copy) = (dir.path().join("before.json"), dir.path().join("copy.json"));
    let document = |runs| json!(Baseline::new("before", runs));
    let documents = vec![
        document(vec![fixtures::complete("one"), of_server()]),
        document(vec![rich(), fixtures::complete("two")]),
    ];
    hold_reader("baselines", 500, &edits::file(documents, WORDS), |bytes| {
        std::fs::write(&path, &bytes).expect("written");
        match measured(bytes.len(), ALLOWANCE, BYTES_A_BYTE, || Baseline::load(&path)) {
            Ok(baseline) => {
                baseline.save(&path).expect("what was read can be saved");
                Baseline::load(&path)
                    .expect("it was accepted before")
                    .save(&copy)
                    .expect("saved");
                assert_same_bytes(&path, &copy);
                let runs = baseline::runs_of(&path).expect("a baseline has runs");
                assert_eq!(runs.len(), baseline.runs.len());
                Taken::Accepted
            }
            Err(error) => {
                assert_placed(&error.to_string(), &path, "baseline", &bytes);
                Taken::Refused
            }
        }
    });
}

#[track_caller]
fn assert_same_bytes(one: &Path, other: &Path) {
    let read = |path| std::fs::read_to_string(path).expect("read");
    assert_eq!(read(one), read(other));
}

/// Whatever is done with a record that was accepted is done to its end.
fn assert_used(record: &RunRecord) {
    let runs = std::slice::from_ref(record);
    let reports = report::models(record);
    for report in &reports {
        report::benchmark::markdown(report);
        report::benchmark::json(report, std::io::sink()).expect("written");
    }
    terminal::figures(&reports, 80);
    compare::text(&beside::of_run(record));
    concurrency::levels(record);
    for target in [
        export::Target::Csv,
        export::Target::Bencher,
        export::Target::LlamaBenchJsonl,
        export::Target::GithubActionBenchmark,
    ] {
        target.render(runs, None);
    }
    let comparison = gate::compare(runs, runs, &[], &[], &Limits::new(0.05));
    report::gate::text(&comparison);
    assert_eq!(
        gate::fingerprint(&[record]),
        gate::fingerprint(&[&record.clone()])
    );
}

/// A refusal names the file and what is wrong, and where it names a field, that or the object that lacks it is in the file.
fn assert_placed(text: &str, path: &Path, kind: &str, bytes: &[u8]) {
    static FIELD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^((?:\.?[a-z_0-9]+(?:\[\d+\])*)+): ").expect("a pattern"));
    assert_readable(text, 2000);
    let start = format!("{}: not a usable {kind}: ", path.shown());
    let reason = text
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{start} is not the start of {text}"));
    let document = serde_json::from_slice::<Value>(bytes).ok();
    match (FIELD.captures(reason), document) {
        (Some(field), Some(document)) => {
            let pointer = format!("/{}", field[1].replace(['.', '['], "/").replace(']', ""));
            let (outer, _) = pointer.rsplit_once('/').expect("it begins with one");
            assert!(
                document.pointer(outer).is_some(),
                "{reason}: no {pointer} in {document}"
            );
        }
        // The text of a document that is no JSON has a line or a byte; a whole document of another kind has no place.
        (None, None) => {
            let places = ["line ", "byte ", "the file is empty"];
            assert!(places.iter().any(|place| reason.contains(place)), "{reason}");
        }
        (Some(_), None) | (None, Some(_)) => assert!(reason.len() > 20, "{reason}"),
    }
}
