//! `rkllm-bench ab` and `rkllm-bench calibrate` on real bench executables: on the stub runtime, whose pace a script sets,
//! and on the host runtime, which measures in turns.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::host::{MODEL, QUICK, turn};
use common::{Place, SDK, children, command, is_alive, run, send, text_of, wait_until};
use jiff::Timestamp;
use rkllm_bench::gate::{self, Aspect, Limits};
use rkllm_bench::record::{RunRecord, Status};
use serde_json::Value;

/// The program with a subcommand, whose files land in `place`.
fn program(place: &Place, subcommand: &str) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_rkllm-bench"));
    command
        .arg(subcommand)
        // An NPU's lock of its own.
        .env("RKLLM_BENCH_LOCK_DIR", place.path(""))
        .env("CARGO_TARGET_DIR", place.path("target"));
    command
}

fn quoted(words: &[&str]) -> String {
    shlex::try_join(words.iter().copied()).expect("quoted")
}

/// The quick bench on the stub with a model file, two samples a prompt.
fn stub_with(model: &Path) -> String {
    quoted(&[
        SDK.program.to_str().expect("a path"),
        "--max-new-tokens",
        "8",
        "--sample-size",
        "2",
        "--models",
        model.to_str().expect("a path"),
    ])
}

fn stub() -> String {
    stub_with(&SDK.model)
}

/// The same, steered by a script for the stub.
fn scripted(place: &Place, name: &str, lines: &[&str]) -> String {
    let path = place.path(name);
    std::fs::write(&path, lines.join("\n")).expect("written");
    format!("env STUB_SCRIPT={} {}", path.display(), stub())
}

/// Compares two commands; the records land in `ab` of the place.
fn ab(place: &Place, base: &str, candidate: &str) -> Command {
    let mut command = program(place, "ab");
    command
        .args(["--base", base, "--candidate", candidate])
        .arg("--output")
        .arg(place.path("ab"));
    command
}

fn experiment(place: &Place) -> Value {
    let text = std::fs::read_to_string(place.path("ab/ab.json")).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("listed");
    entries
        .map(|entry| entry.expect("listed").file_name().into_string().expect("a name"))
        .collect()
}

/// The records of all pairs, of base and candidate.
fn pairs(place: &Place) -> [Vec<RunRecord>; 2] {
    let experiment = experiment(place);
    ["base", "candidate"].map(|side| {
        let pairs = experiment["pairs"].as_array().expect("pairs").iter();
        let load =
            |pair: &Value| RunRecord::load(&place.path("ab").join(pair[side].as_str().expect("a file")));
        pairs.map(|pair| load(pair).expect("a whole record")).collect()
    })
}

/// Who went first, pair by pair.
fn order(place: &Place) -> Vec<String> {
    let experiment = experiment(place);
    let pairs = experiment["pairs"].as_array().expect("pairs").iter();
    pairs
        .map(|pair| pair["first"].as_str().expect("a side").to_owned())
        .collect()
}

