//! The documents of an answer's stream.
//!
//! The forms are those of `OpenAI`'s API (platform.openai.com/docs/api-reference, chat and completions, streaming),
//! with the fields that RKLLM servers put into `usage`, llama-server's `timings`, and the names that other servers
//! use. A field of an unexpected type counts as absent, so that a mistake of a server does not end a run.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::complaint;
use crate::inference::{RuntimeStats, Usage};

/// Fields with the thoughts of a thinking model. A server that sends two of them sends the same text twice.
const THOUGHTS: [&str; 9] = [
    "reasoning_content",
    "reasoning",
    "thinking",
    "thinking_content",
    "reasoning_text",
    "thought",
    "thoughts",
    "thinking_delta",
    "reasoning_details",
];
/// Fields with the answer's text.
const SAID: [&str; 5] = ["content", "text", "output_text", "response", "refusal"];
/// Fields of a chunk whose text is not part of the answer.
const SILENT: [&str; 33] = [
    "annotations",
    "block_reason",
    "citations",
    "content_filter_offsets",
    "content_filter_result",
    "content_filter_results",
    "created",
    "created_at",
    "delta",
    "encrypted_content",
    "error",
    "event",
    "finish_reason",
    "finish_details",
    "id",
    "index",
    "logprobs",
    "matched_stop",
    "message",
    "model",
    "name",
    "native_finish_reason",
    "object",
    "prompt_logprobs",
    "prompt_token_ids",
    "provider",
    "role",
    "signature",
    "status",
    "stop_reason",
    "token_ids",
    "type",
    "usage",
];

/// One document of a stream.
pub(super) struct Chunk(Value);

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Said(String),
    Thought(String),
}

impl Chunk {
    /// Absent for an empty document, which some servers send to keep a connection open.
    pub(super) fn parse(data: &str) -> serde_json::Result<Option<Self>> {
        let document: Value = serde_json::from_str(data)?;
        match &document {
            Value::Object(fields) if !fields.is_empty() => Ok(Some(Self(document))),
            Value::Object(_) | Value::Null => Ok(None),
            Value::String(text) if text.trim().is_empty() => Ok(None),
            Value::Array(list) if list.is_empty() => Ok(None),
            _ => Err(serde::de::Error::custom("it is no object")),
        }
    }

    /// The only answer of a stream.
    fn choice(&self) -> Option<&Value> {
        self.0
            .get("choices")?
            .as_array()?
            .first()
            .filter(|choice| choice.is_object())
    }

    /// The objects that may hold text: the delta of the choice, the choice, or, for other forms, the document.
    fn holders(&self) -> Vec<&Value> {
        let outer = self
            .choice()
            .or_else(|| self.0.get("choices").is_none().then_some(&self.0));
        let inner = outer.and_then(|outer| {
            let of = |key| outer.get(key).filter(|inner: &&Value| !inner.is_null());
            of("delta").or_else(|| of("message")).or_else(|| of("token"))
        });
        inner.into_iter().chain(outer).collect()
    }

    /// Its text, thoughts first. Absent in a chunk with only a role or an end.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        self.holders()
            .into_iter()
            .map(pieces_in)
            .find(|pieces| !pieces.is_empty())
            .unwrap_or_default()
    }

    /// Unknown fields that are not empty.
    pub(super) fn unread(&self) -> Vec<String> {
        let is_known =
            |name: &str| SILENT.contains(&name) || THOUGHTS.contains(&name) || SAID.contains(&name);
        let is_own = self.choice().is_none();
        let holders = self
            .holders()
            .into_iter()
            .filter(|holder| !is_own || !std::ptr::eq(*holder, &raw const self.0));
        let fields = holders.filter_map(Value::as_object).flatten();
        fields
            .filter(|(name, value)| !is_known(name) && has_text(value))
            .map(|(name, _)| crate::base::json::clip(name))
            .collect()
    }

    /// Whether it has the form of an answer's first chunk, which names a role.
    pub(super) fn has_role(&self) -> bool {
        self.holders()
            .iter()
            .any(|holder| holder.get("role").is_some_and(Value::is_string))
    }

    /// The server's finish reason, unless it is empty.
    pub(super) fn finish_reason(&self) -> Option<String> {
        let reason = match self.choice() {
            Some(choice) => choice.get("finish_reason"),
            None => self.0.get("done_reason").or_else(|| self.0.get("finish_reason")),
        }?;
        // SGLang's own API has an object with a type.
        let word = reason.get("type").unwrap_or(reason).as_str()?;
        (!word.trim().is_empty()).then(|| word.to_owned())
    }

    /// The model that it names.
    pub(super) fn model(&self) -> Option<String> {
        self.0
            .get("model")?
            .as_str()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    }

    /// The server's token counts, if this document has them.
    pub(super) fn usage(&self) -> Option<Usage> {
        let usage = self.wire_usage().or_else(|| self.of_ollama())?;
        Some(Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_tokens: usage
                .prompt_tokens_details
                .as_ref()
                .and_then(|details| details.cached_tokens),
        })
    }

    fn wire_usage(&self) -> Option<WireUsage> {
        WireUsage::deserialize(self.0.get("usage")?).ok()
    }

    /// The token counts that Ollama's own API has beside the last text.
    fn of_ollama(&self) -> Option<WireUsage> {
        let count = |key| {
            self.0
                .get(key)
                .and_then(Value::as_u64)
                .and_then(|count| count.try_into().ok())
        };
        Some(WireUsage {
            completion_tokens: Some(count("eval_count")?),
            prompt_tokens: count("prompt_eval_count"),
            ..WireUsage::default()
        })
    }

    /// The runtime's statistics, if this document has them.
    pub(super) fn stats(&self) -> Option<RuntimeStats> {
        let of_rkllm = self.wire_usage().and_then(|usage| usage.stats());
        of_rkllm.or_else(|| Timings::deserialize(self.0.get("timings")?).ok()?.stats())
    }

    /// The server's error, if this document is one.
    pub(super) fn error(&self) -> Option<String> {
        complaint::in_event(&self.0)
    }
}

