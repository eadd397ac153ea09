//! The example of a workflow: it is YAML, its scripts are bash, and no verdict gets lost in it.

#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::io::Write;
use std::process::{Command, Stdio};

use saphyr::{LoadableYamlNode, Yaml};

const WORKFLOW: &str = include_str!("../docs/ci/rk3588.yml");

/// All steps of a job.
fn steps(job: &str) -> Vec<Yaml<'static>> {
    let documents = Yaml::load_from_str(WORKFLOW).expect("the workflow is YAML");
    let job = &documents[0]["jobs"][job];
    let steps = job["steps"].as_vec().expect("a job has steps");
    assert_eq!(
        job["defaults"]["run"]["shell"].as_str(),
        Some("bash"),
        "without it a pipe loses the exit code"
    );
    steps.clone()
}

/// The value of a step's key.
fn text<'a>(step: &'a Yaml, key: &str) -> Option<&'a str> {
    step.as_mapping_get(key)?.as_str()
}

fn scripts() -> Vec<String> {
    let steps = ["board", "revisions"].into_iter().flat_map(steps);
    steps
        .filter_map(|step| text(&step, "run").map(str::to_owned))
        .collect()
}

#[test]
fn its_scripts_are_bash() {
    let scripts = scripts();
    assert!(scripts.len() >= 7, "{scripts:#?}");
    for script in scripts {
        let mut bash = Command::new("bash")
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut stdin = bash.stdin.take().expect("a pipe");
        stdin.write_all(script.as_bytes()).expect("bash reads");
        drop(stdin);
        let output = bash.wait_with_output().expect("bash ends");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{message}{script}");
    }
}

#[test]
fn each_verdict_is_kept() {
    let scripts = scripts().join("\n");
    let gates: Vec<&str> = scripts
        .lines()
        .filter(|line| line.contains("rkllm-bench gate") || line.contains("ab-revisions"))
        .collect();
    assert!(gates.len() >= 4, "{gates:#?}");
    for gate in gates {
        let is_second_format = gate.contains("--format junit");
        assert!(is_second_format || gate.contains("|| code=$?"), "{gate}");
        assert!(!gate.replace("||", "").contains('|'), "{gate}");
    }
}

#[test]
fn records_are_kept_when_it_is_red() {
    for job in ["board", "revisions"] {
        let steps = steps(job);
        let upload = steps
            .iter()
            .find(|step| text(step, "uses").is_some_and(|uses| uses.starts_with("actions/upload-artifact")));
        assert_eq!(text(upload.expect("an upload"), "if"), Some("always()"), "{job}");
    }
}

#[test]
fn a_board_is_chosen_by_its_label() {
    let documents = Yaml::load_from_str(WORKFLOW).expect("the workflow is YAML");
    let job = &documents[0]["jobs"]["board"];
    let boards = job["strategy"]["matrix"]["board"].as_vec().expect("a matrix");
    assert!(boards.iter().any(|board| board.as_str() == Some("rk3588")));
    let labels = job["runs-on"].as_vec().expect("labels");
    assert_eq!(labels.last().and_then(Yaml::as_str), Some("${{ matrix.board }}"));
}

/// The commands of rkllm-bench that a text gives, each from the subcommand on, without what they quote: commands of
/// others.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines() {
        for start in ["rkllm-bench "] {
            let Some((_, command)) = line.split_once(start) else {
                continue;
            };
            let unquoted: Vec<&str> = command.split('"').step_by(2).collect();
            let unquoted = unquoted.join(" ");
            // What comes behind is of another program.
            let words = unquoted.split_whitespace();
            let own: Vec<String> = words
                .take_while(|word| !["--", ">", "||", "|", "#"].contains(word))
                .map(str::to_owned)
                .collect();
            let is_ours = |word: &String| {
                ["gate", "ab", "baseline", "calibrate", "compare", "export"].contains(&word.as_str())
            };
            if own.first().is_some_and(is_ours) && own.iter().any(|word| word.starts_with("--")) {
                found.push(own);
            }
        }
    }
    found
}

#[test]
fn every_flag_in_the_documents_exists() {
    let documents = [
        include_str!("../docs/ci.md"),
        include_str!("../README.md"),
        include_str!("../docs/reference.md"),
        include_str!("../docs/no-board.md"),
        include_str!("../docs/architecture.md"),
        include_str!("../docs/exports.md"),
        WORKFLOW,
    ];
    let commands: Vec<Vec<String>> = documents.into_iter().flat_map(commands).collect();
    assert!(commands.len() >= 12, "{commands:#?}");
    for command in commands {
        let depth = if command[0] == "baseline" { 2 } else { 1 };
        let help = Command::new(env!("CARGO_BIN_EXE_rkllm-bench"))
            .args(&command[..depth])
            .arg("--help")
            .output()
            .expect("it starts");
        assert!(help.status.success(), "{command:?}");
        let help = String::from_utf8_lossy(&help.stdout);
        for word in &command[depth..] {
            let word = word.trim_matches(['`', '"', '.', ',']);
            let flag = word.split('=').next().unwrap_or_default();
            if flag.starts_with("--") {
                assert!(help.contains(flag), "{flag} of {command:?} is not in:\n{help}");
            }
        }
    }
}
