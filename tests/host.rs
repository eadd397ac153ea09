//! `cargo bench` on the host runtime, end to end: real inference on the built-in model.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::host::{MODEL, QUICK, TABLE, quick, turn};
use common::{Place, run, succeed, text_of};
use rkllm_bench::ledger::Mark;
use rkllm_bench::record::phase::{Phase, phases};
use rkllm_bench::record::{PromptRecord, RunRecord, Status};
use rkllm_bench::report::criterion_folder::folder;
use rkllm_bench::summary::Summary;
use serde_json::Value;

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// What criterion stored of one benchmark of a record's model, divided by its iteration counts.
fn criterions_samples(
    place: &Place,
    record: &RunRecord,
    phase: Phase,
    prompt: &str,
    baseline: &str,
) -> Vec<f64> {
    let dir = place
        .path("criterion")
        .join(folder(&record.models[0].name, &record.suite.name, phase, prompt));
    let sample = json(&dir.join(baseline).join("sample.json"));
    let numbers = |key: &str| -> Vec<f64> {
        sample[key]
            .as_array()
            .expect("an array")
            .iter()
            .map(|value| value.as_f64().expect("a number"))
            .collect()
    };
    numbers("times")
        .iter()
        .zip(numbers("iters"))
        .map(|(time, iterations)| time / iterations)
        .collect()
}

fn prompt_of<'a>(record: &'a RunRecord, id: &str) -> &'a PromptRecord {
    record.models[0]
        .prompts
        .iter()
        .find(|prompt| prompt.id == id)
        .expect("recorded")
}

/// What the run record says of each phase, in whole nanoseconds.
fn recorded(record: &RunRecord, phase: Phase, prompt: &str) -> Vec<f64> {
    let figures = prompt_of(record, prompt)
        .samples
        .iter()
        .map(|sample| &sample.phases);
    #[expect(clippy::cast_precision_loss, reason = "below 2^52")]
    let whole = |ns: u64| ns as f64;
    match phase {
        Phase::Ttft | Phase::Prefill => figures
            .map(|phases| whole(phases.ttft_ns.expect("a token")))
            .collect(),
        Phase::Total => figures.map(|phases| whole(phases.total_ns)).collect(),
        Phase::Decode => figures
            .map(|phases| phases.decode_ns_per_token.expect("decoded").round())
            .collect(),
    }
}

#[test]
fn criterion_stores_the_recording_to_the_nanosecond_and_compares_a_second_run() {
    let _turn = turn();
    let place = Place::new();
    let text = succeed(quick(&place).arg("--verbose"));
    assert!(!text.contains("Unable to complete"), "{text}");
    assert!(text.contains("platform HOST"), "{text}");
    assert!(
        text.contains("random weights: the speed is real, the text means nothing"),
        "{text}"
    );
    assert!(text.contains("% inference)"), "{text}");
    let record = place.record();
    assert_eq!(record.status, Status::Complete);
    let model = &record.models[0];
    assert!(model.loaded.as_ref().is_some_and(|loaded| {
        loaded
            .runtime
            .library()
            .is_some_and(|library| library.cpu_features.is_some())
    }));
    for prompt in &model.prompts {
        assert_eq!(prompt.samples.len(), 10);
        for phase in phases(&record.parameters, prompt) {
            let stored = criterions_samples(&place, &record, phase, &prompt.id, "new");
            assert_eq!(
                stored,
                recorded(&record, phase, &prompt.id),
                "{} {}",
                phase.name(),
                prompt.id
            );
        }
    }
    for phase in ["prefill", "decode"] {
        let id = format!("{}/quick/{phase}/question", model.name);
        let after = text.split(&id).nth(1).expect("its line on stdout comes first");
        assert!(after.contains("tok/s"), "no rate after {id}:\n{text}");
    }
    assert!(!text.contains("elem/s"), "{text}");
    assert!(place.path("criterion/report/index.html").is_file());

    let second = succeed(&mut quick(&place));
    assert!(
        second.contains("change of the time since the last run"),
        "{second}"
    );
}

