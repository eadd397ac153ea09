use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, parse_document};
use serde_json::Value;

use super::*;
use crate::record::ledger::Mark;
use crate::record::{Git, fixtures};

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn labelled() -> RunRecord {
    let mut run = fixtures::run("one", &[(20_000_000, 1_000_000), (40_000_000, 2_000_000)]);
    run.label = Some("before | after <b>".into());
    run.git = Some(Git {
        revision: HASH.into(),
        clean: false,
    });
    run.models[0].name = "a|b`c\n<img src=x>".into();
    run.models[0].path = "Qwen3-0.6B-rk3588-w8a8-npu3.rkllm".into();
    run.models[0].bytes = 900 << 20;
    run
}

/// A run of which nothing is known: the model was not loaded.
fn bare() -> RunRecord {
    let mut run = fixtures::run("two", &[]);
    run.models[0].loaded = None;
    run.models[0].load_failure = Some(crate::inference::Failure::refused("=no such file"));
    run.models[0].prompts.truncate(1);
    run.models[0].prompts[0].prompt_tokens = None;
    run
}

/// The cells of each table's rows as a browser would show them, header first.
fn cells(markdown: &str) -> Vec<Vec<String>> {
    let mut options = Options::default();
    options.extension.table = true;
    let arena = Arena::new();
    let root = parse_document(&arena, markdown, &options);
    let is_row = |node: &&'_ AstNode<'_>| matches!(node.data.borrow().value, NodeValue::TableRow(_));
    root.descendants()
        .filter(is_row)
        .map(|row| row.children().map(text_of).collect())
        .collect()
}

fn text_of<'a>(cell: &'a AstNode<'a>) -> String {
    let parts = cell.descendants().map(|part| match &part.data.borrow().value {
        NodeValue::Text(words) => words.to_string(),
        NodeValue::Code(code) => code.literal.clone(),
        NodeValue::HtmlInline(tag) if ["<code>", "</code>"].contains(&tag.as_str()) => String::new(),
        NodeValue::TableCell => String::new(),
        other => panic!("{other:?}"),
    });
    parts.collect()
}

#[test]
fn a_markdown_row_has_the_figures_and_nothing_in_it_is_markup() {
    let mut run = labelled();
    run.models[0].prompts[0].samples[1].marks = vec![Mark::Throttled, Mark::NoStats];
    let markdown = Format::Md.render(&[run, bare()]).expect("a document");
    let rows = cells(&markdown);
    let cell = |row: usize, name: &str| {
        let column = rows[0].iter().position(|head| head == name).expect("a column");
        rows[row][column].as_str()
    };
    assert_eq!(rows.len(), 3, "{markdown}");
    assert!(rows.iter().all(|row| row.len() == 15), "{markdown}");
    assert_eq!(cell(1, "model"), "a|b`c <img src=x>, random weights");
    assert_eq!((cell(1, "size"), cell(1, "quant")), ("900.00 MiB", "w8a8"));
    assert_eq!((cell(1, "threads"), cell(1, "NPU cores")), ("1", "3"));
    assert_eq!(cell(1, "test"), "quick, 4 samples, 1 disturbed");
    // 100 tokens in 20 and 40 ms; a token in 1 and 2 ms. Medians of two values are their means.
    assert_eq!(cell(1, "tokens in/out"), "100 / 10");
    assert_eq!(
        (
            cell(1, "prefill tok/s"),
            cell(1, "decode tok/s"),
            cell(1, "TTFT ms")
        ),
        ("3750", "750.0", "30.00")
    );
    assert_eq!(cell(1, "memory MB"), "100.0");
    assert_eq!(
        cell(1, "run"),
        "2026-01-01, before | after <b>, 01234567 with changes"
    );
    for unknown in [
        "size",
        "quant",
        "runtime",
        "driver",
        "prefill tok/s",
        "decode tok/s",
        "TTFT ms",
        "memory MB",
    ] {
        assert_eq!(cell(2, unknown), "-", "{unknown}: {markdown}");
    }
    assert_eq!(cell(2, "test"), "quick, 0 samples, 1 prompt incomplete");
    assert_eq!(cell(2, "tokens in/out"), "- / -");
    assert_eq!(markdown.lines().count(), 4);
}

#[test]
fn a_sweep_has_a_row_for_each_size() {
    let mut run = labelled();
    run.suite.sweep = true;
    run.suite.name = "table".into();
    let rows = cells(&Format::Md.render(&[run]).expect("a document"));
    let tests: Vec<&str> = rows.iter().skip(1).map(|row| row[8].as_str()).collect();
    assert_eq!(tests, ["table/a, 2 samples", "table/b, 2 samples"]);
}

#[test]
fn csv_has_a_row_for_each_prompt() {
    let text = Format::Csv.render(&[labelled(), bare()]).expect("a document");
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 3);
    let cell = |row: usize, name: &str| {
        let column = header.iter().position(|head| head == name).expect("a column");
        rows[row][column].to_owned()
    };
    assert_eq!((cell(0, "prompt"), cell(1, "prompt")), ("a".into(), "b".into()));
    assert_eq!(cell(0, "label"), "before | after <b>");
    assert_eq!(
        (cell(0, "git_revision"), cell(0, "git_clean")),
        (HASH.into(), "false".into())
    );
    assert_eq!(cell(0, "model"), "a|b`c\n<img src=x>");
    assert_eq!(
        (cell(0, "ttft_ms"), cell(0, "prefill_tok_per_s")),
        ("30".into(), "3750".into())
    );
    assert_eq!(
        (cell(0, "new_tokens_min"), cell(0, "new_tokens_max")),
        ("10".into(), "10".into())
    );
    for unknown in [
        "label",
        "git_revision",
        "git_clean",
        "model_bytes",
        "runtime",
        "prompt_tokens",
        "ttft_ms",
    ] {
        assert_eq!(cell(2, unknown), "", "{unknown}");
    }
    assert_eq!(
        (cell(2, "samples"), cell(2, "load_failure")),
        ("0".into(), "'=no such file".into())
    );
}

#[test]
fn json_is_as_its_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/result.schema.json")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let mut elsewhere = labelled();
    elsewhere.parameters.server = Some(crate::record::ServerParameters {
        url: "http://board:8080".into(),
        api: crate::inference::Api::Chat,
        manages_models: true,
        concurrency: Some(2),
    });
    for runs in [vec![], vec![labelled()], vec![bare(), elsewhere]] {
        let text = Format::Json.render(&runs).expect("a document");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let faults: Vec<String> = schema
            .iter_errors(&document)
            .map(|fault| fault.to_string())
            .collect();
        assert_eq!(faults, Vec::<String>::new(), "{text}");
    }
    let text = Format::Json.render(&[labelled(), bare()]).expect("a document");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["kind"], "rkllm-bench result");
    let run = &document["runs"][0];
    assert_eq!(run["git"], serde_json::json!({"revision": HASH, "clean": false}));
    assert_eq!(run["machine"]["fitness"], "cannot_tell", "nobody looked");
    assert_eq!(run["models"][0]["prompts"][1]["figures"]["ttft_ms"], 30.0);
    assert_eq!(run["models"][0]["summary"]["ttft_ms"]["maximum"], 40.0);
    let unknown = &document["runs"][1];
    assert_eq!((&unknown["label"], &unknown["git"]), (&Value::Null, &Value::Null));
    assert_eq!(unknown["models"][0]["summary"]["ttft_ms"], Value::Null);
}

#[test]
fn the_text_is_no_document() {
    assert_eq!(Format::Text.render(&[labelled()]), None);
}
