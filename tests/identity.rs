//! What is measured stays what it was: the model's files, and the program.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use common::host::{MODEL, QUICK, RUN, tool, turn};
use common::{Place, children, command, run, send, succeed, text_of, wait_until};
use rkllm_bench::engine::{Engine as _, Worker};
use rkllm_bench::inference::LoadSpec;
use rkllm_bench::record::{RunRecord, Status};

/// Another model that loads: the built-in one with a changed weight.
fn other_model() -> Vec<u8> {
    let mut bytes = std::fs::read(&*MODEL).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes
}

/// A long run of the model at `path`, once it has some samples.
fn begun(place: &Place, path: &Path, arguments: &[&str]) -> Child {
    let mut bench = place.bench(&QUICK);
    bench
        .args(["--max-new-tokens", "16", "--models"])
        .arg(path)
        .args(arguments);
    let child = bench
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    wait_until(|| {
        let records = place.records();
        records.first().is_some_and(|file| {
            let record = RunRecord::load(file).expect("readable");
            record.models[0].prompts[0].samples.len() > 3
        })
    });
    child
}

#[track_caller]
fn assert_refused(place: &Place, output: &Output, what: &str) {
    let text = text_of(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("measured") && text.contains(what) && text.contains("record: "),
        "{text}"
    );
    assert!(
        !text.contains("tok/s"),
        "figures of two models are shown:\n{text}"
    );
    let record = place.record();
    assert_eq!(record.status, Status::Changed);
    let changed = record.models[0].changed.as_deref().expect("noted");
    assert!(changed.contains(what), "{changed}");
    assert!(
        record.models[0].prompts[0].samples.len() > 3,
        "what was measured is kept"
    );
    assert!(
        !place.path("criterion/report").exists(),
        "criterion was given nothing"
    );
}

/// What is done to a model's file, and what is then said.
type Change = (&'static str, fn(&Path), &'static str);

#[test]
fn a_run_of_two_models_is_refused_and_its_record_is_kept() {
    std::sync::LazyLock::force(&RUN); // it takes a turn
    let _turn = turn();
    let changes: [Change; 3] = [
        (
            "written over",
            |path| {
                // Not cut off before: the runtime has it mapped.
                let mut file = OpenOptions::new().write(true).open(path).expect("opened");
                file.write_all(&other_model()).expect("written");
            },
            "SHA-256",
        ),
        (
            "replaced",
            |path| {
                let beside = path.with_extension("new");
                std::fs::write(&beside, other_model()).expect("written");
                std::fs::rename(beside, path).expect("renamed");
            },
            "SHA-256",
        ),
        (
            "removed",
            |path| std::fs::remove_file(path).expect("removed"),
            "cannot be read now",
        ),
    ];
    for (how, change, what) in changes {
        let place = Place::new();
        let path = place.path("model.gguf");
        std::fs::copy(&*MODEL, &path).expect("copied");
        let child = begun(&place, &path, &["--sample-size", "30"]);
        change(&path);
        if how == "replaced" {
            // A load in the middle sees it before the end does.
            send("KILL", children(child.id())[0]);
        }
        let output = child.wait_with_output().expect("ended");
        assert_refused(&place, &output, what);
        let file = place.records().remove(0);
        let file = file.to_string_lossy();
        let baseline = place.path("complete.json");
        RUN.save(&baseline).expect("saved");
        succeed(
            tool(&place)
                .args(["baseline", "save", "before", "--runs"])
                .arg(&baseline),
        );
        let rows: [&[&str]; 4] = [
            &["gate", "--baseline", "before", "--runs", &file],
            &["baseline", "save", "two", "--runs", &file],
            &["compare", &file],
            &["export", "--to", "csv", "--runs", &file],
        ];
        for arguments in rows {
            let output = run(tool(&place).args(arguments));
            let text = text_of(&output);
            assert_eq!(output.status.code(), Some(64), "{how}, {arguments:?}: {text}");
            assert!(text.contains("changed"), "{how}, {arguments:?}: {text}");
        }
        let text = succeed(tool(&place).args(["report", &file]));
        assert!(text.contains("A model changed while it was measured"), "{text}");
        let text = succeed(
            tool(&place)
                .args(["runs", "list", "--records"])
                .arg(place.path("runs")),
        );
        assert!(text.contains("of a model that changed"), "{text}");
    }
}

