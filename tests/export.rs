//! `rkllm-bench export` from the command line.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "a test")]

mod common;

use std::process::Command;

use common::{Place, host, run, succeed, text_of};

const FORMATS: [&str; 4] = ["github-action-benchmark", "bencher", "llama-bench-jsonl", "csv"];

fn place() -> Place {
    let place = Place::new();
    host::RUN
        .save(&place.path("target/rkllm-bench/runs/0.json"))
        .expect("saved");
    place
}

fn export(place: &Place, arguments: &[&str]) -> Command {
    let mut command = host::tool(place);
    command.arg("export").args(arguments);
    command
}

#[test]
fn a_file_holds_what_stdout_would() {
    let place = place();
    let file = place.path("deep/file");
    for format in FORMATS {
        let shown = succeed(&mut export(&place, &["--to", format]));
        assert!(shown.contains(&host::RUN.models[0].name), "{format}: {shown}");
        succeed(export(&place, &["--to", format, "-o"]).arg(&file));
        assert_eq!(std::fs::read_to_string(&file).expect("written"), shown);
    }
}

#[test]
fn runs_that_are_not_alike_are_no_one_figure_but_may_be_rows() {
    let place = place();
    let mut other = host::RUN.clone();
    other.run_id = "other".into();
    other.parameters.max_context += 1;
    other
        .save(&place.path("target/rkllm-bench/runs/1.json"))
        .expect("saved");
    for format in FORMATS {
        let output = run(&mut export(&place, &["--to", format, "--last", "2"]));
        let rows = ["csv", "llama-bench-jsonl"].contains(&format);
        let text = text_of(&output);
        assert_eq!(
            output.status.code(),
            Some(if rows { 0 } else { 64 }),
            "{format}: {text}"
        );
        assert_eq!(text.contains("differ in max_context"), !rows, "{text}");
    }
}

#[test]
fn wrong_usage_ends_with_64() {
    let place = place();
    let wrong: [&[&str]; 4] = [
        &[],
        &["--to", "xml"],
        &["--to", "csv", "--commit", "abc"],
        &["--to", "csv", "--runs", "no-such-*"],
    ];
    for arguments in wrong {
        let output = run(&mut export(&place, arguments));
        assert_eq!(
            output.status.code(),
            Some(64),
            "{arguments:?}: {}",
            text_of(&output)
        );
    }
}
