//! The body of a request, which adapts to the fields that a server refuses.

use serde_json::{Map, Value, json};

use crate::inference::{Api, Input, Request, Sampling};

/// Fields that some servers refuse. A field that a server refuses by name is left out from then on.
const OPTIONAL: [&str; 9] = [
    "stream_options",
    "ignore_eos",
    "cache_prompt",
    "temperature",
    "top_p",
    "top_k",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
];
/// Names of the limit of new tokens, the most common first. The limit is never left out.
const LIMITS: [&str; 6] = [
    "max_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "n_predict",
    "num_predict",
];
/// Phrases in a refusal that is about a field's value.
const OF_A_VALUE: [&str; 9] = [
    "too large",
    "too big",
    "too high",
    "must be",
    "at most",
    "at least",
    "exceed",
    "maximum context",
    "out of range",
];

/// The fields that a server accepts, as learned from its refusals.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialect {
    left_out: Vec<&'static str>,
    /// Names of the limit that were tried; the last one is in use. Empty until the first name is refused.
    limits: Vec<&'static str>,
}

impl Dialect {
    /// Learns from a refusal. Returns whether to repeat the request in the new form.
    pub(super) fn learn(&mut self, words: &str) -> bool {
        let sent = OPTIONAL
            .into_iter()
            .filter(|field| !self.left_out.contains(field));
        // A refusal names the offending field before the alternatives.
        let named = sent
            .chain([self.limit()])
            .filter_map(|field| Some((place(words, field)?, field)))
            .min();
        match named {
            Some((_, field)) if field == self.limit() => self.learn_limit(words),
            Some((_, field)) => {
                self.left_out.push(field);
                true
            }
            None => false,
        }
    }

    fn learn_limit(&mut self, words: &str) -> bool {
        let lower = words.to_lowercase();
        if OF_A_VALUE.iter().any(|of_a_value| lower.contains(of_a_value)) {
            return false;
        }
        let is_new = |name: &&str| *name != self.limit() && !self.limits.contains(name);
        let named = LIMITS
            .into_iter()
            .filter(is_new)
            .find(|name| place(words, name).is_some());
        let usual = || LIMITS.into_iter().take(2).find(is_new);
        let Some(other) = named.or_else(usual) else {
            self.limits.clear();
            return false;
        };
        if self.limits.is_empty() {
            self.limits.push(LIMITS[0]);
        }
        self.limits.push(other);
        true
    }

    fn limit(&self) -> &'static str {
        self.limits.last().copied().unwrap_or(LIMITS[0])
    }

    /// The fields that are left out.
    pub(super) fn left_out(&self) -> Vec<String> {
        self.left_out.iter().map(|field| (*field).to_owned()).collect()
    }

    /// The body of a request for a stream.
    pub(super) fn body(
        &self,
        api: Api,
        model: &str,
        request: &Request,
        ignore_eos: bool,
    ) -> Map<String, Value> {
        let mut body = Map::new();
        let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
        set("model", json!(model));
        match (&request.input, api) {
            (Input::Text(text), Api::Chat) => set("messages", json!([{"role": "user", "content": text}])),
            (Input::Text(text), Api::Completions) => set("prompt", json!(text)),
            (Input::Tokens(ids), _) => set("prompt", json!(ids)),
        };
        set(self.limit(), json!(request.max_new_tokens));
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
        // A temperature of 0 makes servers without top_k greedy.
        set("temperature", json!(if top_k == 1 { 0.0 } else { temperature }));
        set("top_p", json!(top_p));
        set("top_k", json!(top_k));
        set("repeat_penalty", json!(repeat_penalty));
        set("frequency_penalty", json!(frequency_penalty));
        set("presence_penalty", json!(presence_penalty));
        set("ignore_eos", json!(ignore_eos));
        set("cache_prompt", json!(false));
        body.retain(|key, _| !self.left_out.contains(&key.as_str()));
        body
    }
}

/// Position of a field's name in a text, unless it is part of a longer name.
fn place(text: &str, field: &str) -> Option<usize> {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let mut places = text.match_indices(field);
    let whole = places.find(|(start, _)| {
        let (before, after) = (&text[..*start], &text[start + field.len()..]);
        !before.ends_with(is_name) && !after.starts_with(is_name)
    });
    whole.map(|(start, _)| start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(dialect: &Dialect) -> Vec<String> {
        let request = Request::new(Input::Text("x".into()), 64);
        dialect
            .body(Api::Chat, "m", &request, true)
            .keys()
            .cloned()
            .collect()
    }

    #[test]
    fn a_refused_field_is_left_out_or_replaced() {
        for (words, gone, instead) in [
            (
                "max_tokens is not supported, use max_completion_tokens",
                "max_tokens",
                Some("max_completion_tokens"),
            ),
            (
                "Please use 'max_new_tokens' instead of 'max_tokens'.",
                "max_tokens",
                Some("max_new_tokens"),
            ),
            (
                "max_tokens: Unsupported parameter",
                "max_tokens",
                Some("max_completion_tokens"),
            ),
            (
                "Unsupported value: 'temperature' does not support 0",
                "temperature",
                None,
            ),
            (
                "unknown field `ignore_eos`, expected one of `temperature`, `top_k`",
                "ignore_eos",
                None,
            ),
            (
                "body.stream_options: Extra inputs are not permitted",
                "stream_options",
                None,
            ),
        ] {
            let mut dialect = Dialect::default();
            let all = fields(&dialect).len();
            assert!(dialect.learn(words), "{words}");
            let now = fields(&dialect);
            assert!(!now.iter().any(|field| field == gone), "{words}: {now:?}");
            match instead {
                Some(name) => assert!(
                    now.len() == all && now.iter().any(|field| field == name),
                    "{words}: {now:?}"
                ),
                None => assert_eq!(now.len(), all - 1, "{words}: {now:?}"),
            }
        }
    }

    #[test]
    fn a_refused_value_or_another_field_changes_nothing() {
        for words in [
            "'max_tokens' or 'max_completion_tokens' is too large: 5000",
            "max_tokens must be at most 4096",
            "messages: Field required",
            "the model_top_kind is unknown",
            "",
        ] {
            let mut dialect = Dialect::default();
            assert!(!dialect.learn(words), "{words}");
        }
    }

    #[test]
    fn a_server_that_refuses_every_name_of_the_limit_ends_the_questions() {
        let mut dialect = Dialect::default();
        assert!(dialect.learn("max_tokens is unknown"));
        assert!(!dialect.learn("max_completion_tokens is unknown"));
        assert!(fields(&dialect).contains(&"max_tokens".to_owned()));
    }
}
