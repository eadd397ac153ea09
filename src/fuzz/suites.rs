//! Suite files.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{Taken, assert_readable, edits, hold_reader, measured};
use crate::base::foreign::Shown as _;
use crate::inference::Input;
use crate::inputs::prompts::{Check, Suite};

const WORDS: &[&str] = &[
    "tests",
    "name",
    "id",
    "prompt",
    "token_ids",
    "max_new_tokens",
    "sampling",
    "checks",
    "check",
    "ignore_eos",
    "$schema",
    "description",
    "top_k",
    "top_p",
    "temperature",
    "repeat_penalty",
    "performance_tests",
    "quality_tests",
    "words",
    "min",
    "max",
    "json",
    "schema",
    "bare",
    "python_function",
    "parameters",
    "docstring",
    "sections",
    "headings",
    "only",
    "text",
    "starts_with",
    "ends_with",
    "contains",
    "no_repetition",
    "## Goals",
    "*args",
    "#/$defs/a",
    "$ref",
    "pattern",
    "(a+)+$",
    "a/b",
    "..",
];

/// What a suite's file takes of memory: the text, its values, its structs, and compiled schemas.
const ALLOWANCE: usize = 4 << 20;
const BYTES_A_BYTE: usize = 400;

fn documents() -> Vec<Value> {
    let built_in = [
        include_str!("../../prompts/quick.json"),
        include_str!("../../prompts/performance.json"),
        include_str!("../../prompts/quality.json"),
    ];
    let mut documents: Vec<Value> = built_in
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .into();
    documents.push(json!({
        "name": "all", "description": "d", "max_new_tokens": 8, "ignore_eos": false,
        "sampling": {"top_k": 4, "top_p": 0.9, "temperature": 0.7},
        "tests": [
            {"id": "a", "name": "A", "prompt": "text", "max_new_tokens": 4, "sampling": {"repeat_penalty": 1.1}},
            {"id": "b", "token_ids": [1, 2, 3]},
            {"id": "c", "prompt": "text", "checks": [
                {"check": "words", "min": 1, "max": 9},
                {"check": "json", "bare": true, "schema": {
                    "type": "object", "required": ["n"], "$defs": {"a": {"items": {"$ref": "#"}}},
                    "properties": {"n": {"pattern": "^[a-z]+$"}, "l": {"$ref": "#/$defs/a"}}
                }},
                {"check": "python_function", "name": "f", "parameters": ["a", "*args"], "docstring": true},
                {"check": "sections", "headings": ["## Goals", "Plan"], "only": true},
                {"check": "text", "starts_with": "A", "ends_with": ".", "contains": ["b"]},
                {"check": "no_repetition"}
            ]}
        ]
    }));
    documents.push(json!({
        "performance_tests": [{"id": "a", "name": "A", "prompt": "text"}],
        "quality_tests": [{"id": "b", "name": "B", "prompt": "text"}]
    }));
    documents
}

/// The schema that editors use.
fn schema() -> Validator {
    let schema = serde_json::from_str(include_str!("../../docs/prompts.schema.json")).expect("JSON");
    jsonschema::draft202012::options()
        .offline()
        .build(&schema)
        .expect("a schema")
}

#[test]
fn a_suite_is_read_or_refused_with_its_place() {
    let (dir, schema) = (tempfile::tempdir().expect("a folder"), OnceCell::new());
    let path = dir.path().join("suite.json");
    hold_reader("suites", 1000, &edits::file(documents(), WORDS), |bytes| {
        std::fs::write(&path, &bytes).expect("written");
        match measured(bytes.len(), ALLOWANCE, BYTES_A_BYTE, || {
            Suite::from_file(&path, "quality")
        }) {
            Ok(suite) => {
                assert_sound(&suite);
                let document: Value = serde_json::from_slice(&bytes).expect("what is accepted is JSON");
                let schema = schema.get_or_init(self::schema);
                assert_eq!(
                    schema.validate(&document).map_err(|error| error.to_string()),
                    Ok(()),
                    "{document}"
                );
                assert_the_same_when_written_otherwise(&suite, &document, &path);
                Taken::Accepted
            }
            Err(error) => {
                assert_placed(&error.to_string(), &path);
                Taken::Refused
            }
        }
    });
}

fn assert_sound(suite: &Suite) {
    let ids: BTreeSet<&str> = suite.prompts.iter().map(|prompt| &*prompt.id).collect();
    assert!(!ids.is_empty() && ids.len() == suite.prompts.len());
    for prompt in &suite.prompts {
        match &prompt.input {
            Input::Text(text) => assert!(!text.trim().is_empty() && !text.contains('\0')),
            Input::Tokens(ids) => assert!(!ids.is_empty() && ids.iter().all(|id| *id >= 0)),
        }
        assert!(
            prompt
                .max_new_tokens
                .is_none_or(|limit| (2..=1_000_000).contains(&limit))
        );
        assert!(prompt.sampling.temperature.is_finite() && prompt.sampling.top_p > 0.0);
        // A record keeps them, and is read again.
        let stored = serde_json::to_string(&prompt.checks).expect("serialises");
        let again: Vec<Check> = serde_json::from_str(&stored).expect(&stored);
        assert_eq!(again, prompt.checks);
    }
}

/// Neither white space nor the order of keys means anything.
fn assert_the_same_when_written_otherwise(suite: &Suite, document: &Value, path: &Path) {
    std::fs::write(path, serde_json::to_string_pretty(document).expect("serialises")).expect("written");
    let again = Suite::from_file(path, "quality").expect("accepted before");
    let sha256 = suite.sha256.clone();
    assert_eq!(Suite { sha256, ..again }, *suite);
}

/// A refusal names the file and a place in it: a JSON pointer, the document, or line and column.
fn assert_placed(text: &str, path: &Path) {
    assert_readable(text, 2000);
    let reason = text
        .strip_prefix(&format!("{}: ", path.shown()))
        .expect("it begins with the file");
    let placed = reason.starts_with('/') || reason.starts_with("the document: ") || reason.contains("line ");
    assert!(placed, "{reason}");
}
