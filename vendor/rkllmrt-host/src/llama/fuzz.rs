//! Heads of GGUF files: what is read of them before llama.cpp loads the model.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::{env, fs};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::bare::Hole;
use super::metadata::{Metadata, check, check_adapter};
use crate::fuzz::hold;
use crate::identity;

/// Has this test run its cases: in a process of its own, since ggml aborts where it fails, and the memory of all others would count.
const ALONE: &str = "RKLLMRT_HOST_FUZZ_HEADS";
/// Memory that reading may add to the process, kB. The files have a few; claims in them go up to 2^64.
const MOST_KB: u64 = 32 * 1024;

const GGUF_STRING: u32 = 8;
const GGUF_ARRAY: u32 = 9;

#[derive(Debug, Clone)]
enum Value {
    /// A type with some bytes, which may be as many as it has.
    Raw(u32, Vec<u8>),
    Count(u32),
    Real(f32),
    Text(String),
    /// Type of the items, how many it says there are, and their bytes.
    List(u32, u64, Vec<u8>),
}

#[derive(Debug, Clone)]
struct Tensor {
    name: String,
    extents: Vec<u64>,
    kind: u32,
    /// Beyond where it belongs.
    off_by: u64,
}

/// Numbers at the edges of what fits.
fn number() -> impl Strategy<Value = u64> {
    let edges = vec![
        0,
        1,
        2,
        32,
        255,
        512,
        513,
        1 << 31,
        u64::from(u32::MAX),
        1 << 32,
        1 << 62,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX,
    ];
    prop_oneof![3 => 1..64_u64, 2 => select(edges), 1 => any::<u64>()]
}

fn text() -> impl Strategy<Value = String> {
    let known = vec![
        "general.architecture",
        "llama",
        "llama.block_count",
        "general.alignment",
        "general.type",
        "adapter",
        "adapter.type",
        "lora",
        "adapter.lora.alpha",
        "general.name",
        "token_embd.weight",
        "output.weight",
        "",
    ];
    prop_oneof![6 => select(known).prop_map(str::to_owned), 1 => any::<String>(), 1 => "x{0,2000}"]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => number().prop_map(|number| Value::Count(u32::try_from(number).unwrap_or(u32::MAX))),
        2 => any::<f32>().prop_map(Value::Real),
        4 => text().prop_map(Value::Text),
        1 => (0..14_u32, vec(any::<u8>(), 0..9)).prop_map(|(kind, bytes)| Value::Raw(kind, bytes)),
        1 => (0..14_u32, number(), vec(any::<u8>(), 0..99)).prop_map(|(kind, count, bytes)| Value::List(kind, count, bytes)),
    ]
}

fn tensor() -> impl Strategy<Value = Tensor> {
    let kind = prop_oneof![3 => select(vec![0_u32, 1, 8, 30]), 1 => 0..50_u32, 1 => any::<u32>()];
    let off_by = prop_oneof![9 => Just(0), 1 => number()];
    let extents = prop_oneof![3 => vec(1..5_u64, 1..3), 1 => vec(number(), 0..6)];
    (text(), extents, kind, off_by).prop_map(|(name, extents, kind, off_by)| Tensor {
        name,
        extents,
        kind,
        off_by,
    })
}

/// What an adapter has to say, and a model.
fn usual() -> Vec<(String, Value)> {
    let text = |key: &str, value: &str| (key.to_owned(), Value::Text(value.to_owned()));
    vec![
        text("general.architecture", "llama"),
        text("general.type", "adapter"),
        text("adapter.type", "lora"),
        ("adapter.lora.alpha".to_owned(), Value::Real(1.0)),
    ]
}

/// The bytes of a file: a head, sound or not, then nothing or zeroes, and a few of its numbers overwritten.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let values = (any::<bool>(), vec((text(), value()), 0..5)).prop_map(|(is_usual, more)| {
        let usual = if is_usual { usual() } else { Vec::new() };
        [usual, more].concat()
    });
    let counts = proptest::option::weighted(0.1, (number(), number()));
    let edits = vec((any::<Index>(), number()), 0..3);
    let edits = prop_oneof![3 => Just(Vec::new()), 1 => edits];
    let heads = (values, vec(tensor(), 0..4), counts, edits, 0..500_usize).prop_map(
        |(values, tensors, counts, edits, zeroes)| {
            let mut bytes = head(&values, &tensors, counts);
            bytes.resize(bytes.len() + zeroes, 0);
            for (at, number) in edits {
                let at = at.index(bytes.len() - 7);
                bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            bytes
        },
    );
    prop_oneof![19 => heads, 1 => vec(any::<u8>(), 0..100)]
}

