//! `rkllm-bench gate` from the command line: verdicts and exit codes, through cargo, make and a shell's pipe.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "a test")]

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use common::{Place, cargo, command, host, run, succeed, text_of};
use rkllm_bench::record::RunRecord;

/// A run of the quick bench, from which the tests make others whose times they know.
static RUN: LazyLock<RunRecord> = LazyLock::new(|| {
    let place = Place::new();
    let _turn = host::turn();
    succeed(host::quick(&place).args(["--noplot"]));
    place.record()
});

/// The same run on another day: each duration of the phases is `slower` times what it was, and a little of its own.
fn altered(index: u32, slower: f64) -> RunRecord {
    let mut run = RUN.clone();
    run.run_id = format!("{}-{index}", run.run_id);
    // Later than all others before it.
    run.started_at = format!("2030-01-01T00:{index:02}:00Z");
    let own = 1.0 + f64::from(index * 7 % 5) / 2000.0;
    for sample in run.models[0]
        .prompts
        .iter_mut()
        .flat_map(|prompt| &mut prompt.samples)
    {
        let inference = &mut sample.inference;
        let call = inference.call_ns;
        let later = |at: u64| call + stretched(at - call, slower * own);
        inference.return_ns = later(inference.return_ns);
        for token in &mut inference.tokens {
            token.at_ns = later(token.at_ns);
        }
        sample.phases = inference.phases().expect("tokens came");
    }
    run
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "nanoseconds of a run"
)]
fn stretched(ns: u64, by: f64) -> u64 {
    (ns as f64 * by).round() as u64
}

/// A folder with a baseline `main` of five runs, and candidates that are `slower` times as slow.
fn gated(candidates: u32, slower: f64) -> Place {
    let place = Place::new();
    let folder = place.path("target/rkllm-bench/runs");
    for index in 0..5 {
        let run = altered(index, 1.0);
        run.save(&folder.join(format!("{index}.json"))).expect("saved");
    }
    succeed(tool(&place).args(["baseline", "save", "main", "--last", "5"]));
    for index in 5..5 + candidates {
        let run = altered(index, slower);
        run.save(&folder.join(format!("{index}.json"))).expect("saved");
    }
    place
}

/// The program, with a target folder of its own.
fn tool(place: &Place) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_rkllm-bench"));
    command.env("CARGO_TARGET_DIR", place.path("target"));
    command
}

fn gate(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(tool(place).args(["gate", "--baseline", "main"]).args(arguments));
    (output.status.code(), text_of(&output))
}

