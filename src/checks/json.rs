//! The check `json`: a document that its schema takes.

use jsonschema::Validator;
use serde_json::Value;

use super::answer::{Answer, quoted};
use super::{Finding, Judge};
use crate::json::{Unique, clip};
use crate::prompts::check::compiled;

/// Characters of a fault that are quoted.
const QUOTED: usize = 120;

pub(super) fn name(bare: bool) -> String {
    if bare { "JSON alone".into() } else { "JSON".into() }
}

pub(super) fn judge(schema: &Value, bare: bool) -> Judge<'static> {
    let validator = compiled(schema).map_err(|error| quoted(&clip(&error.to_string()), QUOTED));
    Box::new(move |answer| match &validator {
        Ok(validator) => document(answer, bare).and_then(|document| taken(validator, &document)),
        Err(why) => Err(format!("the schema is none: {why}")),
    })
}

/// The document in an answer: all of it, or its one code block.
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
    // A list or an object would be quoted whole.
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
