//! The seed corpora of the fuzz targets in `fuzz/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Taken, records, targets};
use crate::machine::board::fake::Fake;
use crate::record::baseline::Baseline;
use crate::record::{RunRecord, fixtures};

/// Checks the property of a target on one input.
type Target = fn(&[u8]) -> Taken;

const TARGETS: [(&str, Target); 8] = [
    ("baselines", targets::baselines),
    ("boards", targets::boards),
    ("logs", targets::logs),
    ("names", targets::names),
    ("pins", targets::pins),
    ("records", targets::records),
    ("streams", targets::streams),
    ("suites", targets::suites),
];
/// Most bytes of a file, and of all files.
const MOST_BYTES: usize = 4_000;
const MOST_BYTES_IN_ALL: usize = 100_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    paths
}

#[test]
fn each_target_has_a_small_corpus_that_holds() {
    let mut in_all = 0;
    for (name, target) in TARGETS {
        let mut accepted = 0;
        for path in files_in(&root().join("corpus").join(name)) {
            let bytes = fs::read(&path).expect("read");
            assert!(bytes.len() < MOST_BYTES, "{path:?}: {} bytes", bytes.len());
            in_all += bytes.len();
            eprintln!("{path:?}");
            accepted += u32::from(target(&bytes) == Taken::Accepted);
        }
        assert!(
            accepted > 0,
            "{name}: nothing is accepted; cargo test --lib fuzz::corpora -- --ignored writes the records anew"
        );
    }
    assert!(in_all < MOST_BYTES_IN_ALL, "{in_all} bytes");
}

#[test]
fn each_target_is_in_the_crate_and_the_other_way_round() {
    let stems = |folder: &str| -> Vec<String> {
        let paths = files_in(&root().join(folder));
        let stems = paths.iter().filter_map(|path| path.file_stem()?.to_str());
        stems.map(str::to_owned).collect()
    };
    let names = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("corpus"), names);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("read");
    let declared = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let declared: Vec<String> = declared
        .map(|path| path.trim_end_matches(".rs\"").to_owned())
        .collect();
    assert_eq!(declared, names);
}

/// The files of a board as text that the target `boards` reads, in pieces of at most `most` bytes.
fn pieces(fake: &Fake, most: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for (path, bytes) in &fake.files {
        let file = format!("@ {path}\n{}", String::from_utf8_lossy(bytes));
        match pieces.last_mut() {
            Some(piece) if piece.len() + file.len() <= most => piece.push_str(&file),
            _ => pieces.push(file),
        }
    }
    pieces
}

/// Writes the corpora whose format changes with the crate.
#[test]
#[ignore = "writes into fuzz/corpus"]
fn write_the_records_boards_and_baselines() {
    let small = |mut record: RunRecord| {
        record.models[0].prompts.truncate(1);
        record.models[0].prompts[0].samples.truncate(1);
        record
    };
    let without_models = fixtures::empty();
    let mut files = BTreeMap::new();
    let mut put = |name: &str, text: String| files.insert(name.to_owned(), text);
    put("records/empty.json", json!(without_models).to_string());
    put(
        "records/complete.json",
        json!(small(fixtures::complete("one"))).to_string(),
    );
    put(
        "records/server.json",
        json!(small(records::of_server())).to_string(),
    );
    let runs = vec![small(fixtures::complete("one"))];
    put(
        "baselines/one.json",
        json!(Baseline::new("before", runs)).to_string(),
    );
    for (name, fake) in [
        ("rk3588", Fake::rk3588()),
        ("rv1126b", Fake::rv1126b()),
        ("x86", Fake::x86()),
    ] {
        for (part, files) in pieces(&fake, MOST_BYTES - 1).into_iter().enumerate() {
            put(&format!("boards/{name}-{part}"), files);
        }
    }
    for (name, text) in files {
        let path = root().join("corpus").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }
}
