//! What a power cut and `kill -9` leave of what was measured and of what the user asked to keep.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::host::{MODEL, QUICK, RUN, quick, tool, turn};
use common::power::{Call, Disk, Left, can_trace, traced};
use common::{Place, children, run, send, succeed, text_of, wait_until};
use rkllm_bench::record::{RunRecord, Status};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// What can be wrong with what a crash leaves.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// After this many calls there is neither the old file nor the new one.
    Neither(PathBuf, usize, Left),
    /// After all calls the new one may be missing.
    NotStored(PathBuf, BTreeSet<Left>),
}

/// Tries a crash after each call; of the files in `folder` at the end, the first fault.
fn fault(before: &Disk, calls: &[Call], folder: &Path) -> Option<Fault> {
    let mut end = before.clone();
    for call in calls {
        end.make(call);
    }
    let mut files = end.below(folder);
    let is_lock = |path: &Path| path.file_name().is_some_and(|name| name == ".lock");
    files.retain(|path| path.is_file() && !is_lock(path) && end.whole(path) != before.whole(path));
    assert!(
        !files.is_empty(),
        "nothing was written below {}",
        folder.display()
    );
    for file in files {
        let mut disk = before.clone();
        for (made, call) in calls.iter().enumerate() {
            disk.make(call);
            let mut left = disk.after_crash(&file).into_iter();
            if let Some(wrong) = left.find(|left| matches!(left, Left::Torn(_))) {
                return Some(Fault::Neither(file, made + 1, wrong));
            }
        }
        let left = end.after_crash(&file);
        if left != BTreeSet::from([end.whole(&file)]) {
            return Some(Fault::NotStored(file, left));
        }
    }
    None
}

/// Whether system calls can be traced; if not, that is said where a test's output is not kept back.
fn is_traced() -> bool {
    let can = can_trace();
    if !can {
        let _ = writeln!(
            std::io::stderr(),
            "durable: strace is missing or may not trace here, so the system calls were not checked (scripts/setup installs it)"
        );
    }
    can
}

/// A target folder with two runs and a baseline.
fn kept() -> Place {
    let place = Place::new();
    for (id, minute) in [("aaaaaa", 1), ("bbbbbb", 2)] {
        let mut record = RUN.clone();
        record.run_id = format!("2026-quick-{id}");
        record.started_at = format!("2026-01-01T00:0{minute}:00Z");
        let file = format!("target/rkllm-bench/runs/{}.json", record.run_id);
        record.save(&place.path(&file)).expect("saved");
    }
    succeed(tool(&place).args(["baseline", "save", "before", "--last", "1"]));
    place
}

#[test]
fn what_was_asked_to_be_kept_is_there_after_a_power_cut_at_any_moment() {
    if !is_traced() {
        return;
    }
    let place = kept();
    let path = |name: &str| place.path(name).to_string_lossy().into_owned();
    let (out, run) = (
        path("new/folder/out.json"),
        path("target/rkllm-bench/runs/2026-quick-aaaaaa.json"),
    );
    let baselines = "target/rkllm-bench/baselines";
    let rows: [(&[&str], &str); 6] = [
        (&["baseline", "save", "fresh", "--last", "1"], baselines),
        (
            &["baseline", "save", "before", "--add", "--runs", &run],
            baselines,
        ),
        (&["baseline", "export", "before", &out], "new/folder"),
        (&["baseline", "import", &out, "--name", "elsewhere"], baselines),
        (
            &[
                "export",
                "--to",
                "csv",
                "--runs",
                &run,
                "-o",
                &path("other/out.csv"),
            ],
            "other",
        ),
        (&["report", &run], "target/rkllm-bench/reports"),
    ];
    let log = Place::new();
    for (arguments, folder) in rows {
        let before = Disk::of(&place.path(""));
        let calls = traced(tool(&place).args(arguments), &log.path("log"));
        let folder = place.path(folder);
        assert_eq!(fault(&before, &calls, &folder), None, "{arguments:?}");
        eprintln!(
            "{:?}: a power cut after each of {} calls",
            arguments[0],
            calls.len()
        );
        // The model would see what is amiss.
        for (what, is_it) in [
            ("files", (|path: &Path| !path.is_dir()) as fn(&Path) -> bool),
            ("folders", |path| path.is_dir()),
        ] {
            let unsynced: Vec<Call> = calls.iter().filter(|call| !call.syncs(is_it)).cloned().collect();
            let found = fault(&before, &unsynced, &folder);
            assert!(
                found.is_some(),
                "{arguments:?}: without a sync of {what} nothing is lost"
            );
        }
    }
}

