//! `cargo bench` on the host runtime, end to end: real inference on the built-in model.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use common::{
    Place, cargo, children, is_alive, messages, program, run, scratch, send, succeed, text_of, wait_until,
};
use rkllm_bench::ledger::Mark;
use rkllm_bench::record::{RunRecord, Status};
use rkllm_bench::replay::{Phase, folder};
use serde_json::Value;

/// The quick bench, as `cargo bench` runs it.
static QUICK: LazyLock<PathBuf> = LazyLock::new(|| {
    program(
        &messages(cargo().args(["bench", "--no-run", "--bench", "quick"])),
        "quick",
    )
});

/// One run at a time: they would share the cores otherwise.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The built-in model in a folder of its own, where no other model can be found.
static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    rkllm_bench::models::built_in_tiny(&scratch("built-in"))
        .expect("the built-in model is made")
        .path
});

fn quick(place: &Place) -> Command {
    let mut command = place.bench(&QUICK);
    command.args(["--max-new-tokens", "16", "--models"]).arg(&*MODEL);
    command
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// What criterion stored of one benchmark, divided by its iteration counts.
fn criterions_samples(place: &Place, model: &str, phase: Phase, prompt: &str, baseline: &str) -> Vec<f64> {
    let dir = place
        .path("criterion")
        .join(folder(model, "quick", phase, prompt));
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

/// What the run record says of each phase, in whole nanoseconds.
fn recorded(record: &RunRecord, phase: Phase, prompt: &str) -> Vec<f64> {
    let prompt = record.models[0]
        .prompts
        .iter()
        .find(|record| record.id == prompt)
        .expect("recorded");
    let figures = prompt.samples.iter().map(|sample| &sample.phases);
    #[expect(clippy::cast_precision_loss, reason = "below 2^52")]
    let whole = |ns: u64| ns as f64;
    match phase {
        Phase::Ttft | Phase::Prefill => figures.map(|phases| whole(phases.ttft_ns)).collect(),
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
    let text = succeed(&mut quick(&place));
    assert!(!text.contains("Unable to complete"), "{text}");
    assert!(text.contains("platform HOST"), "{text}");
    assert!(
        text.contains("(random weights: the speed is real, the text means nothing)"),
        "{text}"
    );
    assert!(text.contains("% inference)"), "{text}");
    let record = place.record();
    assert_eq!(record.status, Status::Complete);
    let model = &record.models[0];
    assert!(
        model
            .loaded
            .as_ref()
            .is_some_and(|loaded| loaded.runtime.cpu_features.is_some())
    );
    for prompt in &model.prompts {
        assert_eq!(prompt.samples.len(), 10);
        for phase in Phase::ALL {
            let stored = criterions_samples(&place, &model.name, phase, &prompt.id, "new");
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
    assert!(second.contains("change:"), "{second}");
}

#[test]
fn baselines_are_criterions() {
    let _turn = turn();
    let place = Place::new();
    succeed(quick(&place).args(["--save-baseline", "before", "decode/question"]));
    let model = place.record().models[0].name.clone();
    assert_eq!(
        criterions_samples(&place, &model, Phase::Decode, "question", "before").len(),
        10
    );
    let text = succeed(quick(&place).args(["--baseline", "before", "decode/question"]));
    assert!(text.contains("change:"), "{text}");

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
    let text = succeed(quick(&place).args(["--noplot", "decode/(question|code)$"]));
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
    assert_eq!(ids.len(), 12, "{text}");
    assert!(ids.contains(&"broken/quick/decode/summary"), "{text}");
    assert!(place.records().is_empty());
}

#[test]
fn a_test_run_makes_one_short_inference_a_prompt() {
    let _turn = turn();
    let place = Place::new();
    let text = succeed(quick(&place).arg("--test"));
    assert_eq!(text.matches("Success").count(), 12, "{text}");
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
    let text = succeed(quick(&place).args(["--noplot", "--in-process", "decode/question"]));
    assert!(
        text.contains("quick/decode/question") && text.contains("tok/s"),
        "{text}"
    );
    assert!(place.record().parameters.in_process);
}

#[test]
fn a_model_that_does_not_load_does_not_keep_the_others_from_running() {
    let _turn = turn();
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir(&models).expect("made");
    std::fs::write(models.join("broken.gguf"), "not a model").expect("written");
    std::fs::copy(&*MODEL, models.join("whole.gguf")).expect("copied");
    let output = run(place
        .bench(&QUICK)
        .args(["--noplot", "--max-new-tokens", "8", "decode/question", "--models"])
        .arg(&models));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("broken: ") && text.contains("1 model not loaded"),
        "{text}"
    );
    assert!(text.contains("whole/quick/decode/question"), "{text}");
    assert_eq!(place.record().models[1].prompts[0].samples.len(), 10);
}

#[test]
fn wrong_usage_is_64_and_says_what_is_right() {
    let rows: [(&[&str], &str); 6] = [
        (&["--sample-sise", "10"], "--sample-size"),
        (&["--sample-size", "3"], "at least 10"),
        (&["--models", "/no/such/place"], "/no/such/place"),
        (&["("], "FILTER"),
        (&["--max-context", "32"], "--max-context"),
        (&["--threads", "127"], "127 threads"),
    ];
    for (arguments, expected) in rows {
        let place = Place::new();
        let output = run(place.bench(&QUICK).args(arguments));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_record_that_cannot_be_written_costs_no_figures() {
    let _turn = turn();
    let place = Place::new();
    std::fs::write(place.path("runs"), "a file where the folder should be").expect("written");
    let output = run(quick(&place).args(["--noplot", "decode/question"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("quick/decode/question") && text.contains("tok/s"),
        "{text}"
    );
    assert!(
        text.contains(&format!("error: {}", place.path("runs").display())),
        "{text}"
    );
}

/// A long run, started and observed until it has recorded something.
fn begin_long_run(place: &Place) -> Child {
    let mut child = quick(place)
        .args(["--noplot", "--sample-size", "1000"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    wait_until(|| {
        assert!(
            child.try_wait().expect("known").is_none(),
            "the run ended by itself"
        );
        place.records().iter().any(|path| {
            RunRecord::load(path).is_ok_and(|record| record.models[0].prompts[0].samples.len() > 1)
        })
    });
    child
}

#[test]
fn a_signal_stops_the_run_and_its_worker_with_the_record_saved() {
    let _turn = turn();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new();
        let mut child = begin_long_run(&place);
        let workers = children(child.id());
        assert_eq!(workers.len(), 1);
        send(signal, child.id());
        let status = child.wait().expect("ended");
        let mut said = String::new();
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut said)
            .expect("read");
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(said.contains("what was recorded is in"), "{said}");
        wait_until(|| !is_alive(workers[0]));
        let record = place.record();
        assert_eq!(record.status, Status::Stopped);
        assert!(record.models[0].prompts[0].samples.len() > 1);
    }
}

#[test]
fn no_worker_outlives_a_killed_parent_and_the_record_is_whole() {
    let _turn = turn();
    let place = Place::new();
    let mut child = begin_long_run(&place);
    let workers = children(child.id());
    send("KILL", child.id());
    child.wait().expect("ended");
    wait_until(|| !is_alive(workers[0]));
    assert_eq!(place.record().status, Status::Running);
}