/// The text in an object, or the value itself if it is text.
fn pieces_in(holder: &Value) -> Vec<Piece> {
    if let Value::String(text) = holder {
        return [Piece::Said(text.clone())]
            .into_iter()
            .filter(is_some_text)
            .collect();
    }
    let of = |names: &[&str]| {
        let found = names
            .iter()
            .map(|name| holder.get(*name).map(parts).unwrap_or_default());
        found
            .into_iter()
            .find(|(said, thought)| !said.is_empty() || !thought.is_empty())
            .unwrap_or_default()
    };
    let (said_in_thought, thought) = of(&THOUGHTS);
    // Some servers send a list of parts of several kinds as content.
    let (said, thought_in_said) = of(&SAID);
    let calls = ["tool_calls", "function_call"]
        .iter()
        .filter_map(|name| holder.get(*name));
    let said = calls.fold(said, |said, call| said + &call_of(call));
    let pieces = [
        Piece::Thought(thought + &said_in_thought + &thought_in_said),
        Piece::Said(said),
    ];
    pieces.into_iter().filter(is_some_text).collect()
}

fn is_some_text(piece: &Piece) -> bool {
    let (Piece::Said(text) | Piece::Thought(text)) = piece;
    !text.is_empty()
}

/// The answer and the thoughts in a text or in a list of parts.
fn parts(value: &Value) -> (String, String) {
    let (mut said, mut thought) = (String::new(), String::new());
    match value {
        Value::String(text) => said += text,
        Value::Array(list) => {
            for (part_said, part_thought) in list.iter().map(parts) {
                said += &part_said;
                thought += &part_thought;
            }
        }
        Value::Object(fields) => {
            let named = |names: &[&str]| {
                names
                    .iter()
                    .find_map(|name| fields.get(*name).filter(|value| !value.is_null()))
            };
            if let Some(inner) = named(&["thinking", "reasoning", "summary"]) {
                let (part_said, part_thought) = parts(inner);
                thought += &(part_said + &part_thought);
            } else if let Some(inner) = named(&["text", "content", "value", "refusal"]) {
                let (part_said, part_thought) = parts(inner);
                let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
                if ["thinking", "reasoning"]
                    .iter()
                    .any(|thinks| kind.contains(thinks))
                {
                    thought += &(part_said + &part_thought);
                } else {
                    said += &part_said;
                    thought += &part_thought;
                }
            }
        }
        _ => {}
    }
    (said, thought)
}

/// The text of a tool call or of a list of them. The model generates names and arguments token by token.
fn call_of(call: &Value) -> String {
    if let Value::Array(list) = call {
        return list.iter().map(call_of).collect();
    }
    let function = call.get("function").unwrap_or(call);
    let text = |key: &str| match function.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => String::new(),
    };
    text("name") + &text("arguments")
}

/// Whether a value contains text anywhere.
fn has_text(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(has_text),
        Value::Object(fields) => fields.values().any(has_text),
        _ => false,
    }
}

#[derive(Debug, Default, Deserialize)]
struct WireUsage {
    #[serde(default, deserialize_with = "lenient")]
    prompt_tokens: Option<u32>,
    #[serde(default, deserialize_with = "lenient")]
    completion_tokens: Option<u32>,
    #[serde(default, deserialize_with = "lenient")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default, deserialize_with = "lenient")]
    prefill_time_ms: Option<f32>,
    #[serde(default, deserialize_with = "lenient")]
    prefill_tokens: Option<i32>,
    #[serde(default, deserialize_with = "lenient")]
    generate_time_ms: Option<f32>,
    #[serde(default, deserialize_with = "lenient")]
    generate_tokens: Option<i32>,
    #[serde(default, deserialize_with = "lenient")]
    memory_usage_mb: Option<f32>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "lenient")]
    cached_tokens: Option<u32>,
}

impl WireUsage {
    /// The runtime's statistics in the form of RKLLM servers.
    fn stats(&self) -> Option<RuntimeStats> {
        Some(RuntimeStats {
            prefill_time_ms: self.prefill_time_ms?,
            prefill_tokens: self.prefill_tokens?,
            generate_time_ms: self.generate_time_ms?,
            generate_tokens: self.generate_tokens?,
            memory_usage_mb: self.memory_usage_mb.unwrap_or(0.0),
        })
    }
}

