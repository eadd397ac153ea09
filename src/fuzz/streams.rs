//! Streams of server-sent events.

use crate::base::number::Long as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::properties::Taken;
use super::properties::streams::{in_pieces, stream};
use super::{edits, hold_reader};
use crate::inference::Finish;

/// The content of one event.
#[derive(Debug, Clone)]
enum Event {
    Said(String),
    Thought(String),
    Both(String, String),
    /// The older API.
    Text(String),
    Silent(Value),
    /// A line without data.
    Line(&'static str),
}

fn event() -> impl Strategy<Value = Event> {
    let text = || vec(any::<char>(), 1..20).prop_map(String::from_iter);
    let silent = vec![
        json!({"choices": [{"delta": {"role": "assistant"}}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}),
        json!({"choices": [{"delta": {"content": null}, "finish_reason": null}]}),
        json!({"choices": [{"delta": {"content": ""}, "text": ""}]}),
        json!({"object": "ping"}),
    ];
    prop_oneof![
        4 => text().prop_map(Event::Said),
        2 => text().prop_map(Event::Thought),
        1 => (text(), text()).prop_map(|(thought, said)| Event::Both(thought, said)),
        1 => text().prop_map(Event::Text),
        1 => select(silent).prop_map(Event::Silent),
        1 => select(vec![": ping", ":", "id: 7", "event: message", "retry: 10", "unknown", "x: y"])
            .prop_map(Event::Line),
    ]
}

impl Event {
    /// Its document; absent for a line.
    fn document(&self) -> Option<Value> {
        let delta =
            |delta: Value| Some(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}));
        match self {
            Self::Said(said) => delta(json!({"content": said})),
            Self::Thought(thought) => delta(json!({"reasoning_content": thought})),
            Self::Both(thought, said) => delta(json!({"content": said, "reasoning_content": thought})),
            Self::Text(text) => Some(json!({"choices": [{"text": text}]})),
            Self::Silent(document) => Some(document.clone()),
            Self::Line(_) => None,
        }
    }

    /// Its bytes on the wire: as many data lines as the document has, separated by `line_end`.
    fn bytes(&self, line_end: &str, over_lines: bool) -> String {
        let text = match (self.document(), over_lines) {
            (None, _) => String::new(),
            (Some(document), false) => document.to_string(),
            (Some(document), true) => serde_json::to_string_pretty(&document).expect("serialises"),
        };
        let mut bytes = match self {
            Self::Line(line) => format!("{line}{line_end}"),
            _ => format!(
                "data: {}{line_end}",
                text.replace('\n', &format!("{line_end}data: "))
            ),
        };
        bytes += line_end;
        bytes
    }

    /// Its reasoning and its answer.
    fn text(&self) -> (&str, &str) {
        match self {
            Self::Said(said) | Self::Text(said) => ("", said),
            Self::Thought(thought) => (thought, ""),
            Self::Both(thought, said) => (thought, said),
            Self::Silent(_) | Self::Line(_) => ("", ""),
        }
    }
}

/// The text of an answer with its reasoning between tags.
fn text_of(events: &[Event]) -> String {
    let (mut text, mut is_thinking) = (String::new(), false);
    let pieces = events.iter().flat_map(|event| {
        let (thought, said) = event.text();
        [(thought, true), (said, false)]
    });
    for (piece, is_thought) in pieces.filter(|(piece, _)| !piece.is_empty()) {
        if is_thought != is_thinking {
            text += if is_thought { "<think>" } else { "</think>" };
            is_thinking = is_thought;
        }
        text += piece;
    }
    text
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), vec(1..20_usize, 1..8), vec(1..100_000_usize, 1..3)]
}

