//! What stdout gets: the result alone with `--format`, and nothing less than all of it: where it cannot be written,
//! the exit code says so.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "a test")]

mod common;
#[path = "../src/machine/board/fake.rs"]
#[expect(dead_code, reason = "the boards of the unit tests; one serves here")]
mod fake;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Place, command, host, run, send, succeed, text_of, wait_until};
use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use rkllm_bench::record::RunRecord;
use serde_json::Value;

/// What stdout may be.
fn full() -> Stdio {
    let full = OpenOptions::new().write(true).open("/dev/full");
    full.expect("the kernel has it").into()
}

/// A pipe whose reader has left.
fn left() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn stdout_of(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// A place with two runs, a baseline `main` of the first, and a program that leaves a third as a bench would.
fn place() -> Place {
    let place = Place::new();
    for index in 0..2 {
        let mut run = host::RUN.clone();
        run.run_id = format!("run-{index}");
        run.started_at = format!("2030-01-01T00:0{index}:00Z");
        run.save(&place.path(&format!("target/rkllm-bench/runs/{index}.json")))
            .expect("saved");
    }
    let mut template = host::RUN.clone();
    template.run_id = "run-by-script".into();
    template.save(&place.path("template.json")).expect("saved");
    let script = format!(
        "#!/bin/sh\nmkdir -p \"$RKLLM_BENCH_OUTPUT\"\nsed \"s/run-by-script/run-$$/\" {} > \"$RKLLM_BENCH_OUTPUT/$$.json\"\n",
        place.path("template.json").display()
    );
    std::fs::write(place.path("bench"), script).expect("written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path("bench"), executable).expect("made executable");
    let first = place.path("target/rkllm-bench/runs/0.json");
    succeed(
        host::tool(&place)
            .args(["baseline", "save", "main", "--runs"])
            .arg(first),
    );
    place
}

/// The words behind the program's name that have each subcommand print something, as often as they are given.
fn words_of(subcommand: &str, place: &Place) -> Vec<String> {
    let path = |name: &str| place.path(name).display().to_string();
    let run = |index| path(&format!("target/rkllm-bench/runs/{index}.json"));
    let script = format!("sh {}", path("bench"));
    let board = path("board");
    let words: &[&str] = match subcommand {
        "gate" => &["gate", "--baseline", "main", "--runs", &run(1)],
        "ab" => &[
            "ab",
            "--base",
            &script,
            "--candidate",
            &script,
            "--pairs",
            "2",
            "--seed",
            "1",
        ],
        "baseline save" => &["baseline", "save", "other", "--replace", "--runs", &run(1)],
        "baseline list" => &["baseline", "list"],
        "baseline show" => &["baseline", "show", "main"],
        "baseline export" => &["baseline", "export", "main"],
        "baseline import" => &[
            "baseline",
            "import",
            &path("exported.json"),
            "--name",
            "new",
            "--replace",
        ],
        "baseline rm" => &["baseline", "rm", "gone"],
        "calibrate" => &["calibrate", "--runs", "2", "--", "sh", &path("bench")],
        "compare" => &["compare", "--runs", &run(0)],
        "export" => &["export", "--to", "csv", "--runs", &run(0)],
        "models" => &["models"],
        "report" => &["report", &run(0), "--output", &path("reports")],
        "doctor" => &["doctor", "--root", &board],
        "pin" => &["pin", "--root", &board],
        "unpin" => &["unpin", "--root", &board],
        "operating-curve" => &["operating-curve", "--help"],
        "overhead" => &["overhead", "--help"],
        "runs list" => &["runs", "list"],
        "runs rm" => &["runs", "rm", "--help"],
        "runs prune" => &["runs", "prune", "--help"],
        "help" => &["help"],
        other => panic!("{other}: say here what has it print something"),
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What must be there before each start.
fn prepare(subcommand: &str, place: &Place) {
    match subcommand {
        "baseline import" => {
            succeed(
                host::tool(place)
                    .args(["baseline", "export", "main", "--force"])
                    .arg(place.path("exported.json")),
            );
        }
        "baseline rm" => {
            let run = place.path("target/rkllm-bench/runs/0.json");
            succeed(
                host::tool(place)
                    .args(["baseline", "save", "gone", "--replace", "--runs"])
                    .arg(run),
            );
        }
        "doctor" | "pin" | "unpin" => {
            let board = place.path("board");
            let _ = std::fs::remove_dir_all(&board);
            let fresh = fake::Fake::rk3588().written();
            succeed(command("cp").arg("-a").arg(fresh.path()).arg(&board));
        }
        _ => {}
    }
}

/// The names below a heading of a help text.
fn listed(help: &str, heading: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

/// Each subcommand of the program, with those of its own.
fn subcommands(place: &Place) -> Vec<String> {
    let help = |words: &[&str]| succeed(host::tool(place).args(words).arg("--help"));
    let mut all = Vec::new();
    for name in listed(&help(&[]), "Commands:") {
        let own = if name == "help" {
            Vec::new()
        } else {
            listed(&help(&[&name]), "Commands:")
        };
        if own.is_empty() {
            all.push(name);
        } else {
            all.extend(
                own.iter()
                    .filter(|own| *own != "help")
                    .map(|own| format!("{name} {own}")),
            );
        }
    }
    all
}

/// The formats that a subcommand has by its own help: each as words to add.
fn formats(subcommand: &str, place: &Place) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    if subcommand == "help" {
        return all;
    }
    let help = succeed(host::tool(place).args(subcommand.split(' ')).arg("--help"));
    for flag in ["--format", "--to"] {
        let Some((_, about)) = help.split_once(&format!("      {flag} <")) else {
            continue;
        };
        let about = about.split("\n      --").next().unwrap_or_default();
        let short = about
            .split_once("[possible values: ")
            .and_then(|(_, values)| values.split_once(']'));
        let long = about
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- ")?.split(':').next());
        let values: Vec<&str> = match short {
            Some((values, _)) => values.split(',').map(str::trim).collect(),
            None => long.collect(),
        };
        assert!(values.len() > 1, "{subcommand} {flag}: {help}");
        all.extend(
            values
                .iter()
                .map(|value| vec![flag.to_owned(), (*value).to_owned()]),
        );
    }
    for flag in ["--json", "--dry-run", "--remove-built-in"] {
        if help.contains(&format!("      {flag}\n")) {
            all.push(vec![flag.to_owned()]);
        }
    }
    all
}

/// A start of the program: words, those of the format before a command of their own.
fn start(place: &Place, subcommand: &str, format: &[String]) -> Command {
    let mut words = words_of(subcommand, place);
    if format.first().is_some_and(|flag| flag == "--to") {
        words.retain(|word| word != "--to" && word != "csv");
    }
    let count = subcommand.split(' ').count();
    words.splice(count..count, format.iter().cloned());
    let mut command = host::tool(place);
    command.args(words);
    command
}

/// Subcommands that print nothing to stdout: what they do is in files.
const SILENT: [&str; 1] = ["unpin"];

#[test]
fn what_no_subcommand_could_write_ends_with_70_in_every_format() {
    let place = place();
    let mut tried = BTreeSet::new();
    for subcommand in subcommands(&place) {
        for format in formats(&subcommand, &place) {
            let is_silent = SILENT.contains(&&*subcommand);
            let try_with = |stdout: Stdio| {
                prepare(&subcommand, &place);
                run(start(&place, &subcommand, &format).stdout(stdout))
            };
            let seen = try_with(Stdio::piped());
            let usual = seen.status.code().expect("no signal");
            let what = format!("{subcommand} {format:?}: {}", text_of(&seen));
            assert!(usual < 64, "{what}");
            assert_eq!(seen.stdout.is_empty(), is_silent, "{what}");
            let lost = try_with(full());
            let expected = if is_silent { usual } else { 70 };
            assert_eq!(lost.status.code(), Some(expected), "{what}{}", text_of(&lost));
            assert_eq!(
                text_of(&lost).contains("error: stdout: "),
                !is_silent,
                "{what}{}",
                text_of(&lost)
            );
            assert_eq!(
                try_with(left()).status.code(),
                Some(usual),
                "a reader that has left: {what}"
            );
            tried.insert(subcommand.clone());
        }
    }
    assert!(tried.len() >= 18, "{tried:?}");
    for flag in ["--help", "--version"] {
        assert_eq!(
            run(host::tool(&place).arg(flag).stdout(full())).status.code(),
            Some(70),
            "{flag}"
        );
        assert_eq!(
            run(host::tool(&place).arg(flag).stdout(left())).status.code(),
            Some(0),
            "{flag}"
        );
    }
}

/// A measuring start that takes seconds.
fn measuring(place: &Place) -> Command {
    let mut command = host::quick(place);
    command.args(["--noplot", "--quick"]);
    command
}

#[test]
fn what_no_bench_target_could_write_ends_with_70() {
    let _turn = host::turn();
    let rows: [(&[&str], i32); 9] = [
        (&[], 70),
        (&["--format", "json"], 70),
        (&["--format", "csv"], 70),
        (&["--format", "md"], 70),
        (&["--record-only"], 70),
        (&["--list"], 70),
        (&["--test"], 70),
        (&["--help"], 70),
        (&["--version"], 70),
    ];
    for (arguments, code) in rows {
        let start = |stdout: Stdio| {
            let place = Place::new();
            let measures = arguments
                .first()
                .is_none_or(|flag| ["--format", "--record-only"].contains(flag));
            let mut command = if measures {
                measuring(&place)
            } else {
                host::quick(&place)
            };
            let output = run(command.args(arguments).stdout(stdout));
            let records = place.records().len();
            (output, records, measures)
        };
        let (output, records, measures) = start(full());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text_of(&output)
        );
        assert!(
            !measures || records == 1,
            "{arguments:?}: nothing measured is lost"
        );
        let (output, ..) = start(left());
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            text_of(&output)
        );
    }
}

/// What a measuring start with a format prints to stdout; it must succeed and say all else on stderr.
#[track_caller]
fn result(command: &mut Command, format: &str) -> String {
    let output = run(command.args(["--format", format]));
    assert!(output.status.success(), "{}", text_of(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("medians of 2 samples") && said.contains("time:"),
        "{said}"
    );
    stdout_of(&output)
}

#[test]
fn a_format_gives_the_result_alone_and_a_record_gives_the_same_bytes() {
    let schema: Value = serde_json::from_str(include_str!("../docs/result.schema.json")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    for (format, more) in [("json", &["--in-process"][..]), ("csv", &[]), ("md", &[])] {
        let place = Place::new();
        let text = {
            let _turn = host::turn();
            result(measuring(&place).args(["--label", "a | b"]).args(more), format)
        };
        let record = place.record();
        let model = &record.models[0].name;
        assert_eq!(record.label.as_deref(), Some("a | b"));
        match format {
            "json" => {
                let document: Value = serde_json::from_str(&text).expect("one JSON document");
                let faults: Vec<String> = schema
                    .iter_errors(&document)
                    .map(|fault| fault.to_string())
                    .collect();
                assert_eq!(faults, Vec::<String>::new());
                assert_eq!(document["runs"][0]["label"], "a | b");
                assert_eq!(document["runs"][0]["models"][0]["name"], **model);
                assert_eq!(
                    document["runs"][0]["models"][0]["summary"]["requests"]["successful"],
                    6
                );
            }
            "csv" => {
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
                assert_eq!(rows.len(), 3);
                assert!(
                    rows.iter().all(|row| row.iter().any(|cell| cell == "a | b")),
                    "{text}"
                );
            }
            _ => {
                let mut options = Options::default();
                options.extension.table = true;
                let arena = Arena::new();
                let root = parse_document(&arena, &text, &options);
                let count = |wanted: fn(&NodeValue) -> bool| {
                    root.descendants()
                        .filter(|node| wanted(&node.data.borrow().value))
                        .count()
                };
                assert_eq!(count(|node| matches!(node, NodeValue::Table(_))), 1, "{text}");
                assert_eq!(
                    count(|node| matches!(node, NodeValue::TableRow(false))),
                    1,
                    "{text}"
                );
                assert_eq!(
                    root.children().count(),
                    1,
                    "nothing stands beside the table: {text}"
                );
                assert!(text.contains(&**model), "{text}");
            }
        }
        let again = run(host::tool(&place)
            .args(["report", "--format", format, "--output"])
            .arg(place.path("again"))
            .arg(&place.records()[0]));
        assert_eq!(stdout_of(&again), text);
    }
}

#[test]
fn a_format_by_the_variable_leaves_what_measures_nothing_alone() {
    let place = Place::new();
    let list = |format: &str| {
        let mut command = host::quick(&place);
        stdout_of(&run(command.arg("--list").env("RKLLM_BENCH_FORMAT", format)))
    };
    assert_eq!(list("json"), list("text"));
    assert!(list("json").contains(": benchmark"), "{}", list("json"));
    let output = run(host::quick(&place).env("RKLLM_BENCH_FORMAT", "xml"));
    assert_eq!(output.status.code(), Some(64), "{}", text_of(&output));
}

#[test]
fn a_run_that_was_stopped_has_no_result() {
    let _turn = host::turn();
    let place = Place::new();
    let mut command = host::quick(&place);
    command.args(["--record-only", "--sample-size", "100000", "--format", "json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let has_sample = || {
        let records = place.records();
        let Some(path) = records.first() else {
            return false;
        };
        RunRecord::load(path).is_ok_and(|record| {
            record
                .models
                .iter()
                .flat_map(|model| &model.prompts)
                .any(|prompt| !prompt.samples.is_empty())
        })
    };
    wait_until(has_sample);
    send("INT", child.id());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130), "{}", text_of(&output));
    assert_eq!(stdout_of(&output), "");
    let shown = succeed(
        host::tool(&place)
            .args(["report", "--format", "json", "--output"])
            .arg(place.path("r"))
            .arg(&place.records()[0]),
    );
    assert!(shown.contains("\"status\": \"stopped\""), "{shown}");
}

#[test]
fn a_failed_run_has_its_result_and_its_exit_code() {
    let _turn = host::turn();
    let place = Place::new();
    let broken = place.path("models");
    std::fs::create_dir(&broken).expect("made");
    std::fs::write(broken.join("broken.gguf"), "no model").expect("written");
    let mut command = place.bench(&host::QUICK);
    command
        .args(["--noplot", "--quick", "--format", "json", "--models"])
        .arg(&broken);
    let output = run(&mut command);
    if output.status.code() == Some(64) {
        assert_eq!(stdout_of(&output), "", "refused before anything was measured");
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let model = &document["runs"][0]["models"][0];
    assert!(model["load_failure"].is_string(), "{document}");
    assert_eq!(model["prompts"][0]["samples"], 0);
}

/// git in `folder`, with a user.
fn git(folder: &Path, words: &[&str]) -> String {
    let mut command = command("git");
    command.current_dir(folder).args([
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b.c",
        "-c",
        "commit.gpgsign=false",
    ]);
    succeed(command.args(words))
}

#[test]
fn the_commit_is_that_of_the_folder_whatever_hooks_say() {
    use rkllm_bench::record::Git;
    let dir = tempfile::tempdir().expect("a folder");
    let (package, other) = (dir.path().join("package"), dir.path().join("other"));
    for folder in [&package, &other] {
        std::fs::create_dir(folder).expect("made");
        git(folder, &["init", "--quiet"]);
        assert_eq!(Git::of_work_tree(folder), None, "before the first commit");
        std::fs::write(folder.join("file"), folder.display().to_string()).expect("written");
        git(folder, &["add", "file"]);
        git(folder, &["commit", "--quiet", "-m", "one"]);
    }
    let head = git(&package, &["rev-parse", "HEAD"]).trim().to_owned();
    let seen = Git::of_work_tree(&package).expect("a commit");
    assert_eq!((&*seen.revision, seen.clean), (&*head, true));
    std::fs::write(package.join("untracked"), "").expect("written");
    assert!(
        Git::of_work_tree(&package).expect("a commit").clean,
        "untracked files do not count"
    );
    std::fs::write(package.join("file"), "changed").expect("written");
    let folder = package.join("deep");
    std::fs::create_dir(&folder).expect("made");
    assert!(!Git::of_work_tree(&folder).expect("a commit").clean);
    let detached = dir.path().join("detached");
    git(
        &package,
        &[
            "worktree",
            "add",
            "--quiet",
            "--detach",
            detached.to_str().expect("UTF-8"),
        ],
    );
    let seen = Git::of_work_tree(&detached).expect("a commit");
    assert_eq!((&*seen.revision, seen.clean), (&*head, true));
    assert_eq!(Git::of_work_tree(Path::new("/proc")), None);
}

#[test]
fn a_record_has_the_commit_of_the_targets_package_and_a_label() {
    let _turn = host::turn();
    let elsewhere = tempfile::tempdir().expect("a folder");
    git(elsewhere.path(), &["init", "--quiet"]);
    git(
        elsewhere.path(),
        &["commit", "--quiet", "--allow-empty", "-m", "one"],
    );
    let place = Place::new();
    let output = run(host::quick(&place)
        .args(["--record-only", "--sample-size", "1", "--label", "from the flag"])
        .env("RKLLM_BENCH_LABEL", "from the variable")
        // As a hook of another repository would have it.
        .env("GIT_DIR", elsewhere.path().join(".git"))
        .env("GIT_WORK_TREE", elsewhere.path())
        .current_dir(elsewhere.path()));
    let text = text_of(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("label from the flag, revision "), "{text}");
    let record = place.record();
    assert_eq!(record.label.as_deref(), Some("from the flag"));
    let expected = rkllm_bench::record::Git::of_work_tree(common::ROOT.as_ref());
    assert_eq!(
        record.git.map(|git| git.revision),
        expected.map(|git| git.revision)
    );
    let output = run(host::quick(&place).env("RKLLM_BENCH_LABEL", "two\nlines"));
    assert_eq!(output.status.code(), Some(64), "{}", text_of(&output));
}

/// The scripts before this program computed with each number of the summary and of the results.
#[test]
fn a_reader_that_computes_with_every_number_can_be_served() {
    let place = Place::new();
    let mut unknown = host::RUN.clone();
    for prompt in &mut unknown.models[0].prompts {
        prompt.samples.clear();
        prompt.prompt_tokens = None;
    }
    let path = place.path("run.json");
    unknown.save(&path).expect("saved");
    let report = |more: &[&str]| -> Value {
        let folder = tempfile::tempdir().expect("a folder");
        succeed(
            host::tool(&place)
                .arg("report")
                .arg(&path)
                .args(more)
                .arg("--output")
                .arg(folder.path()),
        );
        let files = std::fs::read_dir(folder.path()).expect("listed");
        let json = files
            .map(|entry| entry.expect("an entry").path())
            .find(|path| path.extension().is_some_and(|ending| ending == "json"));
        serde_json::from_slice(&std::fs::read(json.expect("a file")).expect("read")).expect("JSON")
    };
    let (with_nulls, with_zeroes) = (report(&[]), report(&["--nulls-as-zero"]));
    assert_eq!(with_nulls["summary"]["avg_ttft_ms"], Value::Null);
    let summary = with_zeroes["summary"].as_object().expect("an object");
    assert!(summary.values().all(|value| !value.is_null()), "{summary:?}");
    assert_eq!(summary["avg_ttft_ms"], 0.0);
    assert_eq!(summary["total_tokens"], 0);
    assert_eq!(with_nulls["rkllm_bench"]["nulls_as_zero"], false);
    assert_eq!(with_zeroes["rkllm_bench"]["nulls_as_zero"], true);
    assert_eq!(
        with_zeroes["rkllm_bench"]["summary"]["ttft_ms"],
        Value::Null,
        "what is ours keeps to the truth"
    );
}
