//! Suites as files: what is read, and what the schema and [`Suite`] refuse.

#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use rkllm_bench::inference::{CacheStart, Input, Sampling};
use rkllm_bench::prompts::{Check, Suite};
use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn schema() -> Validator {
    let path = Path::new(ROOT).join("docs/prompts.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).expect("schema")).expect("JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("a schema");
    jsonschema::draft202012::new(&schema).expect("a schema that compiles")
}

/// A file in a folder that goes with it.
struct Written {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn written(bytes: impl AsRef<[u8]>) -> Written {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("suite.json");
    std::fs::write(&path, bytes).expect("write");
    Written {
        _folder: folder,
        path,
    }
}

fn suite(bytes: impl AsRef<[u8]>) -> Result<Suite, String> {
    suite_wanted(bytes, "")
}

fn suite_wanted(bytes: impl AsRef<[u8]>, wanted: &str) -> Result<Suite, String> {
    let file = written(bytes);
    Suite::from_file(&file.path, wanted).map_err(|error| {
        let message = error.to_string();
        let origin = format!("{}: ", file.path.display());
        message
            .strip_prefix(&origin)
            .unwrap_or_else(|| panic!("{message} does not begin with {origin}"))
            .to_owned()
    })
}

/// Our shape around one test that has `id` and `prompt`, with `keys` set or, where the value is "REMOVED", removed.
fn test_with(keys: &[(&str, Value)]) -> Value {
    json!({"name": "s", "tests": [object_with(json!({"id": "a", "prompt": "Hi"}), keys)]})
}

fn suite_with(keys: &[(&str, Value)]) -> Value {
    object_with(json!({"name": "s", "tests": [{"id": "a", "prompt": "Hi"}]}), keys)
}

fn old_with(keys: &[(&str, Value)]) -> Value {
    let test = object_with(json!({"id": "a", "prompt": "Hi"}), keys);
    json!({"performance_tests": {"tests": [test]}})
}

fn object_with(mut object: Value, keys: &[(&str, Value)]) -> Value {
    let map = object.as_object_mut().expect("an object");
    for (key, value) in keys {
        if value == &json!("REMOVED") {
            map.remove(*key);
        } else {
            map.insert((*key).to_owned(), value.clone());
        }
    }
    object
}

fn started(starts: &[&str], keys: &[(&str, Value)]) -> Value {
    test_with(&[&[("cache_starts", json!(starts))], keys].concat())
}

fn ids_started(starts: &[&str], keys: &[(&str, Value)]) -> Value {
    let ids = [("prompt", json!("REMOVED")), ("token_ids", json!([1, 2, 3]))];
    started(starts, &[&ids, keys].concat())
}

fn sampling_with(key: &str, value: impl serde::Serialize) -> Value {
    test_with(&[("sampling", json!({key: value}))])
}

fn check_with(check: &Value) -> Value {
    test_with(&[("checks", json!([check]))])
}

#[rustfmt::skip] // one row, one line
fn good_checks() -> Vec<Value> {
    vec![
        json!({"check": "words", "min": 0}),
        json!({"check": "words", "max": 1_000_000.0}),
        json!({"check": "words", "min": 5, "max": 5}),
        json!({"check": "json", "schema": {}}),
        json!({"check": "json", "schema": {"$ref": "#/$defs/a", "$defs": {"a": {"pattern": "^a+$"}}}, "bare": true}),
        json!({"check": "python_function", "name": "_f1"}),
        json!({"check": "python_function", "name": "f", "parameters": [], "docstring": true}),
        json!({"check": "python_function", "name": "f", "parameters": ["a", "*b", "**c"]}),
        json!({"check": "sections", "headings": ["## Goals", "Goals", "#hash", "#######"], "only": true}),
        json!({"check": "text", "starts_with": "# "}),
        json!({"check": "text", "ends_with": "\nThe End.", "contains": [" ", "|`<b>"]}),
        json!({"check": "no_repetition"}),
    ]
}

fn good_documents() -> Vec<Value> {
    vec![
        test_with(&[("checks", json!([]))]),
        test_with(&[("checks", json!(good_checks()))]),
        suite_with(&[]),
        suite_with(&[
            ("$schema", json!("prompts.schema.json")),
            ("description", json!("words")),
            ("max_new_tokens", json!(2)),
            ("ignore_eos", json!(false)),
            ("sampling", json!({})),
        ]),
        suite_with(&[("name", json!("n".repeat(56)))]),
        test_with(&[("max_new_tokens", json!(1_000_000))]),
        test_with(&[("max_new_tokens", json!(64.0))]),
        test_with(&[("id", json!("a".repeat(64)))]),
        test_with(&[("id", json!("short text, é"))]),
        test_with(&[("prompt", json!("REMOVED")), ("token_ids", json!([0, i32::MAX]))]),
        test_with(&[("prompt", json!("two\nlines\twith\u{7f}"))]),
        sampling_with("top_k", i32::MAX),
        sampling_with("top_p", 1),
        sampling_with("frequency_penalty", -2),
        sampling_with("presence_penalty", 2.0),
        test_with(&[("cache_starts", json!(["cold"]))]),
        started(
            &["warm_prefix", "cold", "restored_cache"],
            &[("prefix", json!("H"))],
        ),
        ids_started(&["restored_cache"], &[("prefix_tokens", json!(2.0))]),
        old_with(&[]),
        old_with(&[("max_tokens", json!(null)), ("temperature", json!(null))]),
        old_with(&[("max_tokens", json!(128)), ("temperature", json!(0))]),
        old_with(&[("category", json!("x")), ("expected", json!([1]))]),
        json!({"quality_tests": {"tests": [{"id": "a", "prompt": "Hi"}], "note": 1}, "version": 2, "name": 3}),
    ]
}

/// Documents with a fault that the schema can express, each with the place [`Suite`] names and a word of its reason.
fn faulty_documents() -> Vec<(Value, &'static str, &'static str)> {
    [
        faulty_files(),
        faulty_tests(),
        faulty_sampling(),
        faulty_checks(),
        faulty_old_files(),
    ]
    .concat()
}

#[rustfmt::skip] // one row, one line
fn faulty_files() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (json!([]), "the document", "an object"),
        (json!("text"), "the document", "an object"),
        (json!({}), "the document", "`tests`"),
        (suite_with(&[("tests", json!("REMOVED"))]), "the document", "`tests`"),
        (suite_with(&[("tests", json!([]))]), "/tests", "at least one"),
        (suite_with(&[("tests", json!({}))]), "/tests", "invalid type: map"),
        (suite_with(&[("tests", json!(null))]), "/tests", "invalid type: null"),
        (suite_with(&[("tests", json!([["a", "A", "Hi"]]))]), "/tests/0", "an object"),
        (suite_with(&[("tests", json!(["Hi"]))]), "/tests/0", "an object"),
        (suite_with(&[("name", json!("REMOVED"))]), "the document", "`name`"),
        (suite_with(&[("name", json!(""))]), "/name", "empty"),
        (suite_with(&[("name", json!("a/b"))]), "/name", "'/'"),
        (suite_with(&[("name", json!(7))]), "/name", "a string"),
        (suite_with(&[("name", json!("n".repeat(57)))]), "/name", "57 bytes"),
        (suite_with(&[("description", json!(1))]), "/description", "a string"),
        (suite_with(&[("$schema", json!(1))]), "/$schema", "a string"),
        (suite_with(&[("ignore_eos", json!("no"))]), "/ignore_eos", "a boolean"),
        (suite_with(&[("max_new_tokens", json!(1))]), "/max_new_tokens", "from 2 to 1000000"),
        (suite_with(&[("sampling", json!([40]))]), "/sampling", "an object"),
        (suite_with(&[("max_new_token", json!(8))]), "/max_new_token", "`max_new_tokens`"),
        (suite_with(&[("a/b~c", json!(8))]), "/a~1b~0c", "unknown field"),
    ]
}

