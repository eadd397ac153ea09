//! Run records and baselines.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{Taken, assert_readable, measured};
use crate::analysis::compare as beside;
use crate::analysis::concurrency;
use crate::analysis::gate::{self, Limits};
use crate::base::foreign::Shown as _;
use crate::record::RunRecord;
use crate::record::baseline::{self, Baseline};
use crate::report::export;
use crate::report::{self, compare, terminal};

/// Memory for reading a record. The smallest struct on disk is a few bytes of `null`.
const ALLOWANCE: usize = 1 << 20;
const BYTES_A_BYTE: usize = 60;

/// A record round-trips, or is refused with the place of the fault. Files are written to `dir`.
pub(in crate::fuzz) fn record(dir: &Path, bytes: &[u8]) -> Taken {
    let (path, copy) = (dir.join("run.json"), dir.join("copy.json"));
    std::fs::write(&path, bytes).expect("written");
    match measured(bytes.len(), ALLOWANCE, BYTES_A_BYTE, || RunRecord::load(&path)) {
        Ok(record) => {
            record.save(&path).expect("saved");
            RunRecord::load(&path)
                .expect("it was accepted before")
                .save(&copy)
                .expect("saved");
            assert_same_bytes(&path, &copy);
            assert_used(&record);
            Taken::Accepted
        }
        Err(error) => {
            assert_placed(&error.to_string(), &path, "run record", bytes);
            Taken::Refused
        }
    }
}

/// The same for a baseline.
pub(in crate::fuzz) fn baseline(dir: &Path, bytes: &[u8]) -> Taken {
    let (path, copy) = (dir.join("before.json"), dir.join("copy.json"));
    std::fs::write(&path, bytes).expect("written");
    match measured(bytes.len(), ALLOWANCE, BYTES_A_BYTE, || Baseline::load(&path)) {
        Ok(baseline) => {
            baseline.save(&path).expect("what was read can be saved");
            Baseline::load(&path)
                .expect("it was accepted before")
                .save(&copy)
                .expect("saved");
            assert_same_bytes(&path, &copy);
            let runs = baseline::runs_of(&path).expect("a baseline has runs");
            assert_eq!(runs.len(), baseline.runs.len());
            Taken::Accepted
        }
        Err(error) => {
            assert_placed(&error.to_string(), &path, "baseline", bytes);
            Taken::Refused
        }
    }
}

#[track_caller]
fn assert_same_bytes(one: &Path, other: &Path) {
    let read = |path| std::fs::read_to_string(path).expect("read");
    assert_eq!(read(one), read(other));
}

/// Every use of an accepted record succeeds.
fn assert_used(record: &RunRecord) {
    let runs = std::slice::from_ref(record);
    let reports = report::models(record);
    for report in &reports {
        report::benchmark::markdown(report);
        report::benchmark::json(report, std::io::sink()).expect("written");
    }
    terminal::figures(&reports, 80);
    compare::text(&beside::of_run(record));
    concurrency::levels(record);
    for target in [
        export::Target::Csv,
        export::Target::Bencher,
        export::Target::LlamaBenchJsonl,
        export::Target::GithubActionBenchmark,
    ] {
        target.render(runs, None);
    }
    let comparison = gate::compare(runs, runs, &[], &[], &Limits::new(0.05));
    report::gate::text(&comparison);
    assert_eq!(
        gate::fingerprint(&[record]),
        gate::fingerprint(&[&record.clone()])
    );
}

/// A refusal names the file and the fault. If it names a field, the file has that field or the object that lacks it.
fn assert_placed(text: &str, path: &Path, kind: &str, bytes: &[u8]) {
    static FIELD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^((?:\.?[a-z_0-9]+(?:\[\d+\])*)+): ").expect("a pattern"));
    assert_readable(text, 2000);
    let start = format!("{}: not a usable {kind}: ", path.shown());
    let reason = text
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{start} is not the start of {text}"));
    let document = serde_json::from_slice::<Value>(bytes).ok();
    match (FIELD.captures(reason), document) {
        (Some(field), Some(document)) => {
            let pointer = format!("/{}", field[1].replace(['.', '['], "/").replace(']', ""));
            let (outer, _) = pointer.rsplit_once('/').expect("it begins with one");
            assert!(
                document.pointer(outer).is_some(),
                "{reason}: no {pointer} in {document}"
            );
        }
        // A document that is no JSON has a line or a byte; a whole document of another kind has no place.
        (None, None) => {
            let places = ["line ", "byte ", "the file is empty"];
            assert!(places.iter().any(|place| reason.contains(place)), "{reason}");
        }
        (Some(_), None) | (None, Some(_)) => assert!(reason.len() > 20, "{reason}"),
    }
}