fn head(values: &[(String, Value)], tensors: &[Tensor], counts: Option<(u64, u64)>) -> Vec<u8> {
    let (n_tensors, n_values) = counts.unwrap_or((tensors.len() as u64, values.len() as u64));
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(n_tensors.to_le_bytes());
    bytes.extend(n_values.to_le_bytes());
    for (key, value) in values {
        put_text(&mut bytes, key);
        value.put(&mut bytes);
    }
    let mut offset: u64 = 0;
    for tensor in tensors {
        put_text(&mut bytes, &tensor.name);
        bytes.extend(u32::try_from(tensor.extents.len()).expect("a few").to_le_bytes());
        for extent in &tensor.extents {
            bytes.extend(extent.to_le_bytes());
        }
        bytes.extend(tensor.kind.to_le_bytes());
        bytes.extend(offset.wrapping_add(tensor.off_by).to_le_bytes());
        // As far as it is of 32-bit floats, and small.
        let length = tensor
            .extents
            .iter()
            .fold(4_u64, |length, extent| length.saturating_mul(*extent));
        offset = offset.saturating_add(length.checked_next_multiple_of(32).unwrap_or(u64::MAX));
    }
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.bytes());
}

impl Value {
    fn put(&self, bytes: &mut Vec<u8>) {
        let mut kind = |kind: u32| bytes.extend(kind.to_le_bytes());
        match self {
            Self::Raw(of, raw) => {
                kind(*of);
                bytes.extend(raw);
            }
            Self::Count(count) => {
                kind(4);
                bytes.extend(count.to_le_bytes());
            }
            Self::Real(real) => {
                kind(6);
                bytes.extend(real.to_le_bytes());
            }
            Self::Text(text) => {
                kind(GGUF_STRING);
                put_text(bytes, text);
            }
            Self::List(of, count, items) => {
                kind(GGUF_ARRAY);
                kind(*of);
                bytes.extend(count.to_le_bytes());
                bytes.extend(items);
            }
        }
    }
}

#[test]
fn any_head_is_read_or_refused() {
    if env::var_os(ALONE).is_some() {
        return heads();
    }
    let output = Command::new(env::current_exe().expect("known"))
        .args([
            "--exact",
            "llama::fuzz::any_head_is_read_or_refused",
            "--nocapture",
        ])
        .env(ALONE, "1")
        .output()
        .expect("started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    eprint!("{text}");
}

#[test]
fn a_matrix_that_no_model_has_is_refused() {
    for extents in [[i64::MAX / 2, 2], [0, 8], [1, i64::MAX]] {
        let text = Hole::new(extents).err().expect("refused").to_string();
        assert!(text.contains("which no model has"), "{text}");
    }
}

fn heads() {
    super::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let before = peak_kb();
    hold("GGUF heads", 2000, &file(), |bytes| {
        fs::write(&path, &bytes).expect("written");
        assert_eq!(identity::of_file(&path).ok(), identity::of_file(&path).ok());
        let outcomes = [check(&name).map(|_| ()), check_adapter(&name)];
        for text in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(!text.trim().is_empty());
        }
        let Ok(metadata) = Metadata::read(&name) else {
            assert!(outcomes.iter().all(Result::is_err));
            return false;
        };
        for tensor in 0..metadata.n_tensors() {
            let extents = metadata.extents(tensor);
            assert!(extents.iter().all(|extent| *extent >= 0));
            // A hole as large as that, or a refusal; no memory and no disk in either case.
            let _ = Hole::new(extents);
        }
        outcomes[0].is_ok()
    });
    let grown = peak_kb() - before;
    assert!(grown < MOST_KB, "reading took {grown} kB of memory");
}

/// Most memory that the process had at once, kB.
fn peak_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("read");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