#[rustfmt::skip] // one row, one line
fn faulty_tests() -> Vec<(Value, &'static str, &'static str)> {
    let id = |id: &str| test_with(&[("id", json!(id))]);
    let limit = |limit: Value| test_with(&[("max_new_tokens", limit)]);
    let tokens = |tokens: Value| test_with(&[("prompt", json!("REMOVED")), ("token_ids", tokens)]);
    let mut rows = vec![
        (test_with(&[("id", json!("REMOVED"))]), "/tests/0", "no `id`"),
        (test_with(&[("id", json!(1))]), "/tests/0/id", "a string"),
        (id(""), "/tests/0/id", "empty"),
        (id(" "), "/tests/0/id", "empty"),
        (id("a "), "/tests/0/id", "space"),
        (id("."), "/tests/0/id", "folder"),
        (id(".."), "/tests/0/id", "folder"),
        (id("a\nb"), "/tests/0/id", "'\\n'"),
        (id("a\u{9b}b"), "/tests/0/id", "'\\u{9b}'"),
        (id(&"a".repeat(65)), "/tests/0/id", "65 bytes"),
        (test_with(&[("name", json!(" "))]), "/tests/0/name", "empty"),
        (test_with(&[("name", json!("a\u{1b}[2J"))]), "/tests/0/name", "control"),
        (test_with(&[("name", json!(null))]), "/tests/0/name", "null"),
        (test_with(&[("prompt", json!(""))]), "/tests/0/prompt", "empty"),
        (test_with(&[("prompt", json!(" \n\t"))]), "/tests/0/prompt", "empty"),
        (test_with(&[("prompt", json!("a\u{0}b"))]), "/tests/0/prompt", "NUL"),
        (test_with(&[("prompt", json!(["Hi"]))]), "/tests/0/prompt", "a string"),
        (test_with(&[("prompt", json!("REMOVED"))]), "/tests/0", "neither"),
        (test_with(&[("token_ids", json!([1]))]), "/tests/0", "both"),
        (tokens(json!([])), "/tests/0/token_ids", "empty"),
        (tokens(json!([1, -1])), "/tests/0/token_ids/1", "from 0 to"),
        (tokens(json!([1_u64 << 31])), "/tests/0/token_ids/0", "from 0 to"),
        (tokens(json!([1, 1.5])), "/tests/0/token_ids/1", "whole"),
        (tokens(json!([1, "2"])), "/tests/0/token_ids/1", "number"),
        (tokens(json!("1 2")), "/tests/0/token_ids", "a sequence"),
        (limit(json!(1)), "/tests/0/max_new_tokens", "from 2"),
        (limit(json!(-64)), "/tests/0/max_new_tokens", "from 2"),
        (limit(json!(1_000_001)), "/tests/0/max_new_tokens", "to 1000000"),
        (limit(json!(u64::MAX)), "/tests/0/max_new_tokens", "to 1000000"),
        (limit(json!(2.5)), "/tests/0/max_new_tokens", "whole"),
        (limit(json!("64")), "/tests/0/max_new_tokens", "number"),
        (limit(json!(null)), "/tests/0/max_new_tokens", "null"),
        (test_with(&[("max_new_token", json!(8))]), "/tests/0/max_new_token", "`max_new_tokens`"),
        (test_with(&[("max_tokens", json!(8))]), "/tests/0/max_tokens", "`max_new_tokens`"),
    ];
    rows.extend(
        "/?\"\\*<>:|^"
            .chars()
            .map(|bad| (id(&format!("a{bad}b")), "/tests/0/id", "identifier")),
    );
    rows
}

