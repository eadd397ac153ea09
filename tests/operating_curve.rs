//! `rkllm-bench operating-curve` on the recorded pool of docs/operating-curve.md, with few comparisons.

#![allow(clippy::expect_used, reason = "a test")]

mod common;

use std::path::Path;

use common::{ROOT, command, run, succeed, text_of};

/// The page over a few comparisons, without criterion's columns: criterion seeds its resampling by the clock.
fn page(folder: &Path) -> String {
    let mut tool = command(env!("CARGO_BIN_EXE_rkllm-bench"));
    succeed(
        tool.args([
            "operating-curve",
            "--pool",
            "docs/operating-curve-pool.json",
            "--output",
        ])
        .arg(folder)
        .args(["--drawn", "10", "--simulated", "20"]),
    );
    without_criterion(&std::fs::read_to_string(folder.join("operating-curve.md")).expect("written"))
}

fn without_criterion(page: &str) -> String {
    let lines = page.lines().map(|line| {
        let cells: Vec<&str> = line.split('|').collect();
        // An empty one at each end.
        if cells.len() == 8 && !line.contains("bound") && cells[2].contains('%') | cells[2].contains('-') {
            cells[..5].join("|")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_pool_gives_the_same_page() {
    let (first, second) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let page_of_first = page(first.path());
    assert_eq!(page_of_first, page(second.path()));
    for heading in [
        "## Recorded processes",
        "## Simulated processes",
        "| none | ",
        "| decode=5% | ",
    ] {
        assert!(
            page_of_first.contains(heading),
            "{heading} is not in:\n{page_of_first}"
        );
    }
    let plot = |folder: &Path| std::fs::read_to_string(folder.join("operating-curve.svg")).expect("written");
    assert_eq!(plot(first.path()), plot(second.path()));
    assert!(plot(first.path()).contains("</svg>"));
}

/// A page with each number replaced: how many comparisons were made shows in nothing else.
fn words(page: &str) -> String {
    let (mut words, mut is_number) = (String::new(), false);
    for letter in page.chars() {
        is_number = letter.is_ascii_digit() || (is_number && letter == '.');
        if !is_number {
            words.push(letter);
        } else if !words.ends_with('#') {
            words.push('#');
        }
    }
    words
}

#[test]
fn the_page_in_docs_is_worded_as_the_program_words_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let in_docs = std::fs::read_to_string(Path::new(ROOT).join("docs/operating-curve.md")).expect("a page");
    assert_eq!(words(&page(folder.path())), words(&without_criterion(&in_docs)));
    for line in in_docs.lines() {
        assert!(line.chars().count() <= 120, "wider than 120 columns: {line}");
    }
}

#[test]
fn a_pool_that_cannot_be_used_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = folder.path().join("pool.json");
    for (text, said) in [("{", "pool.json"), ("{\"schema_version\": 9}", "pool.json")] {
        std::fs::write(&pool, text).expect("written");
        let mut tool = command(env!("CARGO_BIN_EXE_rkllm-bench"));
        let output = run(tool
            .args(["operating-curve", "--pool"])
            .arg(&pool)
            .arg("--output")
            .arg(folder.path()));
        assert_eq!(output.status.code(), Some(64), "{}", text_of(&output));
        assert!(text_of(&output).contains(said), "{}", text_of(&output));
    }
    assert!(Path::new(ROOT).join("docs/operating-curve-pool.json").is_file());
}
