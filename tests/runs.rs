//! `rkllm-bench runs`, on run records of the host runtime and the reports that belong to them.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::host::{RUN, quick, tool, turn};
use common::{Place, run, succeed, text_of};
use rkllm_bench::record::{Purpose, RunRecord, Status};
use serde_json::Value;

/// Puts a run into the folder of records: the end of its name, its minute, and what is different about it.
fn record(place: &Place, id: &str, minute: u32, edit: impl Fn(&mut RunRecord)) {
    let mut run = RUN.clone();
    run.run_id = format!("2026-quick-{id}");
    run.started_at = format!("2026-01-01T00:{minute:02}:00Z");
    edit(&mut run);
    let file = format!("target/rkllm-bench/runs/{}.json", run.run_id);
    run.save(&place.path(&file)).expect("saved");
}

fn runs(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(tool(place).arg("runs").args(arguments));
    (output.status.code(), text_of(&output))
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("listed");
    entries
        .map(|entry| entry.expect("listed").file_name().into_string().expect("a name"))
        .collect()
}

#[test]
fn they_are_listed_newest_first_with_what_comparisons_pass_over() {
    let place = Place::new();
    let (code, text) = runs(&place, &["list"]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("no runs in ") && text.contains("`cargo bench` makes one"),
        "{text}"
    );
    record(&place, "aaaaaa", 1, |_| {});
    record(&place, "bbbbbb", 2, |run| run.purpose = Purpose::Quick);
    record(&place, "cccccc", 3, |run| run.filter = Some("decode".into()));
    record(&place, "dddddd", 4, |run| run.status = Status::Stopped);
    std::fs::write(place.path("target/rkllm-bench/runs/notes.json"), "[]").expect("written");
    let (code, text) = runs(&place, &["list"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.starts_with(
            "quick: tiny-random-weights\n  \
             dddddd  2026-01-01 00:04:00   30 samples  stopped\n  \
             cccccc  2026-01-01 00:03:00   30 samples  filtered (decode)\n  \
             bbbbbb  2026-01-01 00:02:00   30 samples  by --quick\n  \
             aaaaaa  2026-01-01 00:01:00   30 samples\n"
        ),
        "{text}"
    );
    assert!(text.contains("notes.json: not a usable run record"), "{text}");
    let output = run(tool(&place).args(["runs", "list", "--format", "json"]));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(document["runs"][3]["id"], "aaaaaa");
    assert_eq!(document["runs"][3]["passed_over"], Value::Null);
}

#[test]
fn one_goes_with_its_reports_and_baselines_stay() {
    let place = Place::new();
    {
        let _turn = turn();
        succeed(quick(&place).args(["--noplot", "--quick"]));
    }
    let reports = place.path("runs/reports");
    assert_eq!(files(&reports).len(), 2);
    let name = place.record().run_id;
    assert!(
        files(&place.path("runs")).contains(&format!("{name}.json"))
            && name.contains("Z-tiny-random-weights-quick-")
            && files(&reports)
                .iter()
                .all(|file| file.starts_with("benchmark_2") && file.contains("_tiny-random-weights_quick_")),
        "{name}: {:?}",
        files(&reports)
    );
    record(&place, "aaaaaa", 1, |_| {});
    succeed(tool(&place).args(["baseline", "save", "before"]));
    let folder = place.path("runs");
    let folder = folder.to_str().expect("a path");
    let id = name.rsplit('-').next().expect("an end");
    let (code, text) = runs(&place, &["rm", id, "--records", folder]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains(&format!("removed {name}: the record and 2 files of its reports")),
        "{text}"
    );
    assert!(files(&reports).is_empty() && place.records().is_empty());
    let (code, text) = runs(&place, &["rm", "2026-quick-aaaaaa", "aaaaaa"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("the record and none of its reports"), "{text}");
    succeed(tool(&place).args(["baseline", "show", "before"]));
}

#[test]
fn what_is_unknown_ambiguous_or_under_way_is_64_and_nothing_goes() {
    let place = Place::new();
    record(&place, "aaaaaa", 1, |_| {});
    record(&place, "bbbbbb", 2, |run| run.status = Status::Running);
    record(&place, "x-bbbbbb", 3, |_| {});
    let left = files(&place.path("target/rkllm-bench/runs"));
    for (id, expected) in [
        ("2026-quick-aaaaab", "most similar: 2026-quick-aaaaaa"),
        (
            "bbbbbb",
            "is the end of several runs: 2026-quick-x-bbbbbb, 2026-quick-bbbbbb",
        ),
    ] {
        let (code, text) = runs(&place, &["rm", "aaaaaa", id]);
        assert_eq!(code, Some(64), "{text}");
        assert!(text.contains(expected), "{text}");
    }
    let lock = place.path("target/criterion/rkllm-bench.lock");
    std::fs::create_dir_all(lock.parent().expect("a folder")).expect("made");
    let held = std::fs::File::create(lock).expect("made");
    held.lock().expect("free");
    let (code, text) = runs(&place, &["rm", "aaaaaa", "2026-quick-bbbbbb"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("2026-quick-bbbbbb is in progress"), "{text}");
    let (code, text) = runs(&place, &["prune", "--keep", "0", "--dry-run"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("run 2026-quick-bbbbbb stays: it is in progress"),
        "{text}"
    );
    assert_eq!(files(&place.path("target/rkllm-bench/runs")), left);
    // Of one that was killed nobody holds the lock.
    drop(held);
    assert_eq!(runs(&place, &["rm", "2026-quick-bbbbbb"]).0, Some(0));
}

#[test]
fn older_runs_of_each_kind_are_pruned() {
    let place = Place::new();
    for (minute, id) in ["aaaaaa", "bbbbbb", "cccccc"].into_iter().enumerate() {
        record(&place, id, u32::try_from(minute).expect("few"), |_| {});
    }
    record(&place, "dddddd", 9, |run| run.purpose = Purpose::Quick);
    let (code, text) = runs(&place, &["prune", "--keep", "1", "--dry-run"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("would remove 2026-quick-aaaaaa") && !text.contains("cccccc"),
        "{text}"
    );
    let (code, text) = runs(&place, &["prune", "--keep", "1", "--older-than", "1d"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        files(&place.path("target/rkllm-bench/runs")),
        ["2026-quick-cccccc.json", "2026-quick-dddddd.json"]
            .map(str::to_owned)
            .into()
    );
    let (code, text) = runs(&place, &["prune"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("--keep"), "{text}");
}
