//! Criterion's process, end to end: what of it is shown, when it is stopped, and which of its flags are taken.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::host::{MODEL, QUICK, quick, turn};
use common::{Place, ROOT, children, command, is_alive, run, send, succeed, text_of, wait_until};
use serde_json::Value;

const ONE: &str = "decode/question";

fn stdout_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where each of `parts` begins in `text`, in their order.
#[track_caller]
fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part);
        let at =
            at.unwrap_or_else(|| panic!("{part:?} is not there, or not after the ones before it:\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn the_result_comes_first_then_criterions_verdicts_and_no_status() {
    let _turn = turn();
    let place = Place::new();
    let first = run(quick(&place).args(["--noplot", "question"]));
    let text = text_of(&first);
    assert!(first.status.success(), "{text}");
    assert_in_order(&text, &["medians of 10", "change: unknown", "record: /"]);
    let second = run(quick(&place).args(["question"]));
    let text = text_of(&second);
    assert!(second.status.success(), "{text}");
    assert_in_order(
        &text,
        &[
            "medians of 10",
            "change of the time since the last run",
            "prefill/question",
            "decode/question",
            "record: /",
            "report: /",
            "time: ",
        ],
    );
    for status in [
        "Benchmarking",
        "Warming up",
        "iterations",
        "Gnuplot",
        "\u{1e}",
        "\u{1b}",
    ] {
        assert!(!text.contains(status), "{status}: {text}");
    }
    let shown = stdout_of(&second);
    let block = shown.lines().skip_while(|line| !line.starts_with("change of"));
    let mut block = block.take_while(|line| !line.is_empty());
    assert!(block.all(|line| line.chars().count() <= 80), "{text}");
    // What is shown is what criterion kept.
    let folder = place.path("criterion/tiny-random-weights_quick/decode/question");
    let change = std::fs::read(folder.join("change/estimates.json")).expect("compared");
    let change: Value = serde_json::from_slice(&change).expect("JSON");
    let percent = change["mean"]["point_estimate"].as_f64().expect("a ratio") * 100.0;
    let line = text.lines().find(|line| line.contains(ONE)).expect("its line");
    assert!(
        line.contains(&format!(" {percent:+.1} %  [")),
        "{percent}: {line}"
    );
    let verdicts = ["improved", "regressed", "within noise", "no change"];
    assert!(verdicts.iter().any(|verdict| line.ends_with(verdict)), "{line}");
}

#[test]
fn criterions_own_text_is_there_for_the_asking() {
    let _turn = turn();
    let place = Place::new();
    let shown = |arguments: &[&str]| succeed(quick(&place).args(["--noplot", ONE]).args(arguments));
    shown(&["--save-baseline", "a"]);
    let verbose = shown(&["--baseline", "a", "--verbose"]);
    assert_in_order(
        &verbose,
        &[
            "medians",
            "time:   [",
            "thrpt:  [",
            "change:",
            "(p = ",
            "std. dev.",
            "record: ",
        ],
    );
    let quiet = shown(&["--baseline", "a", "--quiet"]);
    assert!(
        !quiet.contains("change of") && quiet.contains("medians"),
        "{quiet}"
    );
    let bencher = shown(&["--baseline", "a", "--output-format", "bencher"]);
    assert_in_order(
        &bencher,
        &[
            "medians",
            "test tiny-random-weights/quick/decode/question ... bench:",
            "ns/iter",
        ],
    );
    let loaded = shown(&["--baseline", "a", "--load-baseline", "new"]);
    assert_in_order(&loaded, &["since baseline a", "tiny-random-weights/quick", ONE]);
    for text in [verbose, quiet, bencher, loaded] {
        assert!(
            !text.contains("Benchmarking") && !text.contains('\u{1e}'),
            "{text}"
        );
    }
}

/// What a command prints on a terminal.
fn on_terminal(bench: &Command, place: &Place, variables: &[(&str, &str)]) -> String {
    let words: Vec<String> = std::iter::once(bench.get_program())
        .chain(bench.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = command("script");
    script
        .args(["-q", "-e", "-c", &words.join(" "), "/dev/null"])
        .env("CRITERION_HOME", place.path("criterion"))
        .env("TERM", "xterm-256color");
    // What a machine has for its own reasons: anstream shows colours on any terminal where `CI` is set.
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        script.env_remove(name);
    }
    script.envs(variables.iter().copied()).stdin(Stdio::null());
    succeed(&mut script)
}

#[test]
fn one_rule_decides_on_colours() {
    let _turn = turn();
    let place = Place::new();
    let bench = |more: &[&str]| {
        let mut bench = quick(&place);
        bench.args(["--noplot", "--quick", ONE]).args(more);
        bench
    };
    assert!(on_terminal(&bench(&[]), &place, &[]).contains("\u{1b}[1m"));
    let variables = [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")];
    let plain = variables.map(|variable| on_terminal(&bench(&[]), &place, &[variable]));
    let never = on_terminal(&bench(&["--color", "never"]), &place, &[]);
    for text in plain.into_iter().chain([never]) {
        assert!(
            !text.contains('\u{1b}') && text.contains("since the last run"),
            "{text:?}"
        );
    }
    // Into a pipe.
    assert!(succeed(&mut bench(&["--color", "always"])).contains("\u{1b}[1mchange of the time"));
    assert!(succeed(bench(&[]).env("CLICOLOR_FORCE", "1")).contains("\u{1b}[1mchange of the time"));
    assert!(!succeed(bench(&["--colour", "never"]).env("CLICOLOR_FORCE", "1")).contains('\u{1b}'));
}

/// A run whose criterion is at work, and criterion's process. Its output so far is in the reader.
fn at_criterion(place: &Place) -> (Child, BufReader<std::process::ChildStdout>, u32) {
    let mut bench = quick(place);
    bench
        .args(["--noplot", "--nresamples", "1000000"])
        .process_group(0);
    let mut child = bench
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("over all prompts") {
        line.clear();
        assert!(
            stdout.read_line(&mut line).expect("read") > 0,
            "it ended before criterion's part"
        );
    }
    let is_criterion = |pid: &u32| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.contains("--color=never")
    };
    let mut found = None;
    wait_until(|| {
        found = children(child.id()).into_iter().find(is_criterion);
        found.is_some()
    });
    let criterion = found.expect("found");
    (child, stdout, criterion)
}

/// The exit code and all that was printed since.
fn end_of(mut child: Child, mut stdout: BufReader<std::process::ChildStdout>) -> (Option<i32>, String) {
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("text");
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut text).expect("text");
    (child.wait().expect("ended").code(), text)
}