#[rustfmt::skip] // one row, one line
fn faulty_sampling() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (sampling_with("top_k", 0), "/tests/0/sampling/top_k", "from 1"),
        (sampling_with("top_k", 1.5), "/tests/0/sampling/top_k", "whole"),
        (sampling_with("top_k", 3_000_000_000_u64), "/tests/0/sampling/top_k", "from 1"),
        (sampling_with("top_p", 0), "/tests/0/sampling/top_p", "above 0"),
        (sampling_with("top_p", 1.01), "/tests/0/sampling/top_p", "at most 1"),
        (sampling_with("temperature", 0), "/tests/0/sampling/temperature", "above 0"),
        (sampling_with("temperature", "1"), "/tests/0/sampling/temperature", "number"),
        (sampling_with("repeat_penalty", -0.5), "/tests/0/sampling/repeat_penalty", "above 0"),
        (sampling_with("frequency_penalty", 2.1), "/tests/0/sampling/frequency_penalty", "-2 to 2"),
        (sampling_with("top_p", "1"), "/tests/0/sampling/top_p", "number"),
        (sampling_with("repeat_penalty", "1"), "/tests/0/sampling/repeat_penalty", "number"),
        (sampling_with("frequency_penalty", "0"), "/tests/0/sampling/frequency_penalty", "number"),
        (sampling_with("presence_penalty", [0]), "/tests/0/sampling/presence_penalty", "number"),
        (sampling_with("frequency_penalty", -2.1), "/tests/0/sampling/frequency_penalty", "-2 to 2"),
        (sampling_with("presence_penalty", 2.1), "/tests/0/sampling/presence_penalty", "-2 to 2"),
        (sampling_with("presence_penalty", -2.1), "/tests/0/sampling/presence_penalty", "-2 to 2"),
        (sampling_with("topk", 1), "/tests/0/sampling/topk", "`top_k`"),
        (suite_with(&[("sampling", json!({"temperature": -1}))]), "/sampling/temperature", "above 0"),
    ]
}

