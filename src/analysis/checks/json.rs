//! The check `json`: a document that is valid under its schema.

use jsonschema::Validator;
use serde_json::Value;

use super::answer::{Answer, quoted};
use super::outcome::{Finding, Judge};
use crate::base::json::{Unique, clip};
use crate::inputs::prompts::check::compiled;

/// Characters of a fault that are quoted.
const QUOTED: usize = 120;

pub(super) fn name(bare: bool) -> String {
    if bare { "JSON alone".into() } else { "JSON".into() }
}

pub(super) fn judge(schema: &Value, bare: bool) -> Judge<'static> {
    let validator = compiled(schema).map_err(|error| quoted(&clip(&error.to_string()), QUOTED));
    Box::new(move |answer| match &validator {
        Ok(validator) => document(answer, bare).and_then(|document| taken(validator, &document)),
        Err(why) => Err(format!("the schema is invalid: {why}")),
    })
}

/// The document in an answer: the whole answer or its one code block.
fn document(answer: &Answer, bare: bool) -> Result<Value, String> {
    let blocks = if bare { Vec::new() } else { answer.blocks() };
    let text = match blocks.as_slice() {
        [] => &answer.said,
        [block] => &block.code,
        more => return Err(format!("{} code blocks, one document asked", more.len())),
    };
    let parsed: Result<Unique, _> = serde_json::from_str(text);
    parsed
        .map(|Unique(document)| document)
        .map_err(|error| format!("no JSON: {}", clip(&error.to_string())))
}

fn taken(validator: &Validator, document: &Value) -> Finding {
    let mut errors = validator.iter_errors(document);
    let Some(first) = errors.next() else {
        return Ok("JSON as its schema asks".into());
    };
    let place = first.instance_path().as_str();
    let place = if place.is_empty() {
        String::new()
    } else {
        format!("at {}: ", clip(place))
    };
    // A list or an object would be quoted in full.
    let why = match first.instance().as_ref() {
        Value::Array(_) => first.masked_with("the array").to_string(),
        Value::Object(_) => first.masked_with("the object").to_string(),
        Value::String(text) if text.len() > QUOTED => first.masked_with("the string").to_string(),
        _ => first.to_string(),
    };
    let more = match errors.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Err(format!("{place}{}{more}", clip(&why)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Verdict::{Fail, Pass};
    use super::super::fixtures::{assert_judged, judged};

    const PASSED: &str = "JSON as its schema asks";

    fn check(bare: bool) -> serde_json::Value {
        let schema = json!({
            "type": "object",
            "required": ["n"],
            "additionalProperties": false,
            "properties": {"n": {"type": "integer"}, "l": {"maxItems": 2}}
        });
        json!({"check": "json", "schema": schema, "bare": bare})
    }

    #[test]
    fn the_document_is_the_one_block_or_all_of_the_answer() {
        assert_judged(
            &check(false),
            &[
                ("{\"n\": 1}", Pass, PASSED),
                ("\r\n{\r\n\"n\": 1.0\r\n}\r\n", Pass, PASSED),
                ("Here:\n```json\n{\"n\": 1}\n```\nDone.", Pass, PASSED),
                ("```\n{\"n\": 1}", Pass, PASSED),
                ("<think>{</think>{\"n\": 1}", Pass, PASSED),
                (
                    "```\n{\"n\": 1}\n```\n```\n{\"n\": 1}\n```",
                    Fail,
                    "2 code blocks, one document asked",
                ),
                (
                    "Here: {\"n\": 1}",
                    Fail,
                    "no JSON: expected value at line 1 column 1",
                ),
                ("", Fail, "no JSON: EOF while parsing a value at line 1 column 0"),
            ],
        );
        assert_judged(
            &check(true),
            &[
                ("{\"n\": 1}\n", Pass, PASSED),
                (
                    "```\n{\"n\": 1}\n```",
                    Fail,
                    "no JSON: expected value at line 1 column 1",
                ),
            ],
        );
    }

    #[test]
    fn what_the_schema_refuses_is_placed() {
        assert_judged(
            &check(false),
            &[
                ("{}", Fail, "\"n\" is a required property"),
                ("[]", Fail, "the array is not of type \"object\""),
                ("{\"n\": \"x\"}", Fail, "at /n: \"x\" is not of type \"integer\""),
                (
                    "{\"n\": [9, 9, 9]}",
                    Fail,
                    "at /n: the array is not of type \"integer\"",
                ),
                (
                    "{\"n\": 1, \"l\": [1, 2, 3]}",
                    Fail,
                    "at /l: the array has more than 2 items",
                ),
                (
                    "{\"n\": 1, \"n\": 2}",
                    Fail,
                    "no JSON: the key \"n\" is given twice: remove one at line 1 column 12",
                ),
                (
                    "{\"n\": 1",
                    Fail,
                    "no JSON: EOF while parsing an object at line 1 column 7",
                ),
            ],
        );
        let (_, reason) = judged(&check(false), "{\"n\": null, \"l\": [1, 2, 3]}");
        assert!(reason.ends_with(", and 1 more"), "{reason}");
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let check = json!({"check": "json", "schema": {"items": {"$ref": "#"}}});
        assert_eq!(judged(&check, &nested(127)), (Pass, PASSED.to_owned()));
        let (verdict, reason) = judged(&check, &nested(10_000));
        assert_eq!(verdict, Fail);
        assert!(reason.contains("recursion limit"), "{reason}");
    }
}