#[test]
fn stopped_in_criterions_part_a_run_ends_with_the_signals_code_and_its_record_is_whole() {
    let _turn = turn();
    for (signal, code, to_group) in [("INT", 130, false), ("TERM", 143, true)] {
        let place = Place::new();
        let (child, stdout, criterion) = at_criterion(&place);
        if to_group {
            let group = format!("-{}", child.id());
            succeed(command("kill").args([&format!("-{signal}"), "--", &group]));
        } else {
            send(signal, child.id());
        }
        let (got, text) = end_of(child, stdout);
        assert_eq!(got, Some(code), "{text}");
        assert!(!text.contains("disk") && !text.contains("killed"), "{text}");
        assert!(text.contains("the record is complete"), "{text}");
        let record = place.records();
        assert!(
            text.contains(&format!("record: {}", record[0].display())),
            "{text}"
        );
        assert_eq!(place.record().status, rkllm_bench::record::Status::Complete);
        wait_until(|| !is_alive(criterion));
    }
}

#[test]
fn criterions_process_ends_with_its_parent_and_its_own_death_is_no_full_disk() {
    let _turn = turn();
    let place = Place::new();
    let (child, stdout, criterion) = at_criterion(&place);
    send("KILL", child.id());
    end_of(child, stdout);
    wait_until(|| !is_alive(criterion));
    let (child, stdout, criterion) = at_criterion(&place);
    send("TERM", criterion);
    let (code, text) = end_of(child, stdout);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("killed by signal 15") && !text.contains("disk"),
        "{text}"
    );
}

#[test]
fn a_filter_that_matches_nothing_is_refused_and_leaves_no_record() {
    let place = Place::new();
    for more in [&[][..], &["--test"], &["--profile-time", "1"], &["--exact"]] {
        let output = run(quick(&place).args(["--noplot", "no/such"]).args(more));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{more:?}: {text}");
        assert!(text.contains("no/such") && text.contains("--list"), "{text}");
    }
    // cargo test hands one filter to all targets, and a list may be empty.
    let mut tested = command(&*QUICK);
    tested
        .args(["no/such", "--models"])
        .arg(&*MODEL)
        .env("CARGO_MANIFEST_DIR", ROOT);
    succeed(tested.env("CRITERION_HOME", place.path("criterion")));
    assert_eq!(succeed(quick(&place).args(["--list", "no/such"])), "");
    assert!(place.records().is_empty());
}