#[test]
fn a_model_that_only_moved_is_the_same() {
    let _turn = turn();
    let place = Place::new();
    let path = place.path("model.gguf");
    std::fs::copy(&*MODEL, &path).expect("copied");
    let child = begun(&place, &path, &["--sample-size", "40", "--record-only"]);
    let beside = place.path("model.new");
    std::fs::copy(&*MODEL, &beside).expect("copied");
    std::fs::rename(beside, &path).expect("renamed");
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{}", text_of(&output));
    assert_eq!(place.record().status, Status::Complete);
}

#[test]
fn the_program_runs_whatever_it_is_called() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_rkllm-bench"));
    let place = Place::new();
    for name in ["rkllm-bench", "", "no/such/file", "/bin/sh", "x\ny"] {
        let mut models = tool(&place);
        let text = succeed(models.arg0(name).arg("models").arg("--models").arg(&*MODEL));
        assert!(text.contains("tiny"), "{name:?}: {text}");
    }
    // As a shell finds it.
    let mut models = command("/bin/sh");
    models
        .env("PATH", program.parent().expect("a folder"))
        .env("CARGO_TARGET_DIR", place.path("target"));
    succeed(
        models
            .args(["-c", "rkllm-bench models --models \"$1\"", "sh"])
            .arg(&*MODEL),
    );
}

/// Puts other bytes where an executable lies, as a build does.
fn rebuild(path: &Path) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, "#!/bin/sh\nexit 9\n").expect("written");
    succeed(command("chmod").arg("+x").arg(&beside));
    std::fs::rename(beside, path).expect("renamed");
}

#[test]
fn a_restarted_worker_is_the_same_program_after_a_build() {
    let _turn = turn();
    for removed in [false, true] {
        let place = Place::new();
        let program = place.path("quick");
        std::fs::copy(&*QUICK, &program).expect("copied");
        let mut bench = place.bench(&program);
        bench
            .args([
                "--max-new-tokens",
                "16",
                "--sample-size",
                "40",
                "--record-only",
                "--models",
            ])
            .arg(&*MODEL);
        let child = bench
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        wait_until(|| !place.records().is_empty() && !place.record().models[0].prompts[0].samples.is_empty());
        if removed {
            std::fs::remove_file(&program).expect("removed");
        } else {
            rebuild(&program);
        }
        send("KILL", children(child.id())[0]);
        let output = child.wait_with_output().expect("ended");
        let text = text_of(&output);
        // The inference that was killed is a failure; the run goes on.
        assert_eq!(output.status.code(), Some(1), "{text}");
        let record = place.record();
        assert_eq!(record.status, Status::Complete, "{text}");
        let prompts = &record.models[0].prompts;
        assert_eq!(
            prompts.iter().map(|prompt| prompt.failures.len()).sum::<usize>(),
            1,
            "{text}"
        );
        assert!(prompts.iter().all(|prompt| prompt.samples.len() == 40), "{text}");
        let library = record.models[0]
            .loaded
            .as_ref()
            .expect("loaded")
            .runtime
            .library();
        assert_eq!(library.expect("the host runtime's").library.path, program);
    }
}

#[test]
fn a_worker_of_another_program_is_held_too() {
    let _turn = turn();
    let place = Place::new();
    let program = place.path("rkllm-bench");
    std::fs::copy(env!("CARGO_BIN_EXE_rkllm-bench"), &program).expect("copied");
    let spec = LoadSpec {
        max_context: 512,
        threads: Some(1),
        ..LoadSpec::new(&*MODEL)
    };
    let mut worker = Worker::of_executable(&program);
    let first = worker.load(&spec).expect("loaded");
    rebuild(&program);
    let second = worker.load(&spec).expect("loaded again");
    assert_eq!(first.runtime, second.runtime);
}
