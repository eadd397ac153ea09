//! Suite files.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::{Taken, assert_readable, measured};
use crate::base::foreign::Shown as _;
use crate::inference::Input;
use crate::inputs::prompts::{Check, Suite};

/// Memory for reading a suite: the text, its values, its structs, and compiled schemas.
const ALLOWANCE: usize = 4 << 20;
const BYTES_A_BYTE: usize = 400;

/// The schema that editors use.
fn schema() -> Validator {
    let schema = serde_json::from_str(include_str!("../../../docs/prompts.schema.json")).expect("JSON");
    jsonschema::draft202012::options()
        .offline()
        .build(&schema)
        .expect("a schema")
}

/// A suite is read, or refused with the place of the fault. The file is written to `dir`.
pub(in crate::fuzz) fn suite(dir: &Path, bytes: &[u8]) -> Taken {
    static SCHEMA: LazyLock<Validator> = LazyLock::new(schema);
    let path = dir.join("suite.json");
    std::fs::write(&path, bytes).expect("written");
    match measured(bytes.len(), ALLOWANCE, BYTES_A_BYTE, || {
        Suite::from_file(&path, "quality")
    }) {
        Ok(suite) => {
            assert_sound(&suite);
            let document: Value = serde_json::from_slice(bytes).expect("what is accepted is JSON");
            assert_eq!(
                SCHEMA.validate(&document).map_err(|error| error.to_string()),
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
        // A record stores them and reads them back.
        let stored = serde_json::to_string(&prompt.checks).expect("serialises");
        let again: Vec<Check> = serde_json::from_str(&stored).expect(&stored);
        assert_eq!(again, prompt.checks);
    }
}

/// White space and the order of keys have no meaning.
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