#[test]
fn nextest_lists_and_runs_the_benchmarks() {
    let _turn = turn();
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir(&models).expect("made");
    for name in ["a", "b"] {
        std::fs::copy(&*MODEL, models.join(name).with_extension("gguf")).expect("copied");
    }
    // As nextest starts them.
    let started = |arguments: &[&str]| {
        let mut bench = command(&*QUICK);
        bench
            .args(arguments)
            .env("CARGO_MANIFEST_DIR", ROOT)
            .env("RKLLM_BENCH_MODELS", &models)
            .env("RKLLM_BENCH_OUTPUT", place.path("runs"))
            .env("CRITERION_HOME", place.path("criterion"));
        bench
    };
    let listed = succeed(&mut started(&["--list", "--format", "terse"]));
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": benchmark"))
        .collect();
    assert_eq!(names.len(), listed.lines().count(), "{listed}");
    assert!(
        names.contains(&"a/quick/decode/question") && names.contains(&"b/quick/decode/question"),
        "{listed}"
    );
    assert_eq!(succeed(&mut started(&["--list", "--format", "pretty"])), listed);
    assert_eq!(
        succeed(&mut started(&["--list", "--format", "terse", "--ignored"])),
        ""
    );
    // Each in a process of its own, several at once.
    let both: Vec<Child> = ["a/quick/decode/question", "b/quick/decode/question"]
        .iter()
        .map(|name| {
            let mut bench = started(&["--exact", name, "--nocapture"]);
            bench
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("started")
        })
        .collect();
    for child in both {
        let output = child.wait_with_output().expect("ended");
        let text = text_of(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("Testing ") && text.contains("Success"), "{text}");
    }
    assert_eq!(place.records().len(), 2);
}

#[test]
fn what_criterion_would_refuse_in_the_end_is_refused_at_once() {
    let place = Place::new();
    let long = "x".repeat(256);
    let mut refused: Vec<Vec<&str>> = [
        "--confidence-level=95",
        "--confidence-level=1",
        "--significance-level=5",
        "--significance-level=0",
        "--noise-threshold=0",
        "--noise-threshold=NaN",
        "--nresamples=0",
        "--nresamples=9",
        "--nresamples=1000001",
        "--sample-size=9",
        "--warm-up-time=3",
        "--measurement-time=5",
        "--profile-time=0.5",
        "--save-baseline=new",
        "--save-baseline=change",
        "--save-baseline=report",
        "--save-baseline=a/b",
        "--save-baseline=..",
        "--save-baseline=",
        "--baseline=new",
        "--baseline-lenient=report",
        "--plotting-backend=matplotlib",
        "--color=sometimes",
    ]
    .map(|argument| vec![argument])
    .to_vec();
    refused.push(vec!["--save-baseline", &long]);
    refused.push(vec!["--baseline", "a", "--discard-baseline"]);
    refused.push(vec!["--baseline-lenient", "a", "--discard-baseline"]);
    refused.push(vec!["--save-baseline", "a", "--baseline", "b"]);
    refused.push(vec!["--load-baseline", "a"]);
    refused.push(vec!["--quiet", "--verbose"]);
    refused.push(vec!["--quick", "--sample-size", "10"]);
    refused.push(vec!["--baseline", "no-such", "--load-baseline", "base"]);
    if command("gnuplot").arg("--version").output().is_err() {
        refused.push(vec!["--plotting-backend=gnuplot"]);
    }
    for arguments in refused {
        let output = run(quick(&place).args(&arguments));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        let flag = arguments[0].split('=').next().expect("a flag");
        assert!(
            text.contains(flag) || text.contains("no-such"),
            "{arguments:?}: {text}"
        );
    }
    let under_another = run(quick(&place)
        .args(["--save-baseline", "a"])
        .env("CARGO_CRITERION_PORT", "1"));
    assert_eq!(
        under_another.status.code(),
        Some(64),
        "{}",
        text_of(&under_another)
    );
    assert!(place.records().is_empty());
}

#[test]
fn what_is_taken_criterion_takes_too() {
    let _turn = turn();
    let place = Place::new();
    for _ in 0..2 {
        succeed(quick(&place).args([
            "--confidence-level=0.01",
            "--significance-level=0.999",
            "--noise-threshold=5",
            "--nresamples=10",
            "--save-baseline=-größer",
            "--plotting-backend=plotters",
            ONE,
        ]));
    }
    let shown = succeed(quick(&place).args([
        "--load-baseline=new",
        "--baseline=-größer",
        "--confidence-level=0.999",
        "--",
        ONE,
    ]));
    assert!(
        shown.contains("baseline -größer, by criterion (99.9 % intervals)"),
        "{shown}"
    );
}

