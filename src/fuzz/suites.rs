//! Suite files.

use serde_json::{Value, json};

use super::properties::suites::suite;
use super::{edits, hold_reader};

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

#[test]
fn a_suite_is_read_or_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    hold_reader("suites", 1000, &edits::file(documents(), WORDS), |bytes| {
        suite(dir.path(), &bytes)
    });
}