#[test]
fn baselines_are_criterions() {
    let _turn = turn();
    let place = Place::new();
    succeed(quick(&place).args(["--save-baseline", "before", "decode/question"]));
    let record = place.record();
    assert_eq!(
        criterions_samples(&place, &record, Phase::Decode, "question", "before").len(),
        10
    );
    let text = succeed(quick(&place).args(["--baseline", "before", "decode/question"]));
    assert!(
        text.contains("change of the time since baseline before"),
        "{text}"
    );

    succeed(quick(&place).args(["--discard-baseline", "--noplot", "--quick", "decode/question"]));

    let output = run(quick(&place).args(["--baseline", "befor", "decode/question"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(
        text.contains("no baseline \"befor\"") && text.contains("--save-baseline befor"),
        "{text}"
    );
}

#[test]
fn a_filter_runs_only_what_it_matches() {
    let _turn = turn();
    let place = Place::new();
    let text = succeed(quick(&place).args(["--noplot", "--verbose", "decode/(question|code)$"]));
    assert!(
        text.contains("quick/decode/question") && text.contains("quick/decode/code"),
        "{text}"
    );
    assert!(!text.contains("quick/prefill/question"), "{text}");
    let prompts: Vec<_> = place.record().models[0]
        .prompts
        .iter()
        .map(|prompt| prompt.id.clone())
        .collect();
    assert_eq!(
        prompts,
        ["question", "code"],
        "the third prompt is not even inferred"
    );
}

#[test]
fn a_list_loads_nothing() {
    let place = Place::new();
    // A file that could not be loaded.
    let model = place.path("broken.gguf");
    std::fs::write(&model, "not a model").expect("written");
    let text = succeed(place.bench(&QUICK).args(["--list", "--models"]).arg(&model));
    let ids: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_suffix(": benchmark"))
        .collect();
    assert_eq!(ids.len(), 9, "{text}");
    assert!(ids.contains(&"broken/quick/decode/summary"), "{text}");
    assert!(place.records().is_empty());
}

#[test]
fn a_test_run_makes_one_short_inference_a_prompt() {
    let _turn = turn();
    let place = Place::new();
    let text = succeed(quick(&place).arg("--test"));
    assert_eq!(text.matches("Success").count(), 9, "{text}");
    let record = place.record();
    for prompt in &record.models[0].prompts {
        assert_eq!((prompt.warm_up.len(), prompt.samples.len()), (0, 1));
        assert_eq!(prompt.samples[0].inference.tokens.len(), 4);
    }
    assert!(!place.path("criterion/report").exists());
}

#[test]
fn greedy_runs_of_one_prompt_give_one_text_and_a_cold_prefill() {
    let _turn = turn();
    let place = Place::new();
    succeed(quick(&place).args(["--noplot", "decode/question"]));
    let prompt = &place.record().models[0].prompts[0];
    let texts: BTreeMap<_, usize> = prompt
        .samples
        .iter()
        .map(|sample| (&sample.inference.text, 1))
        .collect();
    assert_eq!(texts.len(), 1);
    for sample in &prompt.samples {
        assert_eq!(sample.inference.kv_cache_before, Some(0));
        let stats = sample.inference.stats.expect("the host runtime has statistics");
        assert_eq!(u32::try_from(stats.prefill_tokens).ok(), prompt.prompt_tokens);
        let cold = |mark: &Mark| !matches!(mark, Mark::NoStats | Mark::CacheNotEmpty { .. });
        assert!(sample.marks.iter().all(cold), "{:?}", sample.marks);
    }
}

#[test]
fn without_a_worker_the_figures_are_the_same_kind() {
    let _turn = turn();
    let place = Place::new();
    let text = succeed(quick(&place).args(["--noplot", "--verbose", "--in-process", "decode/question"]));
    assert!(
        text.contains("quick/decode/question") && text.contains("tok/s"),
        "{text}"
    );
    assert!(place.record().parameters.in_process);
}

#[test]
fn quick_takes_two_samples() {
    let _turn = turn();
    let place = Place::new();
    let text = succeed(quick(&place).args(["--noplot", "--quick", "decode/question"]));
    assert!(text.contains("tok/s"), "{text}");
    let record = place.record();
    assert_eq!(record.models[0].prompts[0].samples.len(), 2);
    assert_eq!(
        criterions_samples(&place, &record, Phase::Decode, "question", "new"),
        recorded(&record, Phase::Decode, "question")
    );
}

#[test]
fn a_mere_record_needs_no_criterion_and_few_samples() {
    let _turn = turn();
    let place = Place::new();
    let text = succeed(quick(&place).args(["--record-only", "--sample-size", "3", "decode/question"]));
    assert!(
        text.contains("decode tok/s") && text.contains("record: ") && text.contains("time: "),
        "{text}"
    );
    assert!(!text.contains("report: "), "{text}");
    let record = place.record();
    assert_eq!(record.status, Status::Complete);
    assert_eq!(record.models[0].prompts[0].samples.len(), 3);
    let left: Vec<_> = std::fs::read_dir(place.path("criterion"))
        .expect("listed")
        .map(|entry| entry.expect("listed").file_name())
        .collect();
    assert_eq!(left, ["rkllm-bench.lock"]);

    // Set for a whole shell, the variable changes nothing where nothing is measured.
    let place = Place::new();
    let text = succeed(quick(&place).arg("--list").env("RKLLM_BENCH_RECORD_ONLY", "1"));
    assert_eq!(text.matches(": benchmark").count(), 9, "{text}");
    let text = succeed(quick(&place).arg("--test").env("RKLLM_BENCH_RECORD_ONLY", "1"));
    assert_eq!(text.matches("Success").count(), 9, "{text}");
}

#[test]
fn a_sweep_measures_each_size() {
    let _turn = turn();
    let place = Place::new();
    let sizes = ["--prompt-tokens", "32,64", "--new-tokens", "8", "--depth", "0,48"];
    succeed(place.bench(&TABLE).arg("--models").arg(&*MODEL).args(sizes));
    let record = place.record();
    let ids: Vec<&str> = record.models[0]
        .prompts
        .iter()
        .map(|prompt| prompt.id.as_str())
        .collect();
    assert_eq!(ids, ["p32-n8", "p64-n8", "p32-n8-d48", "p64-n8-d48"]);
    for prompt in &record.models[0].prompts {
        assert_eq!(prompt.samples.len(), 10);
        for sample in &prompt.samples {
            assert_eq!(sample.inference.tokens.len(), 8);
            assert_eq!(sample.inference.kv_cache_before, Some(prompt.depth));
            let stats = sample.inference.stats.expect("statistics");
            assert_eq!(u32::try_from(stats.prefill_tokens).ok(), prompt.prompt_tokens);
        }
        for phase in phases(&record.parameters, prompt) {
            assert_eq!(
                criterions_samples(&place, &record, phase, &prompt.id, "new"),
                recorded(&record, phase, &prompt.id)
            );
        }
    }
}

#[test]
fn cold_warm_and_restored_prefill_are_benchmarks_of_their_own() {
    let _turn = turn();
    let place = Place::new();
    let suite = ["--noplot", "--verbose", "--prompts", "prompts/cache.json", "p512"];
    let text = succeed(quick(&place).args(suite));
    let record = place.record();
    let model = &record.models[0];
    for (id, held, computed) in [
        ("p512", 0, 512),
        ("p512-warm_prefix", 448, 64),
        ("p512-restored_cache", 0, 64),
    ] {
        let prompt = prompt_of(&record, id);
        assert_eq!(prompt.samples.len(), 10, "{text}");
        assert_eq!(
            (prompt.prompt_tokens, prompt.rejected.len()),
            (Some(computed), 0),
            "{id}"
        );
        for sample in &prompt.samples {
            let stats = sample.inference.stats.expect("statistics");
            assert_eq!(u32::try_from(stats.prefill_tokens), Ok(computed), "{id}");
            assert_eq!(sample.inference.kv_cache_before, Some(held), "{id}");
            assert!(
                sample.marks.iter().all(Mark::is_disturbance),
                "{id}: {:?}",
                sample.marks
            );
        }
        let figures = text
            .split(&format!("{}/cache/prefill/{id}\n", model.name))
            .nth(1)
            .expect("its figures");
        assert!(
            figures.lines().nth(1).is_some_and(|line| line.contains("tok/s")),
            "{figures}"
        );
        assert_eq!(
            criterions_samples(&place, &record, Phase::Prefill, id, "new"),
            recorded(&record, Phase::Prefill, id)
        );
    }
    let summary = Summary::of(model);
    assert!(
        summary.prefill_tok_per_s.is_none() && summary.ttft_ms.is_none(),
        "{text}"
    );
    assert!(summary.decode_tok_per_s.is_some());
}

#[test]
fn every_option_is_an_environment_variable_too() {
    let _turn = turn();
    let place = Place::new();
    let mut bench = common::command(&*QUICK);
    bench.args(["--bench", "--quick", "--noplot", "decode/question"]);
    let variables = [
        ("MODELS", MODEL.to_str().expect("a path")),
        ("MODEL", "tiny-random-weights"),
        ("MAX_NEW_TOKENS", "7"),
        ("MAX_CONTEXT", "256"),
        ("TIMEOUT", "77"),
        ("THREADS", "1"),
        ("CPU_MASK", "0x1"),
        ("SETTLE", "1m30s"),
        ("OUTPUT", place.path("runs").to_str().expect("a path")),
        ("IN_PROCESS", "1"),
        ("PROMPTS", "prompts/quick.json"),
    ]
    .map(|(name, value)| (format!("RKLLM_BENCH_{name}"), value.to_owned()));
    bench
        .envs(variables)
        .env("CRITERION_HOME", place.path("criterion"));
    succeed(&mut bench);
    let record = place.record();
    let parameters = &record.parameters;
    assert_eq!(
        (
            parameters.max_context,
            parameters.timeout_s,
            parameters.threads,
            parameters.cpu_mask
        ),
        (256, 77, Some(1), Some(1))
    );
    assert!(parameters.in_process);
    assert_eq!(parameters.settle_s, Some(90));
    assert_eq!(record.models[0].prompts[0].max_new_tokens, 7);
    // A flag wins over its variable.
    let place = Place::new();
    succeed(
        quick(&place)
            .args(["--noplot", "--quick", "decode/question", "--timeout", "5"])
            .env("RKLLM_BENCH_TIMEOUT", "77"),
    );
    assert_eq!(place.record().parameters.timeout_s, 5);
}

#[test]
fn a_machine_without_a_thermometer_says_once_that_it_does_not_settle() {
    let _turn = turn();
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir(&models).expect("made");
    for name in ["a", "b", "c"] {
        std::fs::copy(&*MODEL, models.join(format!("{name}.gguf"))).expect("copied");
    }
    let mut bench = place.bench(&QUICK);
    bench.args(["--noplot", "--quick", "--record-only", "--max-new-tokens", "4"]);
    bench.args(["--settle=1s", "decode/question", "--models"]);
    let text = succeed(bench.arg(&models));
    let zones = rkllm_bench::board::Board::read().thermal_zones;
    let has_none = zones.iter().all(|zone| zone.temperature_c.is_none());
    let told = text.matches("settle: this machine shows no temperature").count();
    assert_eq!(told, usize::from(has_none), "{text}");
    let record = place.record();
    assert_eq!(record.parameters.settle_s, Some(1));
    assert_eq!(record.models.len(), 3);
}

#[test]
fn a_flag_reaches_all_bench_targets() {
    let _turn = turn();
    let place = Place::new();
    let mut cargo = common::cargo();
    cargo.args(["bench", "--bench", "quick", "--bench", "performance", "--"]);
    cargo
        .args(["--quick", "--noplot", "--max-new-tokens", "5", "--models"])
        .arg(&*MODEL);
    cargo.arg("--output").arg(place.path("runs"));
    succeed(cargo.env("CRITERION_HOME", place.path("criterion")));
    let mut suites: Vec<String> = place
        .records()
        .iter()
        .map(|path| RunRecord::load(path).expect("whole"))
        .inspect(|record| assert_eq!(record.models[0].prompts[0].max_new_tokens, 5))
        .map(|record| record.suite.name)
        .collect();
    suites.sort();
    assert_eq!(suites, ["performance", "quick"]);
}

#[test]
fn help_shows_ours_and_criterions() {
    let place = Place::new();
    let text = succeed(place.bench(&QUICK).arg("--help"));
    for part in [
        "--max-context",
        "RKLLM_BENCH_MAX_CONTEXT",
        "--save-baseline",
        "--profile-time",
        "Exit codes:",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_built_in_model_is_made_when_asked_for_kept_and_removed_by_one_command() {
    let _turn = turn();
    let place = Place::new();
    let home = place.path("target");
    let path = home.join("rkllm-bench/models/r2/qwen2-0.5b-random-weights.gguf");
    let mut bench = place.bench(&QUICK);
    bench.args([
        "--quick",
        "--noplot",
        "--max-new-tokens",
        "2",
        "--model",
        "builtin:qwen2-0.5b",
    ]);
    let text = succeed(
        bench
            .args(["--verbose", "total/question"])
            .env("CARGO_TARGET_DIR", &home),
    );
    assert!(
        text.contains("qwen2-0.5b-random-weights/quick/total/question"),
        "{text}"
    );
    assert!(text.contains("random weights: the speed is real"), "{text}");
    let bytes = std::fs::metadata(&path).expect("kept").len();
    assert!(bytes > 500_000_000, "vocabulary included: {bytes} bytes");
    let program = |arguments: &[&str]| {
        let mut command = common::command(env!("CARGO_BIN_EXE_rkllm-bench"));
        succeed(command.args(arguments).env("CARGO_TARGET_DIR", &home))
    };
    let listed = program(&["models"]);
    assert!(
        listed.contains(&format!("builtin:qwen2-0.5b\t{}", path.display())),
        "{listed}"
    );
    assert!(
        listed.contains("builtin:tinyllama-1.1b\tgenerated when a run needs it"),
        "{listed}"
    );
    let removed = program(&["models", "--remove-built-in"]);
    assert_eq!(removed, format!("removed {} MB\n", bytes / 1_000_000));
    assert!(!path.exists());
    assert_eq!(program(&["models", "--remove-built-in"]), "removed 0 MB\n");
}
