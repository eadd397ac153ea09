//! What goes over the wire: the body of a request, and the documents of its answer.
//!
//! The shapes are those of `OpenAI`'s API (platform.openai.com/docs/api-reference, chat and completions, streaming), with the
//! fields that RKLLM servers put into `usage`, and llama-server's `timings`. A field of another type than expected counts as
//! absent: no server's slip is to end a run.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::Api;
use crate::inference::{Input, Request, RuntimeStats, Sampling, Usage};

/// Fields that not every server knows. One that a server refuses by its name is left out from then on.
pub(super) const OPTIONAL: [&str; 5] = [
    "stream_options",
    "ignore_eos",
    "cache_prompt",
    "top_k",
    "repeat_penalty",
];

/// The body of a request for a stream, without the fields in `refused`.
pub(super) fn body(
    api: Api,
    model: &str,
    request: &Request,
    ignore_eos: bool,
    refused: &[&str],
) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("model", json!(model));
    match (&request.input, api) {
        (Input::Text(text), Api::Chat) => set("messages", json!([{"role": "user", "content": text}])),
        (Input::Text(text), Api::Completions) => set("prompt", json!(text)),
        (Input::Tokens(ids), _) => set("prompt", json!(ids)),
    };
    set("max_tokens", json!(request.max_new_tokens));
    set("stream", json!(true));
    set("stream_options", json!({"include_usage": true}));
    let Sampling {
        top_k,
        top_p,
        temperature,
        repeat_penalty,
        frequency_penalty,
        presence_penalty,
    } = request.sampling;
    // A server that knows no top_k is greedy by a temperature of 0.
    set("temperature", json!(if top_k == 1 { 0.0 } else { temperature }));
    set("top_p", json!(top_p));
    set("top_k", json!(top_k));
    set("repeat_penalty", json!(repeat_penalty));
    set("frequency_penalty", json!(frequency_penalty));
    set("presence_penalty", json!(presence_penalty));
    set("ignore_eos", json!(ignore_eos));
    set("cache_prompt", json!(false));
    body.retain(|key, _| !refused.contains(&key.as_str()));
    body
}

/// One document of a stream.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chunk {
    #[serde(default, deserialize_with = "lenient")]
    choices: Option<Vec<Choice>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    usage: Option<WireUsage>,
    #[serde(default, deserialize_with = "lenient")]
    timings: Option<Timings>,
    #[serde(default)]
    error: Value,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice {
    #[serde(default, deserialize_with = "lenient")]
    delta: Option<Delta>,
    #[serde(default, deserialize_with = "lenient")]
    text: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    #[serde(default, deserialize_with = "lenient")]
    content: Option<String>,
    /// What a thinking model thinks, by `DeepSeek`'s name, which llama-server has taken over.
    #[serde(default, deserialize_with = "lenient")]
    reasoning_content: Option<String>,
}

/// A piece of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Said(&'a str),
    Thought(&'a str),
}

impl Choice {
    /// Its text, what was thought first; none in a chunk that carries a role or an end alone.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let is_text = |text: &&str| !text.is_empty();
        let delta = self.delta.as_ref();
        let thought = delta.and_then(|delta| delta.reasoning_content.as_deref());
        let said = delta.and_then(|delta| delta.content.as_deref());
        let said = said.filter(is_text).or(self.text.as_deref());
        [
            thought.filter(is_text).map(Piece::Thought),
            said.filter(is_text).map(Piece::Said),
        ]
        .into_iter()
        .flatten()
    }
}

impl Chunk {
    /// The one answer of a stream.
    pub(super) fn choice(&self) -> Option<&Choice> {
        self.choices.as_ref()?.first()
    }

    /// The server's counts, where this document has them.
    pub(super) fn usage(&self) -> Option<Usage> {
        let usage = self.usage.as_ref()?;
        Some(Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_tokens: usage
                .prompt_tokens_details
                .as_ref()
                .and_then(|details| details.cached_tokens),
        })
    }

    /// The runtime's statistics, where this document has them.
    pub(super) fn stats(&self) -> Option<RuntimeStats> {
        let of_rkllm = self.usage.as_ref().and_then(WireUsage::stats);
        of_rkllm.or_else(|| self.timings.as_ref().and_then(Timings::stats))
    }

    /// The server's complaint, where this document is one.
    pub(super) fn error(&self) -> Option<String> {
        complaint(&self.error)
    }
}

/// The text of what servers put under `error`.
pub(super) fn complaint(error: &Value) -> Option<String> {
    let text = error.get("message").unwrap_or(error);
    match text {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[derive(Debug, Deserialize)]
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
    /// What an RKLLM server passes on of its runtime.
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

/// What llama-server tells of a run (its README, "timings").
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

/// The value, or nothing where it has another type.
fn lenient<'de, T: serde::de::DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Value::deserialize(deserializer).map(|value| serde_json::from_value(value).ok())
}
