//! Commands that messages name, taken out of real messages and run as they stand.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::process::{Command, Stdio};

use common::host::{QUICK, RUN, quick, tool, turn};
use common::{Place, ROOT, cargo, command, run, send, text_of, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_rkllm-bench");

/// The commands between backticks.
fn commands(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|words| words.contains("rkllm-bench") || words.starts_with("cargo "))
        .map(str::to_owned)
        .collect()
}

/// Runs a command of a message in a shell, one that measures with --list.
#[track_caller]
fn paste(place: &Place, line: &str) {
    let mut shell = command("sh");
    let line = if line.starts_with("cargo bench") {
        shell.env_remove("CARGO_TARGET_DIR");
        format!("{line} -- --list")
    } else {
        shell
            .current_dir(place.path(""))
            .env("CARGO_TARGET_DIR", place.path("target"));
        line.to_owned()
    };
    let output = run(shell.args(["-c", &line]));
    assert!(output.status.success(), "{line}: {}", text_of(&output));
}

/// The text of a command of the program.
fn said(place: &Place, arguments: &[&str]) -> String {
    text_of(&run(tool(place).current_dir(place.path("")).args(arguments)))
}

#[test]
fn each_can_be_pasted_as_it_is() {
    let place = Place::new();
    // A name that a shell would take apart.
    let file = "my runs/it's.json";
    RUN.save(&place.path(file)).expect("saved");
    let calibrations = place.path("target/rkllm-bench/calibrations");
    let mut found = commands(&said(&place, &["runs", "list"]));
    found.extend(commands(&said(&place, &["baseline", "save", "x"])));
    found.extend(commands(&said(
        &place,
        &["baseline", "save", "x", "--suite", "quick"],
    )));
    assert_eq!(found.len(), 3, "{found:?}");
    RUN.save(&place.path("target/rkllm-bench/runs/0.json"))
        .expect("saved");
    for arguments in [
        &["baseline", "show", file][..],
        &["baseline", "show", "befor"],
        &["runs", "rm", "no-such"],
        &["gate", "--baseline", "nothing"],
    ] {
        let text = said(&place, arguments);
        let more = commands(&text);
        assert_eq!(more.len(), 1, "{arguments:?}: {text}");
        found.extend(more);
    }
    for line in &found {
        assert!(
            line.starts_with(PROGRAM) || line.starts_with("cargo bench"),
            "{line}"
        );
        paste(&place, line);
    }
    assert!(
        found
            .iter()
            .any(|line| line.contains("--runs") && line.contains(r#""my runs/it's.json""#))
    );
    assert!(!calibrations.exists());
}

#[test]
fn a_stopped_run_names_the_command_that_shows_it() {
    let _turn = turn();
    let place = Place::new();
    let mut bench = quick(&place);
    bench
        .args(["--record-only", "--sample-size", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = bench.spawn().expect("started");
    wait_until(|| {
        place
            .records()
            .iter()
            .any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"return_ns\"")))
    });
    send("INT", child.id());
    let output = child.wait_with_output().expect("ended");
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    let stopped = text.split("stopped;").nth(1).expect("it says so");
    let found = commands(stopped);
    assert_eq!(found.len(), 1, "{text}");
    // The program that was built with the bench.
    let sibling = QUICK.ancestors().nth(2).expect("a folder").join("rkllm-bench");
    assert!(found[0].starts_with(sibling.to_str().expect("a path")), "{text}");
    paste(&place, &found[0]);
}

#[test]
fn the_name_is_the_one_by_which_the_program_was_called() {
    let hint = |command: &mut Command, expected: &str| {
        let output = run(command.args(["baseline", "show", "no-such-baseline"]));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "the code comes through: {text}");
        let found = commands(&text);
        assert_eq!(
            found,
            [format!("{expected} baseline save no-such-baseline")],
            "{text}"
        );
    };
    hint(&mut command(PROGRAM), PROGRAM);
    hint(cargo().arg("rkllm-bench"), "cargo rkllm-bench");
    // By PATH.
    let folder = PROGRAM.strip_suffix("/rkllm-bench").expect("its folder");
    let path = std::env::var("PATH").expect("text");
    let mut by_path = command("sh");
    by_path
        .args(["-c", r#"exec rkllm-bench "$@""#, "sh"])
        .env("PATH", format!("{folder}:{path}"))
        .current_dir("/");
    hint(&mut by_path, "rkllm-bench");
    assert!(std::path::Path::new(ROOT).join(".cargo/config.toml").is_file());
}
