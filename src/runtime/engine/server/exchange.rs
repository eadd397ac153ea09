//! One request and its answer.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};

use super::answer;
use super::http::{Client, Fault};
use crate::base::number;
use crate::inference::{Api, Finish, Inference, Input, Stream};

/// Limit of a stream's bytes for each new token. A chunk with its log-probabilities has about a thousand.
pub(super) const MOST_BYTES_A_TOKEN: u64 = 16 << 10;
/// Limit of the other bytes of a stream.
pub(super) const MOST_BYTES_BESIDE: u64 = 1 << 20;

/// The path of `api` on the server.
pub(super) const fn path_of(api: Api) -> &'static str {
    match api {
        Api::Chat => "/v1/chat/completions",
        Api::Completions => "/v1/completions",
    }
}

/// An inference, with the server's name for itself.
pub(super) struct Seen {
    pub(super) inference: Inference,
    pub(super) software: Option<String>,
}

/// The model named in an answer.
pub(super) fn answered_as(inference: &Inference) -> Option<String> {
    inference.stream.as_ref()?.model.clone()
}

/// Why an answer is not usable.
pub(super) fn trouble(inference: &Inference) -> Option<String> {
    if inference.aborted {
        return Some("no answer within the time for loading (--load-timeout)".into());
    }
    inference.refusal.clone().or_else(|| {
        let fields = inference
            .stream
            .as_ref()
            .and_then(|stream| stream.unread.as_ref());
        let unread = fields.map(|unread| format!(" in a known field, but {}", unread.fields.join(", ")));
        inference
            .tokens
            .is_empty()
            .then(|| format!("its answer has no text{}", unread.unwrap_or_default()))
    })
}

/// Number of tokens of the prompt, if the server reports that it computed all of them.
pub(super) fn cold_tokens(inference: &Inference, input: &Input) -> Option<u32> {
    let prompt = inference.reported_prompt_tokens(input)?;
    let cached = inference
        .stream
        .as_ref()?
        .usage
        .and_then(|usage| usage.cached_tokens);
    let stats = inference.stats.filter(|stats| !stats.are_zero());
    let is_cold = match (stats, cached) {
        (_, Some(cached)) if cached > 0 => false,
        (Some(stats), _) => u32::try_from(stats.prefill_tokens).is_ok_and(|computed| computed >= prompt),
        (None, cached) => cached.is_some(),
    };
    is_cold.then_some(prompt)
}

/// Makes one request and passes the answer to `answered` as soon as it is complete. Then reads the body to its end,
/// which frees the connection for the next request.
pub(super) fn stream(
    client: &Client,
    path: &str,
    body: &Map<String, Value>,
    deadline: Duration,
    most_bytes: u64,
    answered: impl FnOnce(Result<Seen, Fault>),
) {
    let mut call_ns = now_ns();
    let mut response = client.stream(path, body, deadline);
    if let Err(Fault::Closed(_)) = response {
        call_ns = now_ns();
        response = client.stream(path, body, deadline);
    }
    let response = match response {
        Ok(response) => response,
        Err(Fault::TimedOut) => {
            return answered(Ok(Seen {
                inference: timed_out(call_ns),
                software: None,
            }));
        }
        Err(fault) => return answered(Err(fault)),
    };
    let response_ns = now_ns();
    let software = response.headers().get("server");
    let software = software.map(|name| crate::base::json::clip(&String::from_utf8_lossy(name.as_bytes())));
    let mut body = response.into_body().into_reader();
    let answer = answer::read(&mut body, most_bytes, now_ns);
    let is_whole = answer.finish == Finish::Finished;
    answered(Ok(Seen {
        inference: inference_of(call_ns, response_ns, answer),
        software,
    }));
    if is_whole {
        // An error does not matter: the next request opens another connection.
        let _ = std::io::copy(
            &mut std::io::Read::take(body, MOST_BYTES_BESIDE),
            &mut std::io::sink(),
        );
    }
}

/// More memory than any board or server has, bytes. A larger value is not a size in bytes.
const MOST_MEMORY_BYTES: u64 = 1 << 50;

fn inference_of(call_ns: u64, response_ns: u64, answer: answer::Answer) -> Inference {
    // Whether the runtime's megabytes are 10^6 or 2^20 bytes is unconfirmed; the two differ by 5 %.
    let memory = answer.stats.map(|stats| f64::from(stats.memory_usage_mb) * 1e6);
    let peak_rss_bytes = memory
        .and_then(number::whole)
        .filter(|bytes| (1..=MOST_MEMORY_BYTES).contains(bytes));
    Inference {
        call_ns,
        return_ns: answer.end_ns,
        tokens: answer.tokens,
        overflow: 0,
        text: answer.text,
        finish: answer.finish,
        aborted: answer.timed_out,
        refusal: answer.complaint,
        stats: answer.stats,
        set_up: None,
        kv_cache_before: None,
        kv_cache_after: None,
        late_callbacks: 0,
        split_characters: 0,
        other_thread: 0,
        peak_rss_bytes,
        stream: Some(Stream {
            response_ns,
            usage: answer.usage,
            finish_reason: answer.finish_reason,
            model: answer.model,
            pieces: answer.pieces,
            unread: answer.unread,
            ..Stream::default()
        }),
    }
}

/// The inference of a request without a response before its deadline.
fn timed_out(call_ns: u64) -> Inference {
    let end_ns = now_ns();
    let nothing = answer::Answer {
        timed_out: true,
        end_ns,
        ..answer::Answer::default()
    };
    inference_of(call_ns, end_ns, nothing)
}

/// `CLOCK_MONOTONIC`, the clock of every other stamp.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}