#[rustfmt::skip] // one row, one line
fn faulty_checks() -> Vec<(Value, &'static str, &'static str)> {
    let first = "/tests/0/checks/0";
    let row = |check: Value, key: &str, word| {
        (check_with(&check), format!("{first}{key}").leak() as &'static str, word)
    };
    let alike = json!([{"check": "no_repetition"}, {"check": "words", "min": 1}, {"check": "no_repetition"}]);
    let python = |key: &str, value: Value| {
        object_with(json!({"check": "python_function", "name": "f"}), &[(key, value)])
    };
    let sections = |headings: Value| json!({"check": "sections", "headings": headings});
    vec![
        (test_with(&[("checks", json!({}))]), "/tests/0/checks", "a sequence"),
        (test_with(&[("checks", json!(null))]), "/tests/0/checks", "null"),
        (test_with(&[("check", json!([]))]), "/tests/0/check", "`checks`"),
        (suite_with(&[("checks", json!([]))]), "/checks", "unknown field"),
        (test_with(&[("checks", alike)]), "/tests/0/checks/2", "/tests/0/checks/0"),
        row(json!("words"), "", "an object"),
        row(json!([]), "", "an object"),
        row(json!({}), "", "no `check`"),
        row(json!({"min": 1}), "", "python_function"),
        row(json!({"check": 1}), "/check", "not a string"),
        row(json!({"check": "word", "min": 1}), "/check", "did you mean words?"),
        row(json!({"check": "words", "minimum": 1}), "/minimum", "did you mean min?"),
        row(json!({"check": "words", "a/b~\u{1b}": 1}), "/a~1b~0\\u{1b}", "`words`"),
        row(json!({"check": "no_repetition", "min": 1}), "/min", "`no_repetition`"),
        row(json!({"check": "words"}), "", "neither `min` nor `max`"),
        row(json!({"check": "words", "min": -1}), "/min", "from 0 to 1000000"),
        row(json!({"check": "words", "min": "1"}), "/min", "number"),
        row(json!({"check": "words", "min": null}), "/min", "null"),
        row(json!({"check": "words", "max": 1.5}), "/max", "whole"),
        row(json!({"check": "words", "max": 1_000_001}), "/max", "from 0 to 1000000"),
        row(json!({"check": "json"}), "", "no `schema`"),
        row(json!({"check": "json", "schema": true}), "/schema", "not an object"),
        row(json!({"check": "json", "schema": {"type": "text"}}), "/schema/type", "draft 2020-12"),
        row(json!({"check": "json", "schema": {"items": {"minItems": -1}}}), "/schema/items/minItems", "minimum"),
        row(json!({"check": "json", "schema": {}, "bare": 1}), "/bare", "a boolean"),
        row(json!({"check": "python_function"}), "", "no `name`"),
        row(python("name", json!("")), "/name", "not a Python name"),
        row(python("name", json!("a-b")), "/name", "not a Python name"),
        row(python("name", json!("1a")), "/name", "not a Python name"),
        row(python("parameters", json!("a")), "/parameters", "a sequence"),
        row(python("parameters", json!(["a", "***b"])), "/parameters/1", "not a Python name"),
        row(python("parameters", json!(["a", "*"])), "/parameters/1", "not a Python name"),
        row(python("docstring", json!("yes")), "/docstring", "a boolean"),
        row(json!({"check": "sections"}), "/headings", "no headings"),
        row(sections(json!([])), "/headings", "no headings"),
        row(sections(json!(["a", 1])), "/headings/1", "a string"),
        row(sections(json!(["a", " "])), "/headings/1", "no text"),
        row(sections(json!(["## "])), "/headings/0", "no text"),
        row(sections(json!(["a\nb"])), "/headings/0", "control"),
        row(json!({"check": "text"}), "", "none of"),
        row(json!({"check": "text", "starts_with": ""}), "/starts_with", "empty"),
        row(json!({"check": "text", "starts_with": " a"}), "/starts_with", "white space"),
        row(json!({"check": "text", "ends_with": "a\n"}), "/ends_with", "white space"),
        row(json!({"check": "text", "contains": []}), "/contains", "empty"),
        row(json!({"check": "text", "contains": ["a", ""]}), "/contains/1", "empty"),
        row(json!({"check": "text", "contains": "a"}), "/contains", "a sequence"),
    ]
}

#[rustfmt::skip] // one row, one line
fn faulty_old_files() -> Vec<(Value, &'static str, &'static str)> {
    let both = |key: &str, value: Value| object_with(old_with(&[]), &[(key, value)]);
    let section = |key: &str, value: Value| {
        let section = object_with(json!({"tests": [{"id": "a", "prompt": "Hi"}]}), &[(key, value)]);
        json!({"quality_tests": section})
    };
    let first = "/performance_tests/tests/0";
    let at = |key: &str| format!("{first}/{key}").leak() as &'static str;
    vec![
        (json!({"performance_tests": null}), "/performance_tests", "an object"),
        (json!({"performance_tests": {}}), "/performance_tests", "`tests`"),
        (json!({"performance_tests": [1]}), "/performance_tests", "an object"),
        (json!({"performance_tests": {"tests": []}}), "/performance_tests/tests", "at least one"),
        // A fault in the part that is not wanted is one too.
        (both("quality_tests", json!({"tests": []})), "/quality_tests/tests", "at least one"),
        (both("tests", json!([{"id": "a", "prompt": "Hi"}])), "/tests", "two shapes"),
        (both("max_new_tokens", json!(8)), "/max_new_tokens", "two shapes"),
        (both("ignore_eos", json!(true)), "/ignore_eos", "two shapes"),
        (both("sampling", json!({})), "/sampling", "two shapes"),
        (section("tests", json!("Hi")), "/quality_tests/tests", "a sequence"),
        (section("tests", json!(["Hi"])), "/quality_tests/tests/0", "an object"),
        (section("max_new_tokens", json!(8)), "/quality_tests/max_new_tokens", "two shapes"),
        (section("ignore_eos", json!(true)), "/quality_tests/ignore_eos", "two shapes"),
        (section("sampling", json!({})), "/quality_tests/sampling", "two shapes"),
        (old_with(&[("token_ids", json!([1]))]), at("token_ids"), "two shapes"),
        (old_with(&[("max_new_tokens", json!(8))]), at("max_new_tokens"), "two shapes"),
        (old_with(&[("sampling", json!({}))]), at("sampling"), "two shapes"),
        (old_with(&[("checks", json!([]))]), at("checks"), "two shapes"),
        (old_with(&[("prefix", json!("H"))]), at("prefix"), "two shapes"),
        (old_with(&[("temperature", json!("1"))]), at("temperature"), "number"),
        (old_with(&[("id", json!("REMOVED"))]), first, "no `id`"),
        (old_with(&[("id", json!("a/b"))]), at("id"), "identifier"),
        (old_with(&[("prompt", json!("REMOVED"))]), first, "no `prompt`"),
        (old_with(&[("prompt", json!(" "))]), at("prompt"), "empty"),
        (old_with(&[("max_tokens", json!(1))]), at("max_tokens"), "from 2"),
        (old_with(&[("max_tokens", json!("9"))]), at("max_tokens"), "number"),
        (old_with(&[("temperature", json!(-1))]), at("temperature"), "above 0"),
        (old_with(&[("name", json!(1))]), at("name"), "a string"),
    ]
}

#[test]
fn the_built_in_files_pass_the_schema() {
    let schema = schema();
    for name in ["quick", "performance", "quality", "cache"] {
        let path = Path::new(ROOT).join(format!("prompts/{name}.json"));
        let document = serde_json::from_slice(&std::fs::read(&path).expect(name)).expect(name);
        let faults: Vec<_> = schema
            .iter_errors(&document)
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
        assert_eq!(
            Suite::from_file(&path, name).expect(name),
            Suite::find(name, Path::new("")).expect(name)
        );
    }
}

#[test]
fn schema_and_suite_take_the_same_documents() {
    let schema = schema();
    for document in good_documents() {
        let faults: Vec<_> = schema
            .iter_errors(&document)
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{document}: {faults:?}");
        suite(document.to_string()).unwrap_or_else(|reason| panic!("{document}: {reason}"));
    }
}

#[test]
fn schema_and_suite_refuse_the_same_documents() {
    let schema = schema();
    for (document, place, word) in faulty_documents() {
        assert!(!schema.is_valid(&document), "the schema takes {document}");
        let reason = suite(document.to_string()).expect_err(&document.to_string());
        assert!(reason.starts_with(&format!("{place}: ")), "{place}: {reason}");
        assert!(reason.contains(word), "{word}: {reason}");
        assert!(!reason.contains(char::is_control), "{reason:?}");
    }
}

#[test]
fn schema_and_suite_refuse_the_same_starts() {
    let schema = schema();
    let warm = |keys: &[(&str, Value)]| started(&["warm_prefix"], keys);
    let prefix = ("prefix", json!("H"));
    let tokens = |count: i32| ("prefix_tokens", json!(count));
    for (document, place, word) in [
        (started(&[], &[]), "/cache_starts", "empty"),
        (started(&["warm"], &[]), "/cache_starts/0", "warm_prefix"),
        (started(&["cold", "cold"], &[]), "/cache_starts/1", "twice"),
        (warm(&[]), "/cache_starts/0", "needs a prefix"),
        (warm(&[tokens(1)]), "/prefix_tokens", "write it as `prefix`"),
        (
            warm(&[prefix.clone(), tokens(1)]),
            "/prefix_tokens",
            "write it as `prefix`",
        ),
        (warm(&[("prefix", json!(""))]), "/prefix", "not a beginning"),
        (
            started(&["cold"], std::slice::from_ref(&prefix)),
            "",
            "no start that has one",
        ),
        (
            test_with(std::slice::from_ref(&prefix)),
            "",
            "no start that has one",
        ),
        (
            ids_started(&["restored_cache"], &[prefix]),
            "/prefix",
            "`prefix_tokens`",
        ),
        (
            ids_started(&["restored_cache"], &[tokens(0)]),
            "/prefix_tokens",
            "from 1 to 2",
        ),
    ] {
        assert!(!schema.is_valid(&document), "the schema takes {document}");
        let reason = suite(document.to_string()).expect_err(&document.to_string());
        assert!(
            reason.starts_with(&format!("/tests/0{place}: ")),
            "{place}: {reason}"
        );
        assert!(reason.contains(word), "{word}: {reason}");
    }
    // What a schema cannot express.
    let long = [("id", json!("a".repeat(60))), ("prefix", json!("H"))];
    for (document, place, word) in [
        (warm(&[("prefix", json!("h"))]), "/prefix", "not a beginning"),
        (warm(&[("prefix", json!("Hi"))]), "/prefix", "leaves something"),
        (
            ids_started(&["warm_prefix"], &[tokens(3)]),
            "/prefix_tokens",
            "from 1 to 2",
        ),
        (warm(&long), "/id", "72 bytes, of at most 64"),
    ] {
        assert!(schema.is_valid(&document), "{document}");
        let reason = suite(document.to_string()).expect_err(&document.to_string());
        assert!(
            reason.starts_with(&format!("/tests/0{place}: ")),
            "{place}: {reason}"
        );
        assert!(reason.contains(word), "{word}: {reason}");
    }
}

#[test]
fn each_start_is_a_prompt_with_an_id_of_its_own() {
    let starts = ["cold", "restored_cache", "warm_prefix"];
    let suite = suite(ids_started(&starts, &[("prefix_tokens", json!(2))]).to_string()).expect("good");
    let read: Vec<_> = suite
        .prompts
        .iter()
        .map(|prompt| (prompt.id.as_str(), prompt.name.as_str(), &prompt.cache_start))
        .collect();
    let prefix = || Input::Tokens(vec![1, 2]);
    assert_eq!(
        read,
        [
            ("a", "a", &CacheStart::Cold),
            (
                "a-restored_cache",
                "a, restored cache",
                &CacheStart::RestoredCache(prefix())
            ),
            (
                "a-warm_prefix",
                "a, warm prefix",
                &CacheStart::WarmPrefix(prefix())
            ),
        ]
    );
    assert!(
        suite
            .prompts
            .iter()
            .all(|prompt| prompt.input == Input::Tokens(vec![1, 2, 3]))
    );
}

#[test]
fn suite_refuses_what_a_schema_cannot_express() {
    let two = |first: &str, second: &str| {
        let test = |id: &str| json!({"id": id, "prompt": "x"});
        json!({"name": "s", "tests": [test(first), test("b"), test(second)]})
    };
    let old_two =
        json!({"quality_tests": {"tests": [{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}]}});
    let rows = [
        (
            two("a", "a"),
            "/tests/2/id: \"a\" is already the id at /tests/0/id",
        ),
        (
            old_two,
            "/quality_tests/tests/1/id: \"a\" is already the id at /quality_tests/tests/0/id",
        ),
        // 33 characters of two bytes.
        (test_with(&[("id", json!("é".repeat(33)))]), "/tests/0/id: \"éé"),
        (suite_with(&[("name", json!("é".repeat(29)))]), "/name: \"éé"),
        (
            check_with(&json!({"check": "words", "min": 6, "max": 5})),
            "/tests/0/checks/0/min: 6 is more than `max`, 5",
        ),
        (
            check_with(&json!({"check": "json", "schema": {"$ref": "https://example.com/schema.json"}})),
            "/tests/0/checks/0/schema",
        ),
        (
            check_with(&json!({"check": "json", "schema": {"$ref": "file:///etc/passwd"}})),
            "/tests/0/checks/0/schema",
        ),
        (
            check_with(&json!({"check": "json", "schema": {"pattern": "(?=a)"}})),
            "/tests/0/checks/0/schema/pattern",
        ),
        // Nothing in the 32 bits that the runtime takes.
        (
            sampling_with("temperature", 1e-60),
            "/tests/0/sampling/temperature: 1e-60",
        ),
        (
            sampling_with("repeat_penalty", 1e60),
            "/tests/0/sampling/repeat_penalty: 1e+60",
        ),
    ];
    let schema = schema();
    for (document, expected) in rows {
        assert!(
            schema.is_valid(&document),
            "{document} belongs in the other table"
        );
        let reason = suite(document.to_string()).expect_err(expected);
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[test]
fn text_that_is_no_json_is_placed_by_line_and_column() {
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let rows: [(&[u8], &[&str]); 15] = [
        (b"", &["line 1 column 1", "empty"]),
        (b" \n", &["line 1 column 1", "empty"]),
        (b"{\n  \"name\": s\n}", &["not JSON", "line 2 column 11"]),
        (b"{\"name\": \"s\", }", &["not JSON", "line 1 column 15"]),
        (b"{\"name\": \"s\"", &["not JSON", "line 1 column 12"]),
        (b"{'name': 's'}", &["not JSON", "line 1 column 2"]),
        (b"{} {}", &["not JSON", "line 1 column 4", "the text after it"]),
        (b"{\"name\": \"a\tb\"}", &["not JSON", "line 1 column 12"]),
        (b"{\"name\": \"\\ud800\"}", &["not JSON", "line 1"]),
        (b"{\"name\": 1e999}", &["not JSON", "line 1"]),
        (b"\xef\xbb\xbf{}", &["byte 0", "line 1", "byte order mark"]),
        (b"{\n\"name\": \"\xff\"}", &["not UTF-8 at byte 11, line 2"]),
        (b"\xff\xfe{\0}\0", &["not UTF-8 at byte 0, line 1"]),
        (nested.as_bytes(), &["recursion limit", "line 1 column 128"]),
        (b"{\"a\0\": 1}", &["not JSON", "control character"]),
    ];
    for (bytes, expected) in rows {
        let shown: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
        let reason = suite(bytes).expect_err(&shown);
        for word in expected {
            assert!(reason.contains(word), "{shown:?}: {reason}");
        }
    }
}

#[test]
fn a_key_given_twice_is_refused() {
    let rows = [
        (
            r#"{"name": "s", "name": "t", "tests": []}"#,
            "the document: the key \"name\" is given twice",
        ),
        (
            "{\"name\": \"s\", \"tests\": [{\"id\": \"a\", \"prompt\": \"x\",\n \"prompt\": \"y\"}]}",
            "/tests/0: the key \"prompt\" is given twice: remove one at line 2",
        ),
        // Also where nobody reads it: one of the two was meant to go.
        (
            r#"{"quality_tests": {"tests": [{"id": "a", "prompt": "x"}], "n": {"k": 1, "k": 2}}}"#,
            "/quality_tests/n: the key \"k\" is given twice",
        ),
    ];
    for (text, expected) in rows {
        let reason = suite(text).expect_err(text);
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[test]
fn a_fault_is_told_in_a_few_words_without_control_characters() {
    let long = "wort ".repeat(10_000);
    let rows = [
        test_with(&[("token_ids", json!(long))]),
        test_with(&[(&long, json!(1))]),
        test_with(&[("id", json!(long))]),
        suite_with(&[("\u{1b}[2J\u{9b}", json!(1))]),
        test_with(&[("max_new_tokens", json!("\u{1b}[2J"))]),
    ];
    for document in rows {
        let reason = suite(document.to_string()).expect_err("faulty");
        assert!(
            reason.len() < 900 && !reason.contains(char::is_control),
            "{reason:?}"
        );
    }
}

#[test]
fn what_is_no_readable_file_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo");
    assert!(made.success());
    let large = folder.path().join("large.json");
    let sparse = |bytes| {
        std::fs::File::create(&large)
            .and_then(|file| file.set_len(bytes))
            .expect("sparse");
    };
    sparse((16 << 20) + 1);
    let rows = [
        (folder.path(), "is a folder"),
        (Path::new("/dev/zero"), "device"),
        (&pipe, "pipe"),
        (&large, "16777217 bytes"),
        (Path::new("/nowhere/mine.json"), "no such file"),
    ];
    for (path, expected) in rows {
        let error = Suite::from_file(path, "").expect_err(expected).to_string();
        assert!(
            error.starts_with(&format!("{}: ", path.display())) && error.contains(expected),
            "{error}"
        );
    }
    sparse(16 << 20);
    let error = Suite::from_file(&large, "").expect_err("no JSON").to_string();
    assert!(error.contains("not JSON"), "{error}");
    let error = Suite::find("", folder.path()).expect_err("a folder").to_string();
    assert!(error.contains("is a folder"), "{error}");
}

#[test]
fn our_shape_is_read_whole() {
    let document = json!({
        "name": "mine",
        "max_new_tokens": 32,
        "sampling": {"top_k": 5},
        "tests": [
            {"id": "a", "prompt": "Hi"},
            {"id": "b", "name": "B", "token_ids": [1, 2], "max_new_tokens": 8, "sampling": {"temperature": 0.5}},
            {"id": "c", "prompt": "Hi", "sampling": {}},
        ]
    });
    let suite = suite(document.to_string()).expect("good");
    assert_eq!(
        (suite.name.as_str(), suite.ignore_eos, suite.sha256.len()),
        ("mine", true, 64)
    );
    let [a, b, c] = suite.prompts.as_slice() else {
        panic!("{:?}", suite.prompts)
    };
    assert_eq!((a.name.as_str(), &a.input), ("a", &Input::Text("Hi".into())));
    assert_eq!(
        (a.max_new_tokens, a.sampling),
        (
            Some(32),
            Sampling {
                top_k: 5,
                ..Sampling::GREEDY
            }
        )
    );
    assert_eq!((b.name.as_str(), &b.input), ("B", &Input::Tokens(vec![1, 2])));
    let warm = Sampling {
        top_k: 40,
        temperature: 0.5,
        ..Sampling::GREEDY
    };
    assert_eq!((b.max_new_tokens, b.sampling), (Some(8), warm));
    assert_eq!(c.sampling, Sampling::GREEDY);
    assert_eq!(suite.prompts.iter().map(|prompt| prompt.depth).max(), Some(0));
}
#[test]
fn checks_are_read_whole() {
    let names = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
    let document = test_with(&[(
        "checks",
        json!([
            {"check": "words", "min": 3.0, "max": 5},
            {"check": "json", "schema": {"type": "array"}, "bare": true},
            {"check": "python_function", "name": "f", "parameters": ["a", "*b"], "docstring": true},
            {"check": "sections", "headings": ["## A", "B"], "only": true},
            {"check": "text", "starts_with": "a", "ends_with": "b", "contains": ["c", "d"]},
            {"check": "no_repetition"},
            {"check": "json", "schema": {}},
            {"check": "python_function", "name": "g"},
            {"check": "sections", "headings": ["C"]},
        ]),
    )]);
    let expected = [
        Check::Words {
            min: Some(3),
            max: Some(5),
        },
        Check::Json {
            schema: json!({"type": "array"}),
            bare: true,
        },
        Check::PythonFunction {
            name: "f".into(),
            parameters: Some(names(&["a", "*b"])),
            docstring: true,
        },
        Check::Sections {
            headings: names(&["## A", "B"]),
            only: true,
        },
        Check::Text {
            starts_with: Some("a".into()),
            ends_with: Some("b".into()),
            contains: names(&["c", "d"]),
        },
        Check::NoRepetition {},
        Check::Json {
            schema: json!({}),
            bare: false,
        },
        Check::PythonFunction {
            name: "g".into(),
            parameters: None,
            docstring: false,
        },
        Check::Sections {
            headings: names(&["C"]),
            only: false,
        },
    ];
    assert_eq!(
        suite(document.to_string()).expect("good").prompts[0].checks,
        expected
    );
    for check in &expected {
        let stored = serde_json::to_value(check).expect("stored");
        let read: Check = serde_json::from_value(stored).expect("read");
        assert_eq!(&read, check);
    }
}

#[test] #[rustfmt::skip] // one row, one line
fn each_sampling_key_sets_its_own_field() {
    let greedy = Sampling::GREEDY;
    let rows = [
        ("top_k", 7.0, Sampling { top_k: 7, ..greedy }),
        ("top_p", 0.5, Sampling { top_k: 40, top_p: 0.5, ..greedy }),
        ("temperature", 0.25, Sampling { top_k: 40, temperature: 0.25, ..greedy }),
        ("repeat_penalty", 1.5, Sampling { repeat_penalty: 1.5, ..greedy }),
        ("frequency_penalty", -0.5, Sampling { frequency_penalty: -0.5, ..greedy }),
        ("presence_penalty", 2.0, Sampling { presence_penalty: 2.0, ..greedy }),
    ];
    for (key, value, expected) in rows {
        let suite = suite(sampling_with(key, value).to_string()).expect(key);
        assert_eq!(suite.prompts[0].sampling, expected, "{key}");
    }
    let both = test_with(&[("sampling", json!({"top_k": 3, "temperature": 2}))]);
    let suite = suite(both.to_string()).expect("both");
    assert_eq!(suite.prompts[0].sampling, Sampling { top_k: 3, temperature: 2.0, ..greedy });
}

#[test]
fn the_old_shape_is_read_as_it_is() {
    let section = |id: &str| {
        let test = json!({"id": id, "name": "N", "prompt": "Hi", "max_tokens": 99, "temperature": 0.5});
        json!({"tests": [test]})
    };
    let both =
        json!({"performance_tests": section("p"), "quality_tests": section("q"), "extra": {}}).to_string();
    for (wanted, name, id, ignore_eos) in [
        ("quality", "quality", "q", false),
        ("performance", "performance", "p", true),
        ("my.json", "performance", "p", true),
    ] {
        let suite = suite_wanted(&both, wanted).expect(wanted);
        assert_eq!(
            (suite.name.as_str(), suite.ignore_eos),
            (name, ignore_eos),
            "{wanted}"
        );
        let prompt = &suite.prompts[0];
        assert_eq!(
            (prompt.id.as_str(), prompt.max_new_tokens),
            (id, Some(99)),
            "{wanted}"
        );
        assert_eq!(
            (prompt.sampling.top_k, prompt.sampling.temperature),
            (40, 0.5),
            "{wanted}"
        );
    }
    let one = json!({"quality_tests": section("q")}).to_string();
    assert_eq!(suite_wanted(one, "performance").expect("one").name, "quality");
    let one = json!({"performance_tests": section("p")}).to_string();
    assert_eq!(suite_wanted(one, "quality").expect("one").name, "performance");
    for zero in [json!(0), json!(0.0), json!(null)] {
        let greedy = suite(old_with(&[("temperature", zero)]).to_string()).expect("greedy");
        assert_eq!(greedy.prompts[0].sampling, Sampling::GREEDY);
    }
}

#[test]
fn a_file_is_found_beside_its_base() {
    let file = written(suite_with(&[]).to_string());
    let base = file.path.parent().expect("folder");
    assert_eq!(Suite::find("suite.json", base).expect("found").name, "s");
}