#[test]
fn every_text_of_a_stream_is_accounted_for_however_it_comes() {
    let line_end = select(vec!["\n", "\r\n", "\r"]);
    let sent = vec((event(), line_end, any::<bool>()), 0..12);
    // The end: `[DONE]`, a finish reason, or cut off.
    let input = (sent, any::<bool>(), 0..3_u8, sizes());
    hold_reader("streams, whole", 500, &input, |(sent, bom, end, sizes)| {
        let mut bytes = String::from(if bom { "\u{feff}" } else { "" });
        for (event, line_end, over_lines) in &sent {
            bytes += &event.bytes(line_end, *over_lines);
        }
        bytes += match end {
            0 => "data: [DONE]\n\n",
            1 => "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"stop\"}]}\n\n",
            _ => "data: {\"choices\": [{\"delta\": {\"content\": \"cut o",
        };
        let events: Vec<Event> = sent.into_iter().map(|(event, ..)| event).collect();
        let answer = in_pieces(bytes.as_bytes(), &sizes, u64::MAX);
        assert_eq!(answer.complaint, None);
        assert_eq!(answer.text, text_of(&events));
        let with_text = events.iter().filter(|event| event.text() != ("", "")).count();
        assert_eq!(answer.tokens.len(), with_text);
        assert_eq!(answer.finish_reason.as_deref(), (end == 1).then_some("stop"));
        assert_eq!(
            answer.finish,
            if end < 2 { Finish::Finished } else { Finish::Lost }
        );
        if answer.finish == Finish::Finished {
            Taken::Accepted
        } else {
            Taken::Refused
        }
    });
}

const WORDS: &[&str] = &[
    "data: ",
    "data:",
    "\n\n",
    "\r\n\r\n",
    "\r",
    "\n",
    "[DONE]",
    "data: [DONE]\n\n",
    ":",
    "\u{feff}",
    "id",
    "error",
    "message",
    "{",
    "}",
    "\"",
    "data: {\"error\": {\"message\": \"no\"}}\n\n",
    "data: {}\n\n",
];

#[test]
fn any_bytes_mean_the_same_in_any_pieces() {
    let events = vec(event(), 1..6).prop_map(|events| {
        let bytes: String = events.iter().map(|event| event.bytes("\n", false)).collect();
        bytes + "data: [DONE]\n\n"
    });
    let edited = (events, vec(edits::byte_edit(WORDS), 1..4)).prop_map(|(text, edits)| {
        let mut bytes = text.into_bytes();
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes
    });
    let bytes = prop_oneof![9 => edited, 1 => vec(any::<u8>(), 0..500)];
    let limit = prop_oneof![3 => Just(None), 1 => any::<Index>().prop_map(Some)];
    hold_reader(
        "streams, any",
        1000,
        &(bytes, sizes(), limit),
        |(bytes, sizes, limit)| {
            let most_bytes = limit.map_or(u64::MAX, |limit| limit.index(bytes.len() + 1).long());
            stream(&bytes, &sizes, most_bytes)
        },
    );
}

/// Keys of a chunk.
const KEYS: &[&str] = &["choices", "delta", "text", "usage", "content", "prompt_n", "x"];

#[test]
fn a_field_of_another_type_ends_no_run() {
    let documents = vec![
        json!({
            "id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop",
                "delta": {"content": "a", "reasoning_content": "b", "role": "assistant"}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0},
                "prefill_time_ms": 1.5, "prefill_tokens": 1, "generate_time_ms": 2.5, "generate_tokens": 2,
                "memory_usage_mb": 1},
            "timings": {"prompt_n": 1, "prompt_ms": 1.5, "predicted_n": 2, "predicted_ms": 2.5}
        }),
        json!({"model": "m", "choices": [{"text": "a"}], "usage": null}),
    ];
    let edited = vec(edits::values(documents, KEYS), 1..4);
    hold_reader("streams, other types", 1000, &edited, |documents| {
        // JSON with too much nesting is refused, and a value that is no object is no chunk.
        let is_chunk = |document: &Value| {
            let text = document.to_string();
            document.is_object() && serde_json::from_str::<Value>(&text).is_ok()
        };
        if !documents.iter().all(is_chunk) {
            return Taken::Refused;
        }
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        let bytes = format!("data: {}\n\ndata: [DONE]\n\n", texts.join("\n\ndata: "));
        let answer = in_pieces(bytes.as_bytes(), &[usize::MAX], u64::MAX);
        assert_eq!(
            (answer.complaint, answer.finish),
            (None, Finish::Finished),
            "{bytes}"
        );
        Taken::Accepted
    });
}
