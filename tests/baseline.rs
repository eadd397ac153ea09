//! `rkllm-bench baseline`, end to end on run records of the host runtime.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use common::host::quick;
use common::{Place, command, run, succeed, text_of};
use rkllm_bench::baseline::{Baseline, runs_of};
use rkllm_bench::record::{RunRecord, Status};

/// One real run, ten samples of each prompt.
static RUN: LazyLock<RunRecord> = LazyLock::new(|| {
    let place = Place::new();
    succeed(quick(&place).args(["--record-only"]));
    place.record()
});

/// The program with a target folder of its own.
fn program(place: &Place, arguments: &[&str]) -> Command {
    let mut program = command(env!("CARGO_BIN_EXE_rkllm-bench"));
    program
        .args(arguments)
        .current_dir(place.path(""))
        .env("CARGO_TARGET_DIR", place.path("target"))
        .env_remove("RKLLM_BENCH_OUTPUT");
    program
}

/// What a command that must succeed prints.
#[track_caller]
fn done(place: &Place, arguments: &[&str]) -> String {
    succeed(&mut program(place, arguments))
}

/// What a command that must end with 64 says.
#[track_caller]
fn refused(place: &Place, arguments: &[&str]) -> String {
    let output = run(&mut program(place, arguments));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
    text
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// Puts the real run into the folder of run records as one of the minute `minute`, with an id of its own.
fn record(place: &Place, id: &str, minute: u32) -> PathBuf {
    let path = place.path(&format!("target/rkllm-bench/runs/{id}.json"));
    let mut record = RUN.clone();
    id.clone_into(&mut record.run_id);
    record.started_at = format!("2026-01-01T00:{minute:02}:00.5Z");
    record.save(&path).expect("saved");
    path
}

fn stored(place: &Place, name: &str) -> PathBuf {
    place.path(&format!("target/rkllm-bench/baselines/{name}.json"))
}

#[track_caller]
fn ids(path: &Path) -> Vec<String> {
    let runs = runs_of(path).expect("usable");
    runs.into_iter().map(|run| run.run_id).collect()
}

#[test]
fn the_newest_run_is_saved_more_are_added_and_a_name_is_not_taken_twice() {
    let place = Place::new();
    record(&place, "old", 1);
    record(&place, "new", 2);
    let text = done(&place, &["baseline", "save", "before"]);
    assert_has(
        &text,
        &["new\t", "baseline before: 1 run in ", "baselines/before.json"],
    );
    let path = stored(&place, "before");
    assert_eq!(ids(&path), ["new"]);

    let text = refused(&place, &["baseline", "save", "before"]);
    assert_has(&text, &["baseline before exists already", "--add", "--replace"]);
    let text = refused(&place, &["baseline", "save", "before", "--add"]);
    assert_has(
        &text,
        &[
            "run new is there twice, in baseline before and in ",
            "runs/new.json",
        ],
    );
    assert_eq!(ids(&path), ["new"]);

    done(
        &place,
        &[
            "baseline",
            "save",
            "before",
            "--add",
            "--runs",
            "target/rkllm-bench/runs/old.json",
        ],
    );
    assert_eq!(ids(&path), ["new", "old"]);
    done(
        &place,
        &["baseline", "save", "before", "--replace", "--last", "2"],
    );
    assert_eq!(ids(&path), ["old", "new"], "the oldest first");
    assert_eq!(
        Baseline::load(&path).expect("usable").runs[0].models,
        RUN.models,
        "to the nanosecond"
    );
    done(
        &place,
        &[
            "baseline",
            "save",
            "other",
            "--add",
            "--runs",
            "target/*/runs/*.json",
        ],
    );
    assert_eq!(
        ids(&stored(&place, "other")),
        ["old", "new"],
        "--add makes it where it is missing"
    );
}

#[test]
fn list_and_show_say_what_there_is_also_to_a_reader_that_leaves() {
    let place = Place::new();
    assert_has(
        &done(&place, &["baseline", "list"]),
        &["no baselines in ", "baseline save before"],
    );
    record(&place, "one", 1);
    record(&place, "two", 2);
    done(&place, &["baseline", "save", "before", "--last", "2"]);
    let text = done(&place, &["baseline", "list"]);
    assert_has(
        &text,
        &["name", "saved at", "before", "2  quick", "tiny-random-weights"],
    );
    let rows = [
        "one ",
        "2026-01-01T00:01:00Z",
        "two ",
        " 30\n",
        "runtime: rkllmrt-host",
        "platform HOST",
        "board: ",
    ];
    for named in ["before", "target/rkllm-bench/baselines/before.json"] {
        assert_has(&done(&place, &["baseline", "show", named]), &rows);
    }
    std::fs::write(stored(&place, "broken"), "{").expect("written");
    let output = run(&mut program(&place, &["baseline", "list"]));
    assert_has(
        &text_of(&output),
        &["broken.json: not a usable baseline: the file ends", "before"],
    );

    for arguments in ["list", "show before", "export before"] {
        let script = format!(r#""$0" baseline {arguments} | head -c 1 >&2; exit ${{PIPESTATUS[0]}}"#);
        let mut shell = command("bash");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_rkllm-bench")]);
        let output = run(shell.env("CARGO_TARGET_DIR", place.path("target")));
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", text_of(&output));
    }
}

#[test]
fn a_baseline_goes_out_and_comes_back_whole_and_nothing_is_overwritten_unasked() {
    let place = Place::new();
    record(&place, "one", 1);
    done(&place, &["baseline", "save", "before"]);
    let whole = std::fs::read(stored(&place, "before")).expect("read");
    let out = run(&mut program(&place, &["baseline", "export", "before"]));
    assert_eq!(out.stdout, whole, "stdout");
    done(&place, &["baseline", "export", "before", "out.json"]);
    let file = place.path("out.json");
    assert_eq!(std::fs::read(&file).expect("read"), whole);
    std::fs::write(&file, "mine").expect("written");
    let text = refused(&place, &["baseline", "export", "before", "out.json"]);
    assert_has(&text, &["out.json exists already: --force"]);
    assert_eq!(std::fs::read(&file).expect("read"), b"mine");
    done(&place, &["baseline", "export", "before", "out.json", "--force"]);

    assert_has(
        &refused(&place, &["baseline", "import", "out.json"]),
        &["before exists already", "--replace", "--name"],
    );
    done(&place, &["baseline", "import", "out.json", "--name", "after"]);
    assert_eq!(ids(&stored(&place, "after")), ["one"]);
    assert_has(
        &done(&place, &["baseline", "rm", "before", "after"]),
        &["removed before, after"],
    );
    done(&place, &["baseline", "import", "out.json"]);
    done(&place, &["baseline", "import", "out.json", "--replace"]);
    assert_eq!(std::fs::read(stored(&place, "before")).expect("read"), whole);
}

#[test]
fn what_cannot_be_used_is_64_and_names_its_file_and_field() {
    let place = Place::new();
    let good = record(&place, "one", 1);
    let runs = |name: &str| place.path(&format!("target/rkllm-bench/runs/{name}"));
    done(&place, &["baseline", "save", "before"]);
    let mut stopped = RUN.clone();
    stopped.status = Status::Stopped;
    stopped.save(&runs("stopped.json")).expect("saved");
    let text = std::fs::read_to_string(&good).expect("read");
    std::fs::write(runs("unit.json"), text.replacen("\"ttft_ns\"", "\"ttft_ms\"", 1)).expect("written");
    std::fs::write(runs("cut.json"), &text[..text.len() / 2]).expect("written");
    std::fs::copy(&good, place.path("copy.json")).expect("copied");
    let baseline = std::fs::read_to_string(stored(&place, "before")).expect("read");
    std::fs::write(
        place.path("edited.json"),
        baseline.replacen("\"total_ns\":", "\"total_ns\":1", 1),
    )
    .expect("written");

    let rows: [(&[&str], &[&str]); 16] = [
        (
            &["save", "a", "--runs", "target/rkllm-bench/runs/stopped.json"],
            &["stopped.json: ", "status: stopped"],
        ),
        (
            &["save", "a", "--runs", "target/rkllm-bench/runs/u*"],
            &[
                "unit.json: ",
                "models[0].prompts[0].",
                ".phases: missing field `ttft_ns`",
            ],
        ),
        (
            &["save", "a", "--runs", "target/rkllm-bench/runs/cut.json"],
            &["cut.json: ", "models[0].", "ends in the middle"],
        ),
        (
            &[
                "save",
                "a",
                "--runs",
                "*/rkllm-bench/runs/one.json",
                "--runs",
                "copy.json",
            ],
            &["run one is there twice", "runs/one.json", "copy.json"],
        ),
        (
            &["save", "a", "--runs", "no/*.json"],
            &["no/*.json: no file matches"],
        ),
        (&["save", "a", "--runs", "target"], &["target: ", "a folder"]),
        (&["save", "a", "--last", "0"], &["--last"]),
        (
            &["save", "a", "--last", "2", "--runs", "copy.json"],
            &["cannot be used with"],
        ),
        (&["save", "a", "--add", "--replace"], &["cannot be used with"]),
        (
            &["save", "../a"],
            &["\"../a\" is not a valid baseline name", "1 to 64"],
        ),
        (
            &["save", "a", "--records", "no"],
            &["no: no complete run there", "`cargo bench` makes one"],
        ),
        (
            &["show", "befor"],
            &["did you mean before?", "baseline save befor"],
        ),
        (
            &["show", "copy.json"],
            &[
                "copy.json: ",
                "one run, not a baseline",
                "baseline save before --runs copy.json",
            ],
        ),
        (
            &["import", "edited.json", "--name", "b"],
            &[
                "edited.json: ",
                "runs[0].models[0].prompts[0].",
                ".phases.total_ns: 1",
                "another unit",
            ],
        ),
        (&["import", "no.json"], &["no.json: ", "No such file"]),
        (&["rm", "before", "befour"], &["no baseline befour"]),
    ];
    for (arguments, parts) in rows {
        let arguments: Vec<&str> = [&["baseline"], arguments].concat();
        let text = refused(&place, &arguments);
        assert_has(&text, parts);
    }
    let left = std::fs::read_dir(place.path("target/rkllm-bench/baselines")).expect("listed");
    let mut left: Vec<_> = left.map(|entry| entry.expect("listed").file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", "before.json"]);

    // The rest of the folder is passed over, in one line.
    let text = done(&place, &["baseline", "save", "a"]);
    assert_has(&text, &["passed over 3 runs: 1 stopped, 2 unreadable\n"]);
    let text = refused(&place, &["baseline", "save", "b", "--last", "9"]);
    assert_has(&text, &["no suite has 9 complete runs there, but quick (1)"]);
    assert_eq!(ids(&stored(&place, "a")), ["one"]);
}

#[test]
fn a_save_that_fails_leaves_the_baseline_as_it_was() {
    let place = Place::new();
    record(&place, "one", 1);
    done(&place, &["baseline", "save", "before"]);
    let path = stored(&place, "before");
    let whole = std::fs::read(&path).expect("read");
    record(&place, "two", 2);
    // No file may grow beyond 4 KiB, which is less than a record.
    let full = r#"trap "" XFSZ; ulimit -f 4; exec "$0" baseline save before --replace"#;
    let mut shell = command("bash");
    shell.args(["-c", full, env!("CARGO_BIN_EXE_rkllm-bench")]);
    let output = run(shell.env("CARGO_TARGET_DIR", place.path("target")));
    assert_eq!(output.status.code(), Some(70), "{}", text_of(&output));
    assert_has(&text_of(&output), &["baselines/before.json"]);
    assert_eq!(std::fs::read(&path).expect("read"), whole);
    let files = std::fs::read_dir(path.parent().expect("a folder")).expect("listed");
    assert_eq!(files.count(), 2, "nothing but the lock is left beside it");

    let output = run(program(&place, &["baseline", "save", "a"])
        .env("CARGO_TARGET_DIR", "/proc/no")
        .env("RKLLM_BENCH_OUTPUT", place.path("target/rkllm-bench/runs")));
    assert_eq!(output.status.code(), Some(70), "{}", text_of(&output));
    assert_has(&text_of(&output), &["error: /proc/no"]);

    let full_stdout = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("opened");
    let output = run(program(&place, &["baseline", "export", "before"]).stdout(full_stdout));
    assert_eq!(
        output.status.code(),
        Some(70),
        "an export that was cut off: {}",
        text_of(&output)
    );
}