#[test]
fn a_run_and_what_criterion_saves_by_name_are_there_after_a_power_cut() {
    if !is_traced() {
        return;
    }
    let _turn = turn();
    let (place, log) = (Place::new(), Place::new());
    let before = Disk::of(&place.path(""));
    let mut bench = quick(&place);
    bench.args(["--noplot", "--save-baseline", "kept"]);
    let calls = traced(&bench, &log.path("log"));
    assert_eq!(
        fault(&before, &calls, &place.path("runs")),
        None,
        "record and reports"
    );
    eprintln!("a run: a power cut after each of {} calls", calls.len());
    let mut end = before;
    for call in &calls {
        end.make(call);
    }
    let mut saved = end.below(&place.path("criterion"));
    saved.retain(|path| path.is_file() && path.parent().is_some_and(|folder| folder.ends_with("kept")));
    assert!(saved.len() >= 9, "{saved:?}");
    for file in saved {
        assert_eq!(
            end.after_crash(&file),
            BTreeSet::from([end.whole(&file)]),
            "{}",
            file.display()
        );
    }
    let place = Place::new();
    let before = Disk::of(&place.path(""));
    let mut bench = format!("{} --bench --max-new-tokens 8 --models ", QUICK.display());
    bench += &MODEL.to_string_lossy();
    let mut ab = tool(&place);
    ab.args([
        "ab",
        "--pairs",
        "3",
        "--base",
        &bench,
        "--candidate",
        &bench,
        "--output",
    ]);
    ab.arg(place.path("ab")).env("TMPDIR", log.path(""));
    let calls = traced(&ab, &log.path("log"));
    assert_eq!(fault(&before, &calls, &place.path("ab")), None, "pairs of runs");
}

/// Runs a bench to its end and gives the bytes that it wrote to files and pipes.
fn bytes_written(bench: &mut Command) -> u64 {
    let mut child = bench
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let pid = Pid::from_child(&child);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("ended");
    let io = std::fs::read_to_string(format!("/proc/{}/io", child.id())).expect("counted");
    assert!(child.wait().expect("waited for").success());
    let written = io
        .lines()
        .find_map(|line| line.strip_prefix("wchar: "))
        .expect("there");
    written.parse().expect("a number")
}

#[test]
fn what_is_written_grows_with_the_samples_and_not_with_their_square() {
    let _turn = turn();
    let bytes = |samples: &str| {
        let place = Place::new();
        bytes_written(quick(&place).args(["--record-only", "--sample-size", samples]))
    };
    let (few, many) = (bytes("20"), bytes("80"));
    assert!(many < 5 * few, "{few} bytes for 20 samples, {many} for 80");
}

#[test]
fn kill_9_costs_one_inference_at_most() {
    std::sync::LazyLock::force(&RUN); // it takes a turn
    let _turn = turn();
    let place = Place::new();
    let mut bench = quick(&place);
    bench.args(["--record-only", "--sample-size", "100000", "--verbose"]);
    let mut child = bench
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let samples = |record: &RunRecord| -> usize {
        record.models[0]
            .prompts
            .iter()
            .map(|prompt| prompt.samples.len())
            .sum()
    };
    let load = || {
        place
            .records()
            .first()
            .map(|path| RunRecord::load(path).expect("readable at any moment"))
    };
    let mut seen = 0;
    wait_until(|| {
        // While it runs each look finds at least as many.
        let now = load().map_or(0, |record| samples(&record));
        assert!(now >= seen, "{seen} samples, then {now}");
        seen = now;
        seen >= 20
    });
    // A worker that has answered this many times, and one that is answering.
    let worker = children(child.id())[0];
    send("STOP", worker);
    let mut made = samples(&load().expect("there"));
    wait_until(|| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = samples(&load().expect("there"));
        std::mem::replace(&mut made, now) == now
    });
    send("KILL", child.id());
    child.wait().expect("waited for");
    let path = place.records().remove(0);
    let record = place.record();
    assert_eq!((samples(&record), record.status), (made, Status::Running));
    // Half a line, as a kill within a write leaves it.
    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() - 100]).expect("cut");
    assert_eq!(samples(&place.record()), made - 1);
    std::fs::write(&path, &whole).expect("written");
    let file = path.to_string_lossy();
    let text = succeed(tool(&place).args(["report", &file]));
    assert!(text.contains("did not come to its end"), "{text}");
    let folder = place.path("runs");
    let text = succeed(tool(&place).args(["runs", "list", "--records"]).arg(&folder));
    assert!(
        text.contains(&format!("{made} samples  running or killed")),
        "{text}"
    );
    succeed(
        tool(&place)
            .args(["baseline", "save", "before", "--runs"])
            .arg(complete(&place)),
    );
    let output = run(tool(&place).args(["gate", "--baseline", "before", "--runs", &file]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("status: running"), "{text}");
    succeed(
        tool(&place)
            .args(["runs", "prune", "--keep", "0", "--records"])
            .arg(&folder),
    );
    assert!(place.records().is_empty());
}

/// A run that came to its end.
fn complete(place: &Place) -> PathBuf {
    let path = place.path("complete.json");
    RUN.save(&path).expect("saved");
    path
}