#[test]
fn unchanged_runs_pass_and_slower_ones_are_a_regression() {
    let place = gated(3, 1.0);
    let (code, text) = gate(&place, &["--last", "3"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("no regression"), "{text}");
    let place = gated(3, 1.1);
    let (code, text) = gate(&place, &["--last", "3"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("regression") && text.contains("decode"), "{text}");
    // One run is enough: the baseline shows how much runs differ.
    assert_eq!(gate(&place, &[]).0, Some(1));
    // A wider bound lets it pass, for all or for the phases one by one.
    assert_eq!(gate(&place, &["--max-regression", "15%"]).0, Some(0));
    let each = "prefill=15%,ttft=15%,decode=15%,total=15%";
    assert_eq!(gate(&place, &["--per-phase", each]).0, Some(0));
}

#[test]
fn faster_runs_are_no_regression() {
    let place = gated(3, 0.8);
    let (code, text) = gate(&place, &["--last", "3"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("improved"), "{text}");
}

#[test]
fn one_run_a_side_without_calibration_cannot_be_told() {
    let place = gated(1, 1.3);
    succeed(
        tool(&place)
            .args(["baseline", "save", "one", "--runs"])
            .arg(place.path("target/rkllm-bench/runs/0.json")),
    );
    let output = run(tool(&place).args(["gate", "--baseline", "one"]));
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
    assert!(text_of(&output).contains("calibrate"), "{}", text_of(&output));
}

#[test]
fn another_model_file_is_not_comparable_unless_it_is_the_experiment() {
    let place = gated(2, 1.0);
    alter_candidate(&place, |run| run.models[0].sha256 = "0".repeat(64));
    let (code, text) = gate(&place, &["--last", "2"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("--allow model"), "{text}");
    assert_eq!(gate(&place, &["--last", "2", "--allow", "model"]).0, Some(0));
}

#[test]
fn a_prompt_that_is_no_longer_run_is_absent() {
    let place = gated(2, 1.0);
    alter_candidate(&place, |run| {
        run.models[0].prompts.remove(1);
    });
    let (code, text) = gate(&place, &["--last", "2"]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("/quick/*/code"), "{text}");
}

/// Puts runs of the minutes `minutes` into the folder, as of another suite.
fn add(place: &Place, suite: &str, minutes: std::ops::Range<u32>) {
    for index in minutes {
        let mut run = altered(index, 1.0);
        run.run_id = format!("{suite}-{index}");
        suite.clone_into(&mut run.suite.name);
        run.save(&runs(place).join(format!("{suite}-{index}.json")))
            .expect("saved");
    }
}

#[test]
fn a_suite_with_fewer_runs_than_asked_for_is_left_out_of_a_baseline() {
    // As after `cargo bench` and three times `cargo bench --bench quick`.
    let place = Place::new();
    add(&place, "performance", 0..1);
    add(&place, "quick", 1..4);
    let text = succeed(tool(&place).args(["baseline", "save", "main", "--last", "3"]));
    assert!(
        text.contains("left out, with fewer than 3 runs: performance (1)"),
        "{text}"
    );
    assert!(text.contains("baseline main: 3 runs"), "{text}");
    add(&place, "quick", 4..7);
    let (code, text) = gate(&place, &["--last", "3"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = gate(&place, &["--last", "4"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(
        text.contains("but quick (3): `cargo bench --bench quick` adds one, --last 3 takes fewer"),
        "{text}"
    );
}

#[test]
fn a_suite_of_the_baseline_without_a_candidate_is_absent_and_its_command_is_named() {
    let place = Place::new();
    for suite in ["performance", "quick"] {
        add(&place, suite, 0..3);
    }
    succeed(tool(&place).args(["baseline", "save", "main", "--last", "3"]));
    add(&place, "quick", 3..6);
    add(&place, "performance", 3..4);
    let (code, text) = gate(&place, &["--last", "3"]);
    assert_eq!(code, Some(4), "{text}");
    for part in [
        "lacks 1 suite",
        "left out, with fewer than 3 runs since the newest of the baseline",
        "suite performance of the baseline has no runs to judge: `cargo bench --bench performance` makes one, \
         --suite quick leaves it out",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, text) = gate(&place, &["--last", "3", "--suite", "quick"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = gate(&place, &["--suite", "table"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("its suites: performance, quick"), "{text}");
}

#[test]
fn runs_of_two_models_are_judged_model_by_model() {
    let place = Place::new();
    let add = |model: &str, minutes: std::ops::Range<u32>| {
        for index in minutes {
            let mut run = altered(index, 1.0);
            run.run_id = format!("{model}-{index}");
            model.clone_into(&mut run.models[0].name);
            run.save(&runs(&place).join(format!("{model}-{index}.json")))
                .expect("saved");
        }
    };
    add("a", 0..3);
    add("b", 0..3);
    succeed(tool(&place).args(["baseline", "save", "main", "--last", "3"]));
    add("a", 3..6);
    add("b", 3..6);
    let (code, text) = gate(&place, &["--last", "3"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("6 runs of the baseline, 6 of the candidate"),
        "{text}"
    );
}

/// Changes the newest run.
fn alter_candidate(place: &Place, change: impl Fn(&mut RunRecord)) {
    let path = place.path("target/rkllm-bench/runs/6.json");
    let mut run = RunRecord::load(&path).expect("a record");
    change(&mut run);
    run.save(&path).expect("saved");
}

#[test]
fn without_a_run_since_the_baseline_nothing_is_judged() {
    let place = gated(0, 1.0);
    let (code, text) = gate(&place, &[]);
    assert_eq!(code, Some(64), "{text}");
    assert!(
        text.contains("no complete run there since the newest of the baseline")
            && text.contains("cargo bench"),
        "{text}"
    );
    let (code, text) = gate(&place, &["--runs", &format!("{}/0.json", runs(&place).display())]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("compared with itself"), "{text}");
}

#[test]
fn wrong_usage_ends_with_64() {
    let place = gated(1, 1.0);
    let wrong: [&[&str]; 6] = [
        &["--max-regression", "5"],
        &["--per-phase", "decod=3%"],
        &["--alpha", "2"],
        &["--allow", "everything"],
        &["--runs", "no-such-*.json"],
        &["--format", "xml"],
    ];
    for arguments in wrong {
        let (code, text) = gate(&place, arguments);
        assert_eq!(code, Some(64), "{arguments:?}: {text}");
    }
    let output = run(tool(&place).args(["gate", "--baseline", "mian"]));
    assert_eq!(output.status.code(), Some(64));
    assert!(text_of(&output).contains("main"), "{}", text_of(&output));
}

#[test]
fn the_same_input_gives_the_same_verdict_to_the_last_byte() {
    let place = gated(3, 1.04);
    for format in ["text", "markdown", "json", "junit"] {
        let once = || gate(&place, &["--last", "3", "--format", format]).1;
        assert_eq!(once(), once(), "{format}");
    }
}

#[test]
fn exit_codes_come_through_cargo_make_and_a_pipe() {
    let slower = gated(3, 1.1);
    let same = gated(3, 1.0);
    let program = env!("CARGO_BIN_EXE_rkllm-bench");
    let line = format!("{program} gate --baseline main --last 3");
    for (place, code) in [(&slower, 1), (&same, 0)] {
        let target = place.path("target");
        // By a shell, and with its output piped away.
        for shell in [line.clone(), format!("set -o pipefail; {line} | head -1")] {
            let mut bash = command("bash");
            bash.args(["-c", &shell]).env("CARGO_TARGET_DIR", &target);
            let output = run(&mut bash);
            assert_eq!(output.status.code(), Some(code), "{shell}: {}", text_of(&output));
        }
        // make ends with 2 for any failure, and names the code.
        let makefile = place.path("Makefile");
        std::fs::write(&makefile, format!("gate:\n\t@{line}\n")).expect("written");
        let output = run(command("make")
            .args(["-f".as_ref(), makefile.as_os_str()])
            .env("CARGO_TARGET_DIR", &target));
        assert_eq!(output.status.code(), Some(code * 2), "{}", text_of(&output));
        assert_eq!(
            text_of(&output).contains("Error 1"),
            code == 1,
            "{}",
            text_of(&output)
        );
        // cargo run passes the code on. Its target folder is where the baseline is looked for, so that is named.
        let exported = place.path("main.json");
        succeed(
            tool(place)
                .args(["baseline", "export", "main", "--force"])
                .arg(&exported),
        );
        let output = run(cargo()
            .args([
                "run",
                "--release",
                "--quiet",
                "--",
                "gate",
                "--last",
                "3",
                "--baseline",
            ])
            .arg(&exported)
            .arg("--records")
            .arg(runs(place)));
        assert_eq!(output.status.code(), Some(code), "{}", text_of(&output));
    }
}

#[test]
fn help_lists_the_exit_codes() {
    let text = succeed(tool(&Place::new()).args(["gate", "--help"]));
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "64 ", "70 "] {
        let line = text.lines().any(|line| line.trim_start().starts_with(code));
        assert!(line, "{code} is not in:\n{text}");
    }
}

fn runs(place: &Place) -> PathBuf {
    place.path("target/rkllm-bench/runs")
}