/// cargo-criterion's part of its protocol: the bytes that one bench process sent.
fn serve_as_cargo_criterion(listener: &TcpListener) -> Vec<u8> {
    let (mut bench, _) = listener.accept().expect("a bench process");
    bench.write_all(b"cargo-criterion\x01\x01\x00").expect("sent");
    let mut hello = [0; 16];
    bench.read_exact(&mut hello).expect("its greeting");
    assert!(hello.starts_with(b"Criterion"), "{hello:?}");
    let mut all = Vec::new();
    while let Some(message) = message(&mut bench) {
        let has = |name: &[u8]| message.windows(name.len()).any(|bytes| bytes == name);
        if has(b"MeasurementComplete") || has(b"FinishedBenchmarkGroup") {
            // A text of eight bytes in CBOR, behind its length.
            bench.write_all(b"\x00\x00\x00\x09\x68Continue").expect("sent");
        }
        all.extend(message);
    }
    all
}

fn message(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut message).ok()?;
    Some(message)
}

#[test]
fn cargo_criterion_keeps_the_results_itself() {
    let _turn = turn();
    let place = Place::new();
    let listener = TcpListener::bind("localhost:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let peer = std::thread::spawn(move || serve_as_cargo_criterion(&listener));
    let text = succeed(quick(&place).arg(ONE).env("CARGO_CRITERION_PORT", &port));
    let sent = peer.join().expect("served");
    let name = b"MeasurementComplete";
    assert!(sent.windows(name.len()).any(|bytes| bytes == name));
    assert!(text.contains("medians") && text.contains("record: "), "{text}");
    assert!(
        !text.contains("report: ") && !text.contains("change of") && !text.contains("change: "),
        "{text}"
    );
    assert!(!place.path("criterion/tiny-random-weights_quick").exists());
    // Nobody listens there any more: criterion keeps them.
    let text = succeed(quick(&place).arg(ONE).env("CARGO_CRITERION_PORT", &port));
    assert!(text.contains("change: unknown"), "{text}");
    assert!(
        place
            .path("criterion/tiny-random-weights_quick/decode/question/new/estimates.json")
            .is_file()
    );
}

/// The absolute `path` as a relative one from `folder`.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let up = folder.components().skip(1).map(|_| "..");
    up.collect::<PathBuf>()
        .join(path.strip_prefix("/").expect("absolute"))
}

#[test]
fn relative_paths_start_where_the_user_stands() {
    let _turn = turn();
    let place = Place::new();
    let stands = Path::new(ROOT).join("benches");
    let prompts = place.path("mine.json");
    std::fs::copy(Path::new(ROOT).join("prompts/quick.json"), &prompts).expect("copied");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("cargo's target folder");
    let mut cargo = common::cargo();
    cargo
        .current_dir(&stands)
        .args([
            "bench",
            "--bench",
            "quick",
            "--",
            "--quick",
            "--max-new-tokens",
            "4",
            ONE,
            "--models",
        ])
        .arg(relative(&MODEL, &stands))
        .arg("--prompts")
        .arg(relative(&prompts, &stands))
        .env("CARGO_TARGET_DIR", relative(target, &stands))
        .env("RKLLM_BENCH_OUTPUT", relative(&place.path("runs"), &stands))
        .env("CRITERION_HOME", relative(&place.path("criterion"), &stands));
    let text = succeed(&mut cargo);
    let line = |what: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(what))
            .expect("its line")
    };
    let there = |path: &str| Path::new(path).canonicalize().expect("it is there");
    assert!(
        line("record: ").starts_with('/') && line("report: ").starts_with('/'),
        "{text}"
    );
    assert_eq!(
        there(line("record: ")).parent(),
        Some(&*there(place.path("runs").to_str().expect("text")))
    );
    assert!(place.path("runs/reports").is_dir());
    assert!(place.path("criterion/report/index.html").is_file());
}

#[test]
fn a_relative_target_folder_is_the_one_that_the_executable_is_in() {
    let _turn = turn();
    let place = Place::new();
    let mut bench = command(&*QUICK);
    bench
        .args([
            "--bench",
            "--quick",
            "--record-only",
            "--max-new-tokens",
            "4",
            ONE,
            "--models",
        ])
        .arg(&*MODEL)
        .env("CARGO_TARGET_DIR", "../elsewhere")
        .env("CRITERION_HOME", place.path("criterion"));
    let text = succeed(&mut bench);
    let record = text
        .lines()
        .find_map(|line| line.strip_prefix("record: "))
        .expect("named");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("cargo's target folder");
    assert!(Path::new(record).starts_with(target), "{text}");
    std::fs::remove_file(record).expect("written there");
}
