//! `rkllm-bench doctor`, on copies of boards' files and on this machine.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod common;
#[path = "../src/machine/board/fake.rs"]
#[expect(dead_code, reason = "the boards of the unit tests; some serve here")]
mod fake;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use common::{command, run, text_of};
use fake::Fake;
use serde_json::Value;

fn doctor() -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_rkllm-bench"));
    command.arg("doctor");
    command
}

fn of_copy(root: &Path, json: bool) -> Output {
    let mut command = doctor();
    command.arg("--root").arg(root);
    if json {
        command.arg("--json");
    }
    run(&mut command)
}

fn bad(output: &Output) -> Vec<String> {
    named(output, "bad")
}

/// The findings with that verdict.
fn named(output: &Output, verdict: &str) -> Vec<String> {
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let items = document["items"].as_array().expect("findings").iter();
    items
        .filter(|item| item["verdict"] == verdict)
        .map(|item| item["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn a_fit_board_ends_with_0() {
    let root = Fake::rk3588().written();
    let output = of_copy(root.path(), false);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.starts_with("Orange Pi 5 Plus, RK3588: fit to measure\n"),
        "{text}"
    );
    assert_eq!(bad(&of_copy(root.path(), true)), [""; 0]);
}

#[test]
fn an_unfit_board_ends_with_1_and_names_the_fault() {
    let root = Fake::rk3576()
        .remove("sys/class/devfreq/dmc")
        .put("sys/kernel/debug/rknpu/version", "RKNPU driver: v0.9.6\n")
        .written();
    let output = of_copy(root.path(), false);
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("DDR frequency unknown"), "{output:?}");
    let output = of_copy(root.path(), true);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(bad(&output), ["ddr_frequency", "npu_driver"]);
}

#[test]
fn of_a_machine_that_shows_nothing_it_cannot_tell() {
    let empty = tempfile::tempdir().expect("a folder");
    let output = of_copy(empty.path(), false);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.starts_with("unknown machine: cannot tell whether it is fit to measure\n"),
        "{text}"
    );
    let output = of_copy(empty.path(), true);
    assert_eq!(output.status.code(), Some(2));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&document["fit"], &document["fitness"]),
        (&Value::Null, &"cannot_tell".into())
    );
    assert_eq!(named(&output, "ok"), [""; 0]);
    assert!(named(&output, "unknown").contains(&"npu_frequency".to_owned()));
}

#[test]
fn the_codes_are_in_help_and_reference() {
    let help = text_of(&run(doctor().arg("--help")));
    let reference = include_str!("../docs/reference.md");
    let table = reference
        .split("| exit code | `doctor` |")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("a table");
    for code in ["0", "1", "2", "64"] {
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(&format!("{code}  "))),
            "{help}"
        );
        assert!(table.contains(&format!("\n| `{code}` |")), "{code}");
    }
}

#[test]
fn what_root_alone_may_read_is_unknown_and_no_fault() {
    let root = Fake::rk3588().written();
    let debug = root.path().join("sys/kernel/debug");
    set_permissions(root.path(), Permissions::from_mode(0o755)).expect("set");
    set_permissions(&debug, Permissions::from_mode(0o000)).expect("set");
    let as_user = |json: &[&str]| {
        let mut command = doctor();
        // Permissions do not bind root.
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        run(command.arg("--root").arg(root.path()).args(json))
    };
    let (text, document) = (as_user(&[]), as_user(&["--json"]));
    set_permissions(&debug, Permissions::from_mode(0o755)).expect("set");
    assert_eq!(text.status.code(), Some(2), "{text:?}");
    let text = text_of(&text);
    assert!(
        text.contains("unknown  npu_driver") && text.contains("sudo cat /sys/kernel/debug/rknpu/version"),
        "{text}"
    );
    assert!(
        text.contains("/sys/kernel/debug/rknpu/version: no permission: root can read it (sudo)"),
        "{text}"
    );
    assert_eq!(named(&document, "unknown"), ["npu_driver"]);
    assert_eq!(bad(&document), [""; 0]);
}

#[test]
fn a_model_too_large_for_the_memory_is_named() {
    let root = Fake::x86().memory(8_000_000, 1, 0).written();
    let models = tempfile::tempdir().expect("a folder");
    let extension = rkllm_bench::models::extension();
    let file = models.path().join(format!("big.{extension}"));
    std::fs::write(file, vec![0; 2000]).expect("written");
    let mut command = doctor();
    command
        .arg("--json")
        .arg("--models")
        .arg(models.path())
        .arg("--root")
        .arg(root.path());
    let output = run(&mut command);
    assert_eq!(bad(&output), ["memory"]);
}

#[test]
fn what_cannot_be_looked_at_ends_with_64() {
    for arguments in [["--root", "/nowhere"], ["--models", "/nowhere"]] {
        let output = run(doctor().args(arguments));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains("/nowhere") && text.contains(arguments[0]), "{text}");
    }
}

#[test]
fn this_machine_is_judged() {
    let output = run(doctor().arg("--json"));
    assert!(matches!(output.status.code(), Some(0..=2)), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let fit = match output.status.code() {
        Some(0) => true.into(),
        Some(1) => false.into(),
        _ => Value::Null,
    };
    assert_eq!(document["fit"], fit);
    assert!(document["board"]["cores"].as_u64().is_some_and(|cores| cores > 0));
}

#[cfg(feature = "host")]
#[test]
fn a_bench_says_it_before_it_measures_and_records_the_board() {
    let _turn = common::host::turn();
    let place = common::Place::new();
    let mut command = common::host::quick(&place);
    command
        .args(["--record-only", "--sample-size", "1"])
        .arg("question");
    let text = text_of(&run(&mut command));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("board: ")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(
        lines[0] == "board: fit to measure"
            || ["not fit", "cannot tell"]
                .iter()
                .any(|word| lines[0].starts_with(&format!("board: {word}: ")))
                && lines[0].ends_with("rkllm-bench doctor)"),
        "{text}"
    );
    let record = place.record();
    assert!(record.board.memory.total_bytes.is_some());
    let said = rkllm_bench::report::doctor::line(&record.doctor);
    let findings = |line: &str| line.split(" (").next().map(str::to_owned);
    // The command behind them depends on how a process was started.
    assert_eq!(
        findings(lines[0]),
        findings(&said),
        "what was said is what is stored"
    );
    assert_eq!(record.doctor.len(), 16);
}
