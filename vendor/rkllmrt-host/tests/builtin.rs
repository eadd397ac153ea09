//! The built-in models.
#![allow(clippy::expect_used, reason = "a test stops at what it did not expect")]

mod common;

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use common::{Client, SMALL, greedy, infer_param, tiny};
use rkllmrt::builtin::{self, Shape};
use sha2::{Digest, Sha256};

/// Of the files as they must come out on every machine.
const SHA256: [(&Shape, &str); 4] = [
    (
        &Shape::TINY,
        "083371644cd00ef688f8cc812edee6a8acedde78e54114dfbecc3f22cb9b1e0f",
    ),
    (
        &Shape::QWEN2_0_5B,
        "388f177c352725590537071adab1c2dfd7b0f0183e49efbc603fbf51d423eb56",
    ),
    (
        &Shape::QWEN3_0_6B,
        "11c495645c4edf27947a975c87f097c671a74f78efe7b7529596f20218596f30",
    ),
    (
        &Shape::TINYLLAMA_1_1B,
        "15627f278454c982d74825099d9df1d873edd53e09de9356184737494d96868c",
    ),
];

/// Tiny ones of the other architectures.
const TINY_QWENS: [Shape; 2] = [
    Shape {
        name: "qwen2-tiny",
        ..Shape::TINY
    },
    Shape {
        name: "qwen3-tiny",
        ..Shape::TINY
    },
];

/// In pieces: the file may be larger than memory.
fn sha256(path: &Path) -> String {
    let mut file = File::open(path).expect("the file is there");
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).expect("the file is read") {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    hasher
        .finalize()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[track_caller]
fn check_bytes(shape: &Shape, path: &Path) {
    let (_, expected) = SHA256
        .iter()
        .find(|(known, _)| *known == shape)
        .expect("a pinned digest");
    assert_eq!(
        sha256(path),
        *expected,
        "the bytes of {} are others than they were: if they are meant to be, raise builtin::REVISION (now {}), which \
         callers have in their cache's path, and pin the new digest",
        shape.name,
        builtin::REVISION
    );
}

/// How many different tokens there are among `n` that the model generates.
#[track_caller]
fn distinct_tokens(path: &Path, n: usize) -> usize {
    let mut param = greedy();
    param.max_new_tokens = i32::try_from(n).expect("not that many");
    let run = Client::load(path, &param).run_text(c"the quick brown fox", &infer_param());
    let ids = run.ids();
    assert_eq!(ids.len(), n);
    ids.iter().collect::<HashSet<_>>().len()
}

#[test]
fn tiny_is_the_same_to_the_byte_everywhere() {
    check_bytes(&Shape::TINY, tiny());
}

#[test]
fn all_have_as_many_parameters_as_published_and_come_in_that_order() {
    // The last three as the real models' own files add up, norms and biases included.
    assert_eq!(
        Shape::ALL.map(|shape| (shape.name, shape.n_parameters())),
        [
            ("tiny", 15_735_168),
            ("qwen2-0.5b", 494_032_768),
            ("qwen3-0.6b", 596_049_920),
            ("tinyllama-1.1b", 1_100_048_384),
        ]
    );
}

#[test]
fn tiny_generates_and_is_not_stuck_on_one_token() {
    let distinct = distinct_tokens(tiny(), 64);
    assert!(distinct > 16, "{distinct} different tokens out of 64");
}

#[test]
fn every_architecture_generates_and_is_not_stuck_on_one_token() {
    for shape in &TINY_QWENS {
        let distinct = distinct_tokens(&common::model(shape), 64);
        assert!(
            distinct > 16,
            "{}: {distinct} different tokens out of 64",
            shape.name
        );
    }
}

/// Writes a model of a real one's dimensions, says what that took, compares it with what it was, and generates.
#[track_caller]
fn check_real(shape: &Shape) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let path = directory.path().join("model.gguf");
    let begin = Instant::now();
    builtin::write(shape, &path).expect("written");
    eprintln!(
        "{}: {} MB in {:.1} s; the process had {} at its peak",
        shape.name,
        fs::metadata(&path).expect("a file").len() / 1_000_000,
        begin.elapsed().as_secs_f64(),
        peak_memory()
    );
    let distinct = distinct_tokens(&path, 8);
    assert!(
        distinct >= 6,
        "{}: {distinct} different tokens out of 8",
        shape.name
    );
    check_bytes(shape, &path);
}

/// As the kernel writes it. Of the writing alone only if no other test ran before in this process.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.expect("a line for the peak").trim().to_owned()
}

#[test]
fn qwen2_0_5b_is_the_same_to_the_byte_and_generates() {
    check_real(&Shape::QWEN2_0_5B);
}

#[test]
fn qwen3_0_6b_is_the_same_to_the_byte_and_generates() {
    check_real(&Shape::QWEN3_0_6B);
}

#[test]
fn tinyllama_1_1b_is_the_same_to_the_byte_and_generates() {
    check_real(&Shape::TINYLLAMA_1_1B);
}

#[test]
fn text_takes_few_tokens_with_a_large_vocabulary() {
    let path = common::model(&Shape {
        name: "large-vocabulary",
        n_vocab: Shape::QWEN2_0_5B.n_vocab,
        ..SMALL
    });
    let text = c"a tokenizer with many pieces to choose from takes the longer ones of them";
    let tokens = |path| {
        Client::load(path, &greedy())
            .run_text(text, &infer_param())
            .finish
            .prefill_tokens
    };
    let (many, few) = (tokens(&path), tokens(common::small()));
    assert!((15..=40).contains(&many), "{many} tokens for 73 characters");
    assert!(many < few, "{many} with more pieces, {few} with fewer");
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
    assert_eq!(sha256(&path), sha256(common::small()));
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
            n_head: 3,
            n_head_kv: 2,
            ..TINY_QWENS[1]
        },
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