/// llama-server's statistics of a run (see "timings" in its README).
#[derive(Debug, Deserialize)]
struct Timings {
    #[serde(default, deserialize_with = "lenient")]
    prompt_n: Option<i32>,
    #[serde(default, deserialize_with = "lenient")]
    prompt_ms: Option<f32>,
    #[serde(default, deserialize_with = "lenient")]
    predicted_n: Option<i32>,
    #[serde(default, deserialize_with = "lenient")]
    predicted_ms: Option<f32>,
}

impl Timings {
    fn stats(&self) -> Option<RuntimeStats> {
        Some(RuntimeStats {
            prefill_time_ms: self.prompt_ms?,
            prefill_tokens: self.prompt_n?,
            generate_time_ms: self.predicted_ms?,
            generate_tokens: self.predicted_n?,
            memory_usage_mb: 0.0,
        })
    }
}

/// The value, or `None` if it has another type.
fn lenient<'de, T: serde::de::DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Value::deserialize(deserializer).map(|value| serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chunk(document: &Value) -> Chunk {
        Chunk::parse(&document.to_string())
            .expect("JSON")
            .expect("not empty")
    }

    #[test]
    fn text_is_found_under_the_names_that_servers_give_it() {
        let delta = |delta: Value| json!({"choices": [{"delta": delta}]});
        let (said, thought) = (
            || vec![Piece::Said("a".into())],
            || vec![Piece::Thought("a".into())],
        );
        for name in [
            "reasoning_content",
            "reasoning",
            "thinking",
            "reasoning_text",
            "thought",
        ] {
            assert_eq!(
                chunk(&delta(json!({"content": "", name: "a"}))).pieces(),
                thought(),
                "{name}"
            );
        }
        for (document, expected) in [
            (delta(json!({"content": "a"})), said()),
            (
                delta(json!({"reasoning": "a", "reasoning_content": "a"})),
                thought(),
            ),
            (
                delta(json!({"reasoning_details": [{"type": "reasoning.text", "text": "a"}]})),
                thought(),
            ),
            (delta(json!({"refusal": "a", "content": null})), said()),
            (delta(json!({"content": [{"type": "text", "text": "a"}]})), said()),
            (
                delta(
                    json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}),
                ),
                thought(),
            ),
            (
                delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "a"}}]})),
                said(),
            ),
            (delta(json!({"function_call": {"name": "a"}})), said()),
            (delta(json!("a")), said()),
            (json!({"choices": [{"message": {"content": "a"}}]}), said()),
            (json!({"choices": [{"text": "a"}]}), said()),
            (
                json!({"choices": [{"delta": {"role": "assistant"}, "text": "a"}]}),
                said(),
            ),
            (
                json!({"message": {"role": "assistant", "content": "a"}, "done": false}),
                said(),
            ),
            (
                json!({"message": {"role": "assistant", "content": "", "thinking": "a"}, "done": false}),
                thought(),
            ),
            (json!({"response": "a", "done": false}), said()),
            (json!({"token": {"id": 5, "text": "a"}}), said()),
            (json!({"content": "a", "stop": false}), said()),
            (
                json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}),
                said(),
            ),
            (
                json!({"type": "response.output_text.delta", "delta": "a"}),
                said(),
            ),
            (delta(json!({"role": "assistant", "content": ""})), vec![]),
            (delta(json!({"tool_calls": [], "content": null})), vec![]),
            (json!({"choices": [], "text": "a"}), vec![]),
        ] {
            assert_eq!(chunk(&document).pieces(), expected, "{document}");
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (delta, expected) in [
            (json!({"content": "", "musing": " t"}), &["musing"][..]),
            (
                json!({"musing": {"text": " t"}, "role": "assistant"}),
                &["musing"],
            ),
            (json!({"musing": "", "x": null, "y": 5, "id": "abc"}), &[]),
        ] {
            let unread = chunk(&json!({"choices": [{"delta": delta}]})).unread();
            assert_eq!(unread, expected, "{delta}");
        }
        assert_eq!(
            chunk(&json!({"object": "ping", "trace": "abc"})).unread(),
            [""; 0]
        );
    }

    #[test]
    fn an_empty_reason_is_none() {
        for (reason, expected) in [
            (json!("stop"), Some("stop")),
            (json!(""), None),
            (json!(null), None),
            (json!(5), None),
            (json!({"type": "length", "length": 64}), Some("length")),
        ] {
            let reason = chunk(&json!({"choices": [{"finish_reason": reason}]})).finish_reason();
            assert_eq!(reason.as_deref(), expected);
        }
        let of_ollama = chunk(&json!({"done": true, "done_reason": "stop", "eval_count": 3}));
        assert_eq!(of_ollama.finish_reason().as_deref(), Some("stop"));
        assert_eq!(
            of_ollama.usage().and_then(|usage| usage.completion_tokens),
            Some(3)
        );
    }
}
