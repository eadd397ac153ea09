//! Finds errors in what a server sends. They have many forms, and none of them may count as an answer.

use serde_json::Value;

/// Keys that always hold an error.
const ERRORS: [&str; 7] = [
    "error",
    "errors",
    "err",
    "error_message",
    "error_msg",
    "exception",
    "fault",
];
/// Keys of an error's message, best first.
const WORDS: [&str; 9] = [
    "message",
    "msg",
    "detail",
    "error_description",
    "description",
    "error",
    "reason",
    "text",
    "faultstring",
];
/// Values of `status` or `type` that mean an error.
const STATES: [&str; 6] = ["error", "err", "failed", "failure", "fail", "exception"];
/// Kinds of documents whose message is not an error.
const NEWS: [&str; 8] = [
    "ping",
    "pong",
    "heartbeat",
    "keepalive",
    "keep_alive",
    "info",
    "status",
    "progress",
];

/// The error in a document that may have other contents, such as a list of models.
pub(super) fn in_document(document: &Value) -> Option<String> {
    let fields = document.as_object()?;
    let said = ERRORS
        .iter()
        .find_map(|key| Some((fields.get(*key)?, words_of(fields.get(*key)?)?)));
    if let Some((error, said)) = said {
        let is_flag = error.is_boolean() || error.is_number();
        return Some(if is_flag { words(document) } else { said });
    }
    let state = |key: &str| fields.get(key).and_then(Value::as_str).is_some_and(is_error);
    let is_false = |key: &str| fields.get(key) == Some(&Value::Bool(false));
    let is_error = ["object", "type", "status", "event", "kind"]
        .into_iter()
        .any(state)
        || ["success", "ok"].into_iter().any(is_false);
    let is_detail = fields.len() == 1 && fields.contains_key("detail");
    (is_error || is_detail).then(|| words(document))
}

/// The error in an event of a stream. A message in an event without choices is an error.
pub(super) fn in_event(event: &Value) -> Option<String> {
    let choices = event.get("choices").and_then(Value::as_array);
    let choice = choices.and_then(|choices| choices.first());
    let complaint = choice.and_then(in_document).or_else(|| in_document(event));
    if complaint.is_some() || choice.is_some() {
        return complaint;
    }
    let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
    let is_news = ["type", "object", "event", "status"]
        .into_iter()
        .any(|key| NEWS.contains(&text(key).to_lowercase().replace('-', "_").as_str()));
    let is_fine = ["code", "status", "status_code"]
        .into_iter()
        .any(|key| match event.get(key) {
            Some(Value::Number(code)) => code
                .as_u64()
                .is_some_and(|code| code == 0 || (200..300).contains(&code)),
            Some(Value::String(code)) => {
                ["0", "200", "ok", "success"].contains(&code.to_lowercase().as_str())
            }
            _ => false,
        });
    if is_news || is_fine {
        return None;
    }
    ["message", "msg", "detail"].into_iter().find_map(|key| {
        event
            .get(key)
            .filter(|value| !is_an_answer(value))
            .and_then(words_of)
    })
}

/// The message of a document that arrives instead of an answer, whatever its form.
pub(super) fn of_refusal(document: &Value) -> String {
    in_event(document).unwrap_or_else(|| words(document))
}

fn words(document: &Value) -> String {
    words_of(document).unwrap_or_else(|| document.to_string())
}

/// The error in lines outside of events: `error: {…}`, a document, or text.
pub(super) fn in_text(text: &str) -> Option<String> {
    let text = text.trim();
    if let Ok(document) = serde_json::from_str::<Value>(text) {
        return in_event(&document);
    }
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    // A quoted name is a line of a document.
    if !is_error(name) || name.contains('"') {
        return None;
    }
    let value = value.trim();
    let document = serde_json::from_str::<Value>(value).ok();
    let words = document.as_ref().and_then(words_of);
    let plain = if value.is_empty() { text } else { value };
    Some(words.unwrap_or_else(|| plain.to_owned()))
}

/// Whether the name of an event or a kind means an error, such as `error`, `response.failed` or `stream_error`.
pub(super) fn is_error(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut parts = name.split(|character: char| !character.is_alphanumeric());
    parts.any(|part| STATES.contains(&part))
}