/// A text without the line breaks that fit it to a terminal.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn assert_code(output: &Output, code: i32) -> String {
    let text = text_of(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// The exit code that the records on disk come to.
fn code_of(place: &Place, max_regression: f64) -> i32 {
    let [base, candidate] = pairs(place);
    let allowed = [Aspect::Model, Aspect::Runtime];
    let comparison = gate::compare_pairs(&base, &candidate, &allowed, &Limits::new(max_regression));
    comparison.overall.exit_code().into()
}

#[test]
fn all_records_are_kept_and_the_verdict_is_theirs() {
    let _turn = turn();
    let place = Place::new();
    let output = run(ab(&place, &stub(), &stub()).args(["--pairs", "3"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(code_of(&place, 0.01)), "{text}");
    let expected =
        [1, 2, 3].map(|pair| ["base", "candidate"].map(|side| format!("pair-00{pair}-{side}.json")));
    let expected = expected.into_iter().flatten().chain(["ab.json".into()]);
    assert_eq!(files(&place.path("ab")), expected.collect());
    for run in pairs(&place).iter().flatten() {
        assert_eq!(run.status, Status::Complete);
        assert!(
            run.models[0]
                .prompts
                .iter()
                .all(|prompt| prompt.samples.len() == 2)
        );
    }
    let experiment = experiment(&place);
    assert_eq!(experiment["kind"], "rkllm-bench ab");
    assert_eq!(experiment["base"], stub());
    assert!(text.contains(&format!("seed {}", experiment["seed"])), "{text}");
    assert!(text.contains("pairs: 3 in"), "{text}");
    assert!(!place.path("target").exists(), "nothing lands elsewhere");
}

#[test]
fn each_two_pairs_are_an_abba_by_the_seeds_coin() {
    let _turn = turn();
    let of_seed = |seed: &str| {
        let place = Place::new();
        let output = run(ab(&place, &stub(), &stub()).args(["--pairs", "4", "--seed", seed]));
        assert!(
            matches!(output.status.code(), Some(0..=2)),
            "{}",
            text_of(&output)
        );
        let [base, candidate] = pairs(&place);
        let started: Vec<String> = base
            .iter()
            .zip(&candidate)
            .map(|(base, candidate)| {
                let at = |run: &RunRecord| run.started_at.parse::<Timestamp>().expect("a time");
                let first = if at(base) < at(candidate) {
                    "base"
                } else {
                    "candidate"
                };
                first.to_owned()
            })
            .collect();
        assert_eq!(order(&place), started);
        assert_eq!(experiment(&place)["seed"].to_string(), seed);
        started
    };
    let one = of_seed("1");
    assert!(one[0] != one[1] && one[2] != one[3], "{one:?}");
    assert_eq!(of_seed("1"), one);
    let others = ["2", "3", "4", "5"].map(|seed| of_seed(seed) != one);
    assert!(others.contains(&true), "another seed, another order");
}

#[test]
fn a_candidate_that_is_many_times_slower_is_a_regression() {
    let _turn = turn();
    let place = Place::new();
    let slow = scripted(&place, "slow", &["pace 60000 6000"]);
    let output = run(ab(&place, &stub(), &slow).args(["--pairs", "4", "--max-regression", "50%"]));
    let text = assert_code(&output, 1);
    assert!(text.contains("regress"), "{text}");
    // From the other side it is none, whatever else may be undecided.
    let place = Place::new();
    let slow = scripted(&place, "slow", &["pace 60000 6000"]);
    let output = run(ab(&place, &slow, &stub()).args(["--pairs", "4", "--max-regression", "50%"]));
    let text = text_of(&output);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{text}");
    assert!(text.contains("improved"), "{text}");
}

#[test]
fn a_process_that_dies_stops_it_with_its_last_words() {
    let _turn = turn();
    let place = Place::new();
    let dies = scripted(&place, "dies", &["run 5 segv"]) + " --in-process";
    let output = run(ab(&place, &stub(), &dies).args(["--pairs", "3"]));
    let text = assert_code(&output, 70);
    assert!(
        text.contains("signal: 11") && text.contains("about to touch memory that is not there"),
        "{text}"
    );
    let left = place.path("ab/pair-001-candidate");
    assert!(text.contains(left.to_str().expect("a path")), "{text}");
    assert_eq!(files(&left).len(), 1, "its unfinished record");
    assert_eq!(order(&place).len(), 0);
}

#[test]
fn a_command_that_is_no_bench_or_several_is_told_what_is_meant() {
    let _turn = turn();
    let place = Place::new();
    let output = run(ab(&place, &stub(), &script(&place, "none", "exit 0")).args(["--pairs", "2"]));
    let text = assert_code(&output, 70);
    assert!(text.contains("it left no run record"), "{text}");
    let place = Place::new();
    let two = quoted(&["bash", "-c", &format!("{0} && {0}", stub())]);
    let output = run(ab(&place, &stub(), &two).args(["--pairs", "2"]));
    let text = assert_code(&output, 70);
    assert!(text.contains("it left 2 run records"), "{text}");
}

/// A script, of which nothing is known before it runs.
fn script(place: &Place, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = place.path(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    path.display().to_string()
}

#[test]
fn a_command_that_cannot_measure_is_64_at_once_with_what_to_write() {
    for (command, reason) in [
        ("cargo bench", "runs several bench targets"),
        ("cargo bench --benches", "runs several targets"),
        ("cargo run --release", "starts no bench target"),
        ("RKLLM_BENCH_MODEL=m cargo test", "starts no bench target"),
        ("true", "no bench executable"),
        ("sh -c 'sleep 1000'", "no bench executable"),
        (env!("CARGO_BIN_EXE_rkllm-bench"), "no bench executable"),
    ] {
        let place = Place::new();
        let outputs = [
            run(&mut ab(&place, command, command)),
            run(&mut calibrate(&place, &[], command)),
        ];
        for output in outputs {
            let text = assert_code(&output, 64);
            assert!(
                text.contains(reason) && text.contains("`cargo bench --bench quick`"),
                "{command}: {text}"
            );
        }
        assert!(!place.path("ab").exists() && !place.path("target").exists());
    }
}

#[test]
fn cargo_bench_of_one_target_is_built_once_and_started_as_it_is() {
    let _turn = turn();
    let place = Place::new();
    // Built before, with the same cargo.
    assert!(QUICK.is_file());
    let options = format!(
        "--models {} --max-new-tokens 4 --sample-size 2",
        quoted(&[MODEL.to_str().expect("a path")])
    );
    let base = format!("RKLLM_BENCH_THREADS=1 cargo bench --bench quick question -- {options}");
    let mut command = ab(
        &place,
        &base,
        &format!("cargo bench --bench=quick -- {options} question"),
    );
    command.args(["--pairs", "2", "--allow", "parameters"]);
    // cargo's own target folder, in which the bench is built already.
    command.env_remove("CARGO_TARGET_DIR");
    let output = run(&mut command);
    let text = text_of(&output);
    assert!(matches!(output.status.code(), Some(0..=2)), "{text}");
    assert!(text.contains(&format!("starts {}", QUICK.display())), "{text}");
    let base = experiment(&place)["base"].as_str().expect("a command").to_owned();
    assert!(
        base.starts_with("RKLLM_BENCH_THREADS=1 /") && base.contains(" --bench question --models "),
        "{base}"
    );
    for run in &pairs(&place)[0] {
        assert_eq!(run.parameters.threads, Some(1));
        assert_eq!(run.filter.as_deref(), Some("question"));
    }
    let text = assert_code(
        &run(ab(&place, "cargo bench --bench no-such", &base).env_remove("CARGO_TARGET_DIR")),
        70,
    );
    assert!(
        text.contains("no-such") && text.contains("nothing to start"),
        "{text}"
    );
}

#[test]
fn what_fails_within_a_run_is_a_result() {
    let _turn = turn();
    let place = Place::new();
    let output =
        run(ab(&place, &stub(), &scripted(&place, "no-load", &["init 1 refuse"])).args(["--pairs", "2"]));
    let text = unfolded(&assert_code(&output, 4));
    assert!(text.contains("the model was not loaded"), "{text}");
}

#[test]
fn wrong_usage_is_64_before_anything_runs() {
    let bench = stub();
    let bench = bench.as_str();
    let rows: [(&[&str], &str); 9] = [
        (
            &["--base", "/no/such/program", "--candidate", bench],
            "/no/such/program",
        ),
        (
            &["--base", bench, "--candidate", "no-such-program x"],
            "no-such-program",
        ),
        (&["--base", bench, "--candidate", "true '"], "unclosed quote"),
        (&["--base", bench], "--candidate"),
        (
            &["--base", bench, "--candidate", bench, "--pairs", "1"],
            "--pairs",
        ),
        (
            &["--base", bench, "--candidate", bench, "--budget", "10"],
            "such as 90s",
        ),
        (&["--base", bench, "--candidate", bench, "--alpha", "5"], "0.05"),
        (
            &["--base", bench, "--candidate", bench, "--allow", "weather"],
            "there are model",
        ),
        (
            &["--base", bench, "--candidate", bench, "--per-phase", "decod=3%"],
            "decod",
        ),
    ];
    for (arguments, expected) in rows {
        let place = Place::new();
        let text = assert_code(&run(program(&place, "ab").args(arguments)), 64);
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert!(!place.path("target").exists(), "{arguments:?}");
    }
    let place = Place::new();
    let text = assert_code(
        &run(program(&place, "calibrate").args(["--", "/no/such/program"])),
        64,
    );
    assert!(text.contains("/no/such/program"), "{text}");
}

#[test]
fn a_program_that_reads_stdout_finds_the_verdict_alone() {
    let _turn = turn();
    let place = Place::new();
    let output = run(ab(&place, &stub(), &stub()).args(["--pairs", "2", "--format", "json"]));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(document["kind"], "rkllm-bench comparison");
    assert_eq!(document["design"]["pairs"], 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("pairs: 2 in"));
}

#[test]
fn another_experiments_folder_is_refused() {
    let place = Place::new();
    std::fs::create_dir(place.path("ab")).expect("made");
    std::fs::write(place.path("ab/ab.json"), "{}").expect("written");
    let text = assert_code(&run(&mut ab(&place, &stub(), &stub())), 64);
    assert!(text.contains("--output"), "{text}");
    assert_eq!(files(&place.path("ab")).len(), 1);
}

#[test]
fn a_budget_ends_it_after_two_pairs_at_least() {
    let _turn = turn();
    let place = Place::new();
    let output = run(ab(&place, &stub(), &stub()).args(["--pairs", "50", "--budget", "1ms"]));
    let text = text_of(&output);
    assert_eq!(order(&place).len(), 2);
    assert!(
        text.contains("of 50 (--pairs)") && text.contains("--budget"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(code_of(&place, 0.01)), "{text}");
}

#[test]
fn ctrl_c_keeps_what_was_taken_and_leaves_no_process() {
    let _turn = turn();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new();
        let mut command = ab(&place, &stub(), &stub());
        command.args(["--pairs", "1000"]).stderr(Stdio::piped());
        let child = command.spawn().expect("started");
        let whole = || {
            place.path("ab/pair-001-candidate.json").is_file()
                && place.path("ab/pair-001-base.json").is_file()
        };
        wait_until(|| whole() && !children(child.id()).is_empty());
        let processes = children(child.id());
        send(signal, child.id());
        let output = child.wait_with_output().expect("ended");
        let text = assert_code(&output, code);
        assert!(
            text.contains(place.path("ab").to_str().expect("a path")),
            "{text}"
        );
        assert!(processes.iter().all(|pid| !is_alive(*pid)), "{processes:?}");
        let [base, candidate] = pairs(&place);
        assert!(!base.is_empty() && base.len() == candidate.len());
    }
}

#[test]
fn two_models_are_matched_and_a_note_names_them() {
    let _turn = turn();
    let place = Place::new();
    let other = place.path("other-model.rkllm");
    std::fs::write(&other, "another file").expect("written");
    let output = run(ab(&place, &stub(), &stub_with(&other)).args(["--pairs", "2"]));
    let text = unfolded(&text_of(&output));
    assert!(matches!(output.status.code(), Some(0..=2)), "{text}");
    assert!(
        text.contains("the base ran stub-model, the candidate other-model"),
        "{text}"
    );
    assert!(text.contains("stub-model/quick metric"), "{text}");
    assert_eq!(
        pairs(&place)[1][0].models[0].name,
        "other-model",
        "the record stays as it was"
    );
}

#[test]
fn on_the_host_runtime_what_cargo_sets_decides_nothing() {
    let _turn = turn();
    let place = Place::new();
    let line = |extra: &[&str]| {
        let bench = [
            QUICK.to_str().expect("a path"),
            "--models",
            MODEL.to_str().expect("a path"),
        ];
        quoted(
            &[
                &bench,
                ["--max-new-tokens", "16", "--sample-size", "2"].as_slice(),
                extra,
            ]
            .concat(),
        )
    };
    let mut command = ab(&place, &line(&[]), &line(&["--threads", "1"]));
    // As `cargo run` sets it: a bench that inherited it would make a test of one sample.
    command
        .args(["--pairs", "2", "--allow", "parameters"])
        .env("CARGO_MANIFEST_DIR", common::ROOT);
    let output = run(&mut command);
    let text = text_of(&output);
    let [base, candidate] = pairs(&place);
    for run in base.iter().chain(&candidate) {
        assert!(
            run.models[0]
                .prompts
                .iter()
                .all(|prompt| prompt.samples.len() == 2),
            "{text}"
        );
    }
    assert!(matches!(output.status.code(), Some(0..=2)), "{text}");
}

/// Repeated runs of a command.
fn calibrate(place: &Place, options: &[&str], line: &str) -> Command {
    let mut command = program(place, "calibrate");
    command
        .args(options)
        .arg("--")
        .args(shlex::split(line).expect("words"));
    command
}

fn calibrations(place: &Place) -> Vec<PathBuf> {
    let folder = place.path("target/rkllm-bench/calibrations");
    files(&folder).into_iter().map(|name| folder.join(name)).collect()
}

#[test]
fn a_calibration_is_kept_where_the_next_one_finds_it() {
    let _turn = turn();
    let place = Place::new();
    let options = ["--runs", "4", "--max-regression", "10000%"];
    let text = assert_code(&run(&mut calibrate(&place, &options, &stub())), 0);
    assert!(
        text.contains("fit to gate at --max-regression 10000%") && text.contains("\nstub-model/quick\n"),
        "{text}"
    );
    assert!(!text.contains("replaces"), "{text}");
    let [file] = calibrations(&place).try_into().expect("one file and no folder");
    let stored: Value = serde_json::from_slice(&std::fs::read(&file).expect("read")).expect("JSON");
    assert_eq!(stored["kind"], "rkllm-bench calibration");
    assert_eq!(stored["runs"].as_array().expect("runs").len(), 4);

    let again = ["--runs", "2", "--max-regression", "10000%"];
    let text = text_of(&run(&mut calibrate(&place, &again, &stub())));
    assert!(
        text.contains("replaces the calibration of") && text.contains("(4 runs)"),
        "{text}"
    );
    std::fs::write(&file, "{").expect("written");
    let text = text_of(&run(&mut calibrate(&place, &again, &stub())));
    assert!(text.contains("not a usable calibration"), "{text}");
    // What figures depend on is part of the name.
    let text = text_of(&run(&mut calibrate(
        &place,
        &again,
        &(stub() + " --max-context 2048"),
    )));
    assert!(!text.contains("replaces"), "{text}");
    assert_eq!(calibrations(&place).len(), 2);
}

#[test]
fn a_calibration_that_is_too_noisy_is_2_and_says_what_would_do() {
    let _turn = turn();
    let place = Place::new();
    let (slow, count) = (place.script(&["pace 60000 6000"]), place.path("count"));
    // Every other run is many times slower.
    let script = format!(
        "echo >>{0}; test $(( $(wc -l <{0}) % 2 )) = 1 && export STUB_SCRIPT={1}; exec {2}",
        count.display(),
        slow.display(),
        stub()
    );
    let line = quoted(&["bash", "-c", &script]);
    let text = assert_code(&run(&mut calibrate(&place, &["--runs", "4"], &line)), 2);
    assert!(text.contains("not fit to gate at --max-regression 5%"), "{text}");
    assert!(text.contains("no sane bound would be decided"), "{text}");
    assert!(
        text.contains("what helps against noise: stop other programs"),
        "{text}"
    );
    assert_eq!(
        calibrations(&place).len(),
        1,
        "kept all the same: that is what noise is like here"
    );
}

#[test]
fn a_calibration_that_is_stopped_or_fails_keeps_its_runs() {
    let _turn = turn();
    let place = Place::new();
    let mut command = calibrate(&place, &["--runs", "1000"], &stub());
    let child = command.stderr(Stdio::piped()).spawn().expect("started");
    let folder = place.path("target/rkllm-bench/calibrations");
    let first = || {
        folder.exists()
            && calibrations(&place)
                .iter()
                .any(|run| run.join("run-001.json").is_file())
    };
    wait_until(|| first() && !children(child.id()).is_empty());
    send("INT", child.id());
    let text = assert_code(&child.wait_with_output().expect("ended"), 130);
    let [unfinished] = calibrations(&place).try_into().expect("one folder");
    assert!(text.contains(unfinished.to_str().expect("a path")), "{text}");
    RunRecord::load(&unfinished.join("run-001.json")).expect("whole");

    let place = Place::new();
    let text = assert_code(
        &run(&mut calibrate(
            &place,
            &["--runs", "2"],
            &script(&place, "fails", "echo gone >&2; exit 3"),
        )),
        70,
    );
    assert!(text.contains("exit status: 3") && text.contains("gone"), "{text}");
}
