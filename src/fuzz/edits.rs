//! Edits of valid documents: of their bytes, and of the values in a JSON document.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// One edit of bytes.
#[derive(Debug, Clone)]
pub(super) enum ByteEdit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Repeats a piece right after itself.
    Repeat(Index, usize, usize),
    Cut(Index),
}

/// An edit that inserts random bytes or one of `words`.
pub(super) fn byte_edit(words: &'static [&'static str]) -> impl Strategy<Value = ByteEdit> {
    let word = select(words).prop_map(|word| word.as_bytes().to_vec());
    let inserted = prop_oneof![word, vec(any::<u8>(), 1..4)];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| ByteEdit::Set(at, byte)),
        (any::<Index>(), inserted).prop_map(|(at, bytes)| ByteEdit::Insert(at, bytes)),
        (any::<Index>(), 1..64_usize).prop_map(|(at, length)| ByteEdit::Remove(at, length)),
        (any::<Index>(), 1..64_usize, 1..50_usize)
            .prop_map(|(at, length, times)| ByteEdit::Repeat(at, length, times)),
        any::<Index>().prop_map(ByteEdit::Cut),
    ]
}

impl ByteEdit {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        let end = bytes.len();
        let place = |at: &Index| at.index(end + 1);
        let range = |at: &Index, length: usize| place(at)..(place(at) + length).min(end);
        match self {
            Self::Set(at, byte) => {
                let place = place(at);
                if let Some(old) = bytes.get_mut(place) {
                    *old = *byte;
                }
            }
            Self::Insert(at, inserted) => {
                let place = place(at);
                bytes.splice(place..place, inserted.iter().copied());
            }
            Self::Remove(at, length) => {
                bytes.drain(range(at, *length));
            }
            Self::Repeat(at, length, times) => {
                let piece = range(at, *length);
                let more = bytes[piece.clone()].repeat(*times);
                bytes.splice(piece.end..piece.end, more);
            }
            Self::Cut(at) => bytes.truncate(place(at)),
        }
    }
}

/// One edit of a JSON document, at the value with that index.
#[derive(Debug, Clone)]
enum Edit {
    Replace(Value),
    /// Replaces it with a copy of another value of the document.
    Copy(Index),
    /// Adds a key with this name to its object, or an item to its list.
    Add(String, Value),
    Remove,
    Rename(String),
    /// Repeats the items of a list.
    Double,
}

/// A file: one of `documents` with edited values and sometimes edited bytes, or no JSON at all. `words` are inserted as
/// values and as keys.
pub(super) fn file(documents: Vec<Value>, words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![4 => Just(Vec::new()), 1 => vec(byte_edit(words), 1..3)];
    let edited = (values(documents, words), bytes).prop_map(|(document, bytes)| {
        let mut text = document.to_string().into_bytes();
        for edit in bytes {
            edit.apply(&mut text);
        }
        text
    });
    prop_oneof![19 => edited, 1 => vec(any::<u8>(), 0..200)]
}

/// One of `documents` with edited values.
pub(super) fn values(documents: Vec<Value>, words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let edits = vec((any::<Index>(), edit(words)), 0..4);
    (select(documents), edits).prop_map(|(mut document, edits)| {
        for (at, edit) in edits {
            edit.apply(&mut document, at);
        }
        document
    })
}

fn edit(words: &'static [&'static str]) -> impl Strategy<Value = Edit> {
    let word = || select(words).prop_map(str::to_owned);
    prop_oneof![
        4 => value(words).prop_map(Edit::Replace),
        1 => any::<Index>().prop_map(Edit::Copy),
        1 => (word(), value(words)).prop_map(|(key, value)| Edit::Add(key, value)),
        1 => Just(Edit::Remove),
        1 => word().prop_map(Edit::Rename),
        1 => Just(Edit::Double),
    ]
}

/// Values at the limits of what a reader may expect.
fn value(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let edges = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(64.0),
        json!(0.5),
        json!(-0.0),
        json!(1e308),
        json!(1e-320),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1_u64 << 53),
        json!(""),
        json!(" "),
        json!("NaN"),
        json!("-inf"),
        json!("\u{1b}[2J\u{7}"),
        json!("a\u{0}b"),
        json!("\u{202e}\u{feff}ä模"),
        json!("x".repeat(5000)),
        json!([]),
        json!({}),
        json!({"a": {"b": [1, "c"]}}),
        nested(100),
        nested(200),
    ];
    prop_oneof![
        select(edges),
        select(words).prop_map(|word| json!(word)),
        any::<i32>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(|text| json!(text)),
    ]
}

impl Edit {
    fn apply(&self, document: &mut Value, at: Index) {
        let places = pointers(document);
        let pointer = at.get(&places);
        let replacement = match self {
            Self::Replace(value) => Some(value.clone()),
            Self::Copy(other) => document.pointer(other.get::<String>(&places)).cloned(),
            _ => None,
        };
        if let Some(value) = replacement {
            *at_pointer(document, pointer) = value;
            return;
        }
        let (outer, key) = pointer.rsplit_once('/').unwrap_or(("", ""));
        match (self, at_pointer(document, outer)) {
            (Self::Add(key, value), Value::Object(object)) => {
                object.insert(key.clone(), value.clone());
            }
            (Self::Add(_, value), Value::Array(list)) => list.push(value.clone()),
            (Self::Remove, Value::Object(object)) => {
                object.remove(&unescaped(key));
            }
            (Self::Remove, Value::Array(list)) => {
                let index: usize = key.parse().unwrap_or_default();
                if index < list.len() {
                    list.remove(index);
                }
            }
            (Self::Rename(to), Value::Object(object)) => renamed(object, &unescaped(key), to),
            (Self::Double, Value::Array(list)) => list.extend_from_within(..),
            _ => {}
        }
    }
}

fn renamed(object: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = object.remove(from) {
        object.insert(to.to_owned(), value);
    }
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn at_pointer<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    document
        .pointer_mut(pointer)
        .expect("a pointer into the document")
}

/// The JSON pointers of all values in a document, its own first.
fn pointers(document: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut next = 0;
    while let Some(pointer) = found.get(next).cloned() {
        match document.pointer(&pointer) {
            Some(Value::Object(object)) => found.extend(object.keys().map(|key| {
                let key = key.replace('~', "~0").replace('/', "~1");
                format!("{pointer}/{key}")
            })),
            Some(Value::Array(list)) => {
                found.extend((0..list.len()).map(|index| format!("{pointer}/{index}")));
            }
            _ => {}
        }
        next += 1;
    }
    found
}