/// Whether it is the message of an answer: an object with a role or a content.
fn is_an_answer(message: &Value) -> bool {
    message.get("content").is_some() || message.get("role").is_some()
}

fn words_of(error: &Value) -> Option<String> {
    match error {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some("the server gave no details".into()),
        Value::Number(number) => (number.as_f64() != Some(0.0)).then(|| number.to_string()),
        Value::String(text) => (!text.trim().is_empty()).then(|| text.clone()),
        Value::Array(list) => {
            let all: Vec<String> = list.iter().filter_map(words_of).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        Value::Object(fields) if fields.is_empty() => None,
        Value::Object(fields) => {
            let found = WORDS.iter().find_map(|key| words_of(fields.get(*key)?));
            let words = found.unwrap_or_else(|| error.to_string());
            match field(error).filter(|field| !words.contains(field.as_str())) {
                Some(field) => Some(format!("{field}: {words}")),
                None => Some(words),
            }
        }
    }
}

/// The field of a request that an error is about: `param` of `OpenAI`'s, `loc` of `FastAPI`'s.
fn field(error: &Value) -> Option<String> {
    if let Some(param) = error.get("param").and_then(Value::as_str) {
        return Some(param.to_owned());
    }
    let place = error.get("loc")?.as_array()?;
    let parts: Vec<String> = place
        .iter()
        .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
        .collect();
    Some(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_of_many_shapes_keep_their_words() {
        for (event, expected) in [
            (json!({"error": "x"}), "x"),
            (json!({"error": {"message": "x", "code": 500}}), "x"),
            (json!({"error": {"code": 500}}), "{\"code\":500}"),
            (json!({"error": {"error": {"message": "x"}}}), "x"),
            (json!({"errors": ["x", "y"]}), "x; y"),
            (json!({"detail": "x"}), "x"),
            (
                json!({"detail": [{"loc": ["body", "n"], "msg": "x", "input": {"a": 1}}]}),
                "body.n: x",
            ),
            (json!({"message": "x", "code": 500}), "x"),
            (json!({"msg": "x", "code": "E1"}), "x"),
            (
                json!({"object": "error", "message": "x", "type": "BadRequest"}),
                "x",
            ),
            (
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}),
                "x",
            ),
            (json!({"status": "failed", "reason": "x"}), "x"),
            (json!({"success": false, "message": "x"}), "x"),
            (json!({"error_code": 3, "error_msg": "x"}), "x"),
            (
                json!({"choices": [{"delta": {}}], "error": {"message": "x"}}),
                "x",
            ),
            (
                json!({"error": true, "choices": []}),
                "the server gave no details",
            ),
            (json!({"error": true, "message": "x"}), "x"),
        ] {
            assert_eq!(in_event(&event).as_deref(), Some(expected), "{event}");
        }
    }

    #[test]
    fn what_is_no_error_is_none() {
        for event in [
            json!({"choices": [{"delta": {"content": "a"}}], "error": null, "code": 0, "message": "success"}),
            json!({"choices": [], "usage": {"completion_tokens": 3}, "error": {}}),
            json!({"message": {"role": "assistant", "content": "a"}, "done": false}),
            json!({"type": "ping", "message": "still here"}),
            json!({"code": 200, "message": "success"}),
            json!({"error": "", "detail": null}),
            json!({"object": "chat.completion.chunk"}),
            json!({}),
            json!(null),
            json!([1]),
        ] {
            assert_eq!(in_event(&event), None, "{event}");
        }
        for document in [
            json!({"loaded": false, "message": "no model is loaded"}),
            json!({"object": "list", "data": []}),
            json!({"success": true, "message": "loaded"}),
        ] {
            assert_eq!(in_document(&document), None, "{document}");
        }
    }

    #[test]
    fn lines_that_say_error() {
        for (text, expected) in [
            ("error: {\"code\":500,\"message\":\"x\"}", Some("x")),
            ("error: x", Some("x")),
            ("Error", Some("Error")),
            ("{\"error\": \"x\"}", Some("x")),
            ("Internal Server Error", Some("Internal Server Error")),
            ("\"error\": {", None),
            ("x: y", None),
            ("unknown", None),
        ] {
            assert_eq!(in_text(text).as_deref(), expected, "{text}");
        }
    }
}
