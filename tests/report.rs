//! The reports that a bench leaves, and `rkllm-bench report`, which makes them again.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Place, host, run, succeed, text_of};
use rkllm_bench::record::Status;
use serde_json::Value;

/// Names and contents of a folder's files.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let read = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("text"))
    });
    read.collect()
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

#[test]
fn a_bench_leaves_reports_and_they_can_be_made_again_to_the_last_byte() {
    let place = Place::new();
    let text = {
        let _turn = host::turn();
        succeed(host::quick(&place).args(["--noplot", "--quick"]))
    };
    assert!(!text.contains('\u{1b}'), "styles are for terminals: {text}");
    let left = files(&place.path("runs/reports"));
    assert_eq!(left.len(), 2, "{:?}", left.keys());
    for name in left.keys().filter(|name| has_ending(name, "md")) {
        assert!(
            text.lines()
                .any(|line| line.ends_with(&format!("/runs/reports/{name}"))),
            "{text}"
        );
    }
    let schema: Value =
        serde_json::from_str(include_str!("../docs/report.schema.json")).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let (_, json) = left
        .iter()
        .find(|(name, _)| has_ending(name, "json"))
        .expect("a JSON file");
    let document: Value = serde_json::from_str(json).expect("JSON");
    let faults: Vec<String> = schema
        .iter_errors(&document)
        .map(|fault| fault.to_string())
        .collect();
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(document["summary"]["total_requests"], 6);
    assert_eq!(document["detailed_results"].as_array().map(Vec::len), Some(6));

    let record = place.records().remove(0);
    let again = succeed(
        host::tool(&place)
            .arg("report")
            .arg(&record)
            .arg("--output")
            .arg(place.path("again")),
    );
    assert_eq!(files(&place.path("again")), left);
    let table = |text: &str| {
        let from = text.find("medians of 2 samples").expect("a table");
        // What follows: criterion's part of a bench, the faults of a report.
        let ends = ["\nchange", "no faults\n", "\nanswers of"].iter();
        let end = ends.filter_map(|end| text.find(end)).min();
        text[from..end.expect("files")].trim_end().to_owned()
    };
    assert_eq!(table(&again), table(&text), "the same table");
}

#[test]
fn a_stopped_run_has_a_report_and_what_is_no_record_is_64() {
    let place = Place::new();
    let record = {
        let _turn = host::turn();
        succeed(host::quick(&place).args(["--record-only", "--sample-size", "2"]));
        assert!(
            !place.path("runs/reports").exists(),
            "the record is all that is wanted"
        );
        let mut record = place.record();
        record.status = Status::Stopped;
        record.models[0].prompts[2].samples.clear();
        record
    };
    let path = place.path("stopped.json");
    record.save(&path).expect("saved");
    let text = succeed(
        host::tool(&place)
            .arg("report")
            .arg(&path)
            .arg("--output")
            .arg(place.path("out")),
    );
    assert!(text.contains("medians of 0 to 2 samples"), "{text}");
    let pages = files(&place.path("out"));
    let stopped =
        |(name, text): (&String, &String)| has_ending(name, "md") && text.contains("stopped before its end");
    assert!(pages.iter().any(stopped));

    let garbage = place.path("garbage.json");
    std::fs::write(&garbage, "{").expect("written");
    for arguments in [
        vec!["report", garbage.to_str().expect("UTF-8")],
        vec!["report", "/no/such.json"],
        vec!["report"],
        vec!["report", "--last", "2", garbage.to_str().expect("UTF-8")],
    ] {
        let output = run(host::tool(&place).args(&arguments));
        assert_eq!(
            output.status.code(),
            Some(64),
            "{arguments:?}: {}",
            text_of(&output)
        );
    }
    let unwritable = run(host::tool(&place)
        .arg("report")
        .arg(&path)
        .args(["--output", "/dev/null/x"]));
    assert_eq!(unwritable.status.code(), Some(70), "{}", text_of(&unwritable));
}
