//! What the programs print on real terminals of 80 and 60 columns: no name, path or number with its unit is broken.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "a test")]

mod common;

use std::process::{Command, Stdio};

use common::{Place, host, run, succeed};
use textwrap::core::display_width;

const COLUMNS: [usize; 2] = [80, 60];
const MODEL: &str = "DeepSeek-R1-Distill-Qwen-1.5B_W8A8_G128_RK3588_ctx4096_opt1_hybrid0.5";
/// What goes by that name's file: of a name longer than 48 bytes the end is a digest.
const SHORTENED: &str = "DeepSeek-R1-Distill-Qwen-1.5B_W8A8-e4c31a90dfb3";
const PROMPT: &str = "p512-warm_prefix-of-an-identifier-of-forty-characters";

/// What `command` shows on a terminal of so many columns, with nothing that sets colours or moves the cursor. A line that is
/// drawn anew counts as a line of its own.
fn shown(columns: usize, command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().expect("text")).collect();
    let line = shlex::try_join(words).expect("no NUL");
    let mut terminal = Command::new("script");
    terminal
        .args([
            "-qec",
            &format!("stty rows 24 cols {columns}; exec {line}"),
            "/dev/null",
        ])
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        terminal.current_dir(folder);
    }
    let output = run(&mut terminal);
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
    anstream::adapter::strip_str(&text).to_string()
}

/// Whether the terminal folds a line at blanks alone: the progress bar fills its upper rows with them.
fn is_folded_between_words(line: &str, columns: usize) -> bool {
    let shown: Vec<char> = line.chars().collect();
    let are_single = |row: &[char]| row.iter().all(|shown| display_width(&shown.to_string()) == 1);
    let is_word = |at: usize| shown.get(at).is_some_and(|shown| !shown.is_whitespace());
    let mut ends = (columns..shown.len()).step_by(columns);
    are_single(&shown) && ends.all(|end| !(is_word(end - 1) && is_word(end)))
}

/// Asserts that all `names` are there as one piece, and that nothing else is wider than the terminal.
#[track_caller]
fn assert_fits(text: &str, columns: usize, names: &[&str]) {
    for name in names {
        assert!(text.contains(name), "{name} is not whole at {columns}:\n{text}");
    }
    let is_cut =
        |line: &&str| display_width(line.trim_end()) > columns && !is_folded_between_words(line, columns);
    for line in text.lines().filter(is_cut) {
        let words = || line.split_whitespace();
        let widest = words().map(display_width).max().unwrap_or(0);
        // A label, and one word that is too wide for the line.
        let rest: usize = words().map(display_width).sum::<usize>() - widest;
        assert!(
            rest <= 24 && words().count() <= 4,
            "too wide for {columns}: {line}\n{text}"
        );
    }
}

/// A place with runs whose names are long: a baseline of two, and one after it.
fn place() -> Place {
    let place = Place::new();
    for index in 0..3 {
        let mut run = host::RUN.clone();
        run.run_id = format!("run-{index}");
        run.started_at = format!("2030-01-01T00:0{index}:00Z");
        MODEL.clone_into(&mut run.models[0].name);
        PROMPT.clone_into(&mut run.models[0].prompts[0].id);
        let path = place.path(&format!("target/rkllm-bench/runs/{index}.json"));
        run.save(&path).expect("saved");
    }
    let files = place.path("target/rkllm-bench/runs/[01].json");
    succeed(
        host::tool(&place)
            .args(["baseline", "save", "before", "--runs"])
            .arg(files),
    );
    place
}

#[test]
fn what_is_printed_of_records_fits() {
    let place = place();
    for columns in COLUMNS {
        for arguments in [
            &["gate", "--baseline", "before", "--last", "1"][..],
            &["compare", "before"],
            &["report", "--last", "1"],
        ] {
            let text = shown(columns, host::tool(&place).args(arguments));
            assert_fits(&text, columns, &[MODEL, PROMPT]);
        }
        for arguments in [&["baseline", "list"][..], &["baseline", "show", "before"]] {
            let text = shown(columns, host::tool(&place).args(arguments));
            assert_fits(&text, columns, &[MODEL, "before"]);
        }
        let text = shown(
            columns,
            host::tool(&place).args(["gate", "--baseline", "no-such-one"]),
        );
        assert_fits(&text, columns, &["no-such-one"]);
    }
}

#[test]
fn a_run_and_a_list_of_models_fit() {
    let place = Place::new();
    let folder = place.path("models");
    std::fs::create_dir_all(&folder).expect("made");
    let file = folder.join(format!("{MODEL}.gguf"));
    std::fs::copy(&host::RUN.models[0].path, &file).expect("copied");
    let file = file.to_str().expect("text");
    for columns in COLUMNS {
        let text = shown(columns, host::tool(&place).args(["models", "--models", file]));
        assert_fits(&text, columns, &[SHORTENED, file]);
        let mut quick = place.bench(&host::QUICK);
        quick.args([
            "--quick",
            "--record-only",
            "--max-new-tokens",
            "16",
            "--models",
            file,
        ]);
        let text = shown(columns, &quick);
        assert_fits(
            &text,
            columns,
            &[SHORTENED, "question", " tok/s", "requests: 6 = "],
        );
        let rates = text.lines().filter(|line| line.contains("sample "));
        assert!(rates.clone().count() > 0, "{text}");
        for line in rates.filter(|line| line.contains(" tok")) {
            assert!(line.contains(" tok/s "), "{line}");
        }
    }
}
