//! The built-in models.

mod common;

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::thread;

use common::{Client, SMALL, greedy, infer_param, tiny};
use rkllmrt::builtin::{self, Shape};
use sha2::{Digest, Sha256};

/// Of the file as it must come out on every machine.
const TINY_SHA256: &str = "083371644cd00ef688f8cc812edee6a8acedde78e54114dfbecc3f22cb9b1e0f";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[test]
fn tiny_is_the_same_to_the_byte_everywhere() {
    assert_eq!(
        sha256(&fs::read(tiny()).expect("the model is there")),
        TINY_SHA256
    );
}

#[test]
fn tiny_has_about_fifteen_million_parameters() {
    assert_eq!(Shape::TINY.n_parameters(), 15_735_168);
}

#[test]
fn tiny_generates_and_is_not_stuck_on_one_token() {
    let mut param = greedy();
    param.max_new_tokens = 64;
    let client = Client::load(tiny(), &param);
    let run = client.run_text(c"the quick brown fox", &infer_param());
    let mut ids = run.ids();
    assert_eq!(ids.len(), 64);
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() > 16, "{} different tokens out of 64", ids.len());
}

#[test]
fn writers_at_the_same_time_leave_one_whole_file_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("made/for/it/small.gguf");
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| builtin::write(&SMALL, &path)))
            .collect();
        for writer in writers {
            writer.join().expect("no panic").expect("written");
        }
    });
    let names: Vec<_> = fs::read_dir(path.parent().expect("a parent"))
        .expect("the directory was made")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["small.gguf"]);
    assert_eq!(
        sha256(&fs::read(&path).expect("read")),
        sha256(&fs::read(common::small()).expect("read"))
    );
}

#[test]
fn whoever_reads_a_file_that_is_written_again_keeps_a_whole_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("small.gguf");
    builtin::write(&SMALL, &path).expect("written");
    let reader = File::open(&path).expect("opened");
    builtin::write(&SMALL, &path).expect("written");
    let inode = |metadata: io::Result<Metadata>| metadata.expect("a file").ino();
    assert_ne!(
        inode(reader.metadata()),
        inode(path.metadata()),
        "another file under the same name"
    );
}

#[test]
fn impossible_shapes_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("never.gguf");
    for shape in [
        Shape { n_embd: 40, ..SMALL },
        Shape { n_ff: 100, ..SMALL },
        Shape { n_head: 3, ..SMALL },
        Shape {
            n_head_kv: 0,
            ..SMALL
        },
        Shape { n_layer: 0, ..SMALL },
        Shape {
            n_vocab: 258,
            ..SMALL
        },
        Shape {
            n_vocab: 1_000_000,
            ..SMALL
        },
        Shape {
            name: "a\0b",
            ..SMALL
        },
    ] {
        let error = builtin::write(&shape, &path).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{shape:?}: {error}");
    }
    assert!(!path.exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, "").expect("written");
    assert!(builtin::write(&SMALL, &file.join("small.gguf")).is_err());
}
