//! Reads an answer's stream of server-sent events, with the time of each.

use crate::base::number::Float as _;
use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use sse_stream::{Sse, SseByteStream};

use super::complaint;
use super::stray::Stray;
use super::wire::{Chunk, Piece};
use crate::base::json::clip;
use crate::inference::{End, Finish, Pieces, RuntimeStats, TokenEvent, Unread, Usage};

/// Size of a read, bytes.
const READ_BYTES: usize = 64 * 1024;
/// The document that ends a stream.
const DONE: &str = "[DONE]";
/// Names or data of events that only keep the connection open.
const KEEP_ALIVE: [&str; 6] = ["ping", "pong", "heartbeat", "keepalive", "noop", "processing"];
/// Limit of the number of unread field names.
const MOST_FIELDS: usize = 4;

/// The contents of a stream.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// One token for each chunk with text, with the time at which it was read.
    pub(crate) tokens: Vec<TokenEvent>,
    /// All text. Thoughts that a server sends separately are put back into `<think>`.
    pub(crate) text: String,
    pub(crate) finish: Finish,
    pub(crate) finish_reason: Option<String>,
    /// The model that the server names.
    pub(crate) model: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) stats: Option<RuntimeStats>,
    pub(crate) pieces: Pieces,
    pub(crate) unread: Option<Unread>,
    /// When the last event, or the end of the stream, was read.
    pub(crate) end_ns: u64,
    /// Whether the deadline ended it.
    pub(crate) timed_out: bool,
    /// What was wrong with it: the server's error, or an invalid stream.
    pub(crate) complaint: Option<String>,
}

impl Default for Answer {
    /// An empty answer.
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            text: String::new(),
            finish: Finish::Lost,
            finish_reason: None,
            model: None,
            usage: None,
            stats: None,
            pieces: Pieces::default(),
            unread: None,
            end_ns: 0,
            timed_out: false,
            complaint: None,
        }
    }
}

/// Reads a stream to `[DONE]` or to its end, but at most `most_bytes`. `now` returns nanoseconds. All events of one
/// read have the time at which the read returned.
pub(crate) fn read(body: impl Read, most_bytes: u64, now: impl Fn() -> u64) -> Answer {
    let mut reading = Reading::default();
    let stamp = Cell::new(now());
    let stray = RefCell::new(Stray::default());
    let mut body = body.take(most_bytes);
    let mut buffer = vec![0; READ_BYTES];
    let mut held = Bytes::new();
    // The parser gets one line at a time, to keep the position of lines between events.
    let lines = std::iter::from_fn(|| {
        if held.is_empty() {
            let count = body.read(&mut buffer);
            stamp.set(now());
            match count {
                Ok(0) => return None,
                Ok(count) => held = Bytes::copy_from_slice(&buffer[..count]),
                Err(error) => return Some(Err(error)),
            }
        }
        let end = held.iter().position(|byte| [b'\n', b'\r'].contains(byte));
        let line = held.split_to(end.map_or(held.len(), |end| end + 1));
        stray.borrow_mut().pass(&line);
        // After an error, a server may send nothing more and keep the connection open.
        let goes_on = stray.borrow().complaint().is_none();
        goes_on.then_some(Ok(line))
    });
    let mut events = SseByteStream::new(stream::iter(lines));
    let mut number = 0;
    // The stream below blocks, so it is always ready.
    while let Some(event) = events.next().now_or_never().flatten() {
        number += 1;
        let goes_on = match event {
            Ok(event) => reading.take(&event, number, stamp.get()),
            Err(sse_stream::Error::Body(error)) => {
                reading.broke_off(&*error);
                false
            }
            Err(error) => reading.refuse(format!("event {number} of the stream: {error}")),
        };
        if !goes_on {
            break;
        }
    }
    drop(events);
    reading.answer.end_ns = stamp.get();
    let mut stray = stray.into_inner();
    if reading.is_open() {
        stray.end();
        if let Some(complaint) = stray.complaint() {
            reading.refuse(clip(complaint));
        }
    }
    // An earlier error takes precedence.
    if reading.is_open() && body.limit() == 0 {
        reading.refuse(format!(
            "the stream is longer than {:.1} MB, the limit for this number of tokens: the rest was not read",
            in_mb(most_bytes)
        ));
    }
    reading.finish(stray.text())
}

fn in_mb(bytes: u64) -> f64 {
    bytes.float() / 1e6
}

#[derive(Default)]
struct Reading {
    answer: Answer,
    is_thinking: bool,
    /// Start and end of each chunk's text.
    chunks: Vec<(usize, usize)>,
    /// Whether text came after a finish reason, which makes the reason meaningless.
    goes_on_after_its_end: bool,
    /// Whether the connection was lost.
    is_cut: bool,
}

impl Reading {
    /// Handles one event. Returns whether to read on.
    fn take(&mut self, event: &Sse, number: usize, at_ns: u64) -> bool {
        let name = event.event.as_deref().unwrap_or_default();
        let data = event.data.as_deref().unwrap_or_default().trim();
        if complaint::is_error(name) {
            return self.refuse(of_error_event(name, data));
        }
        if data == DONE {
            self.answer.finish = Finish::Finished;
            return false;
        }
        if data.is_empty() || keeps_alive(name) || keeps_alive(data) {
            return true;
        }
        match Chunk::parse(data) {
            Ok(Some(chunk)) => self.take_chunk(&chunk, at_ns),
            Ok(None) => true,
            Err(_) if complaint::in_text(data).is_some() => self.refuse_by(complaint::in_text(data)),
            Err(error) => {
                let (error, shown) = (clip(&error.to_string()), clip(data));
                self.refuse(format!(
                    "event {number} of the stream is not a chunk: {error}: {shown}"
                ))
            }
        }
    }

    fn take_chunk(&mut self, chunk: &Chunk, at_ns: u64) -> bool {
        if let Some(complaint) = chunk.error() {
            return self.refuse(clip(&complaint));
        }
        let pieces = chunk.pieces();
        let reason = chunk.finish_reason();
        if pieces.is_empty() {
            self.note_unread(chunk, reason.is_some());
        } else {
            self.goes_on_after_its_end |= self.answer.finish_reason.is_some();
            self.answer.tokens.push(TokenEvent { at_ns, id: -1 });
            self.write(pieces);
        }
        self.answer.finish_reason = reason.or(self.answer.finish_reason.take());
        if self.answer.model.is_none() {
            self.answer.model = chunk.model();
        }
        self.answer.usage = chunk.usage().or(self.answer.usage);
        self.answer.stats = chunk.stats().or(self.answer.stats);
        true
    }

    fn write(&mut self, pieces: Vec<Piece>) {
        let mut begin = None;
        for piece in pieces {
            let (text, is_thought) = match piece {
                Piece::Said(text) => (text, false),
                Piece::Thought(text) => (text, true),
            };
            if is_thought != self.is_thinking {
                self.answer.text += if is_thought { "<think>" } else { "</think>" };
                self.is_thinking = is_thought;
            }
            begin.get_or_insert(self.answer.text.len());
            self.answer.text += &text;
        }
        self.chunks
            .push((begin.unwrap_or_default(), self.answer.text.len()));
    }

    /// Keeps the names of unread fields, except those of an answer's first and last chunk, which describe the answer.
    fn note_unread(&mut self, chunk: &Chunk, is_last: bool) {
        let is_first = self.chunks.is_empty() && self.answer.unread.is_none() && chunk.has_role();
        let fields = chunk.unread();
        if fields.is_empty() || is_first || is_last {
            return;
        }
        let unread = self.answer.unread.get_or_insert_default();
        unread.chunks += 1;
        for field in fields {
            if unread.fields.len() < MOST_FIELDS && !unread.fields.contains(&field) {
                unread.fields.push(field);
            }
        }
    }

    /// Whether the answer has not ended yet.
    fn is_open(&self) -> bool {
        self.answer.finish == Finish::Lost && self.answer.complaint.is_none() && !self.answer.timed_out
    }

    /// Ends an invalid stream.
    fn refuse(&mut self, complaint: String) -> bool {
        self.answer.complaint = Some(complaint);
        false
    }

    fn refuse_by(&mut self, complaint: Option<String>) -> bool {
        self.refuse(clip(&complaint.unwrap_or_default()))
    }

    fn broke_off(&mut self, error: &(dyn std::error::Error + 'static)) {
        let error_of_read = error.downcast_ref::<io::Error>();
        let cause = error_of_read.and_then(|error| error.get_ref()?.downcast_ref::<ureq::Error>());
        match error_of_read.map(io::Error::kind) {
            _ if matches!(cause, Some(ureq::Error::Timeout(_))) => self.answer.timed_out = true,
            Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => self.is_cut = true,
            _ => {
                self.refuse(format!("the stream broke off: {error}"));
            }
        }
    }

    /// A known finish reason also completes an answer, unless the connection was lost.
    fn finish(mut self, stray: &str) -> Answer {
        if self.is_open() {
            self.close(stray);
        }
        let text = &self.answer.text;
        let chunks: Vec<&str> = self
            .chunks
            .iter()
            .map(|(begin, end)| &text[*begin..*end])
            .collect();
        self.answer.pieces = Pieces::of(&chunks);
        self.answer
    }

    /// Ends a stream without an end mark. `stray` is the part of it that was not an event.
    fn close(&mut self, stray: &str) {
        let reason = self
            .answer
            .finish_reason
            .clone()
            .filter(|_| !self.goes_on_after_its_end);
        if let Some(reason) = reason.as_deref().filter(|_| self.is_cut) {
            let chunks = self.answer.tokens.len();
            self.refuse(format!(
                "the connection was cut before the end of the stream, after {chunks} chunks with text and the \
                 finish_reason {:?}",
                clip(reason)
            ));
        } else if reason.is_some_and(|reason| End::of(&reason).is_known()) {
            self.answer.finish = Finish::Finished;
        } else if self.answer.tokens.is_empty() && !stray.is_empty() {
            self.refuse(format!("the stream has no event but {}", clip(stray)));
        }
    }
}

/// The message of an event whose name means an error.
fn of_error_event(name: &str, data: &str) -> String {
    let document = serde_json::from_str(data).ok();
    let words = document
        .as_ref()
        .map_or_else(|| data.to_owned(), complaint::of_refusal);
    if words.is_empty() || words == DONE {
        return format!("the server sent an event {:?} without a message", clip(name));
    }
    clip(&words)
}

/// Whether an event only keeps the connection open.
fn keeps_alive(text: &str) -> bool {
    let is_letter = |character: &char| character.is_ascii_alphabetic();
    let bare: String = text.chars().take(20).filter(is_letter).collect();
    text.len() <= 20 && KEEP_ALIVE.contains(&bare.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        read(body.as_bytes(), u64::MAX, || 0)
    }

    #[test]
    fn a_chunk_that_thinks_and_says_something_keeps_both() {
        let chunk = r#"{"choices": [{"delta": {"content": "b", "reasoning_content": "a"}}]}"#;
        let answer = answer(&format!("data: {chunk}\n\ndata: [DONE]\n\n"));
        assert_eq!((&*answer.text, answer.tokens.len()), ("<think>a</think>b", 1));
    }

    #[test]
    fn choices_of_another_type_are_none() {
        for choices in ["null", "{}", "[5]", "\"\""] {
            let answer = answer(&format!("data: {{\"choices\": {choices}}}\n\ndata: [DONE]\n\n"));
            assert_eq!(
                (answer.complaint, answer.finish),
                (None, Finish::Finished),
                "{choices}"
            );
        }
    }

    #[test]
    fn what_keeps_a_connection_open_is_no_chunk() {
        let said = r#"data: {"choices": [{"delta": {"content": "a"}}]}"#;
        for keep in [
            "data: ",
            "data:",
            "data:    ",
            "data",
            ": ping - 2026-01-01 00:00:00",
            ":",
            "event: ping\ndata: {\"type\": \"ping\"}",
            "event: ping\ndata: 2026-01-01 00:00:00",
            "event: keep-alive\ndata:",
            "event: message",
            "retry: 3000",
            "id: 7",
            "id: 7\nretry: 10\nevent: heartbeat",
            "data: {}",
            "data: null",
            "data: \"\"",
            "data: []",
            "data: ping",
            "data: [PING]",
            "data: keep-alive",
            "data: {\"type\": \"ping\"}",
            "data:\ndata:",
            "unknown: field",
            "",
        ] {
            let stream =
                format!("\u{feff}{keep}\n\n{said}\n\n{keep}\n\n{said}\n\n{keep}\n\ndata: [DONE]\n\n");
            let answer = answer(&stream);
            assert_eq!(
                (answer.complaint, answer.finish),
                (None, Finish::Finished),
                "{keep:?}"
            );
            assert_eq!(
                (&*answer.text, answer.tokens.len(), answer.unread),
                ("aa", 2, None),
                "{keep:?}"
            );
        }
    }

    #[test]
    fn an_error_in_any_shape_ends_an_answer_with_its_words() {
        let said = r#"data: {"choices": [{"delta": {"content": "a"}}]}"#;
        for error in [
            "event: error\ndata: {\"message\": \"NPU hang\"}",
            "event: error\ndata: NPU hang",
            "event: error\ndata: \"NPU hang\"",
            "event: error\ndata: {\"error\": {\"message\": \"NPU hang\"}}",
            "event: response.failed\ndata: {\"detail\": \"NPU hang\"}",
            "data: {\"error\": \"NPU hang\"}",
            "data: {\"message\": \"NPU hang\", \"code\": 500}",
            "data: {\"detail\": \"NPU hang\"}",
            "data: {\"object\": \"error\", \"message\": \"NPU hang\"}",
            "data: {\"choices\": [], \"error\": {\"message\": \"NPU hang\"}}",
            "data: {\"choices\": [{\"error\": {\"message\": \"NPU hang\"}, \"finish_reason\": \"stop\"}]}",
            "data: error: NPU hang",
            "error: {\"code\": 500, \"message\": \"NPU hang\"}",
            "error: NPU hang",
            "{\"error\": \"NPU hang\"}",
        ] {
            for end in ["", "\n", "\n\n", "\n\ndata: [DONE]\n\n"] {
                // By the format, an incomplete event does not count.
                if !end.contains("\n\n") && error.starts_with("event:") {
                    continue;
                }
                let answer = answer(&format!("{said}\n\n{error}{end}"));
                let complaint = answer.complaint.as_deref();
                assert_eq!(
                    (complaint, answer.finish),
                    (Some("NPU hang"), Finish::Lost),
                    "{error:?} {end:?}"
                );
            }
        }
        let document = "{\n  \"error\": {\n    \"message\": \"NPU hang\"\n  }\n}\n";
        assert_eq!(answer(document).complaint.as_deref(), Some("NPU hang"));
        let silent = answer("event: error\n\ndata: [DONE]\n\n").complaint;
        assert_eq!(
            silent.as_deref(),
            Some("the server sent an event \"error\" without a message")
        );
    }

    #[test]
    fn only_a_known_reason_behind_the_last_text_ends_an_answer() {
        let chunk = |text: &str, reason: &str| {
            format!(
                "data: {{\"choices\": [{{\"delta\": {{\"content\": \"{text}\"}}, \"finish_reason\": {reason}}}]}}\n\n"
            )
        };
        let (text, done) = (chunk("a", "null"), "data: [DONE]\n\n".to_owned());
        for (stream, finish, reason) in [
            (
                [text.clone(), chunk("", "\"stop\"")],
                Finish::Finished,
                Some("stop"),
            ),
            (
                [text.clone(), chunk("b", "\"length\"")],
                Finish::Finished,
                Some("length"),
            ),
            ([chunk("a", "\"\""), chunk("b", "\"\"")], Finish::Lost, None),
            (
                [chunk("a", "\"stop\""), chunk("b", "\"stop\"")],
                Finish::Lost,
                Some("stop"),
            ),
            (
                [chunk("a", "\"stop\""), done.clone()],
                Finish::Finished,
                Some("stop"),
            ),
            (
                [text.clone(), chunk("", "\"abort\"")],
                Finish::Lost,
                Some("abort"),
            ),
            (
                [text.clone(), chunk("", "\"banana\"")],
                Finish::Lost,
                Some("banana"),
            ),
            ([text.clone(), done], Finish::Finished, None),
        ] {
            let answer = answer(&stream.concat());
            assert_eq!(
                (answer.finish, answer.finish_reason.as_deref()),
                (finish, reason),
                "{stream:?}"
            );
        }
    }

    #[test]
    fn fields_that_are_not_read_are_counted_between_the_first_chunk_and_the_last() {
        let delta = |delta: &str, reason: &str| {
            format!("data: {{\"choices\": [{{\"delta\": {delta}, \"finish_reason\": {reason}}}]}}\n\n")
        };
        let stream = [
            delta("{\"role\": \"assistant\", \"session\": \"x\"}", "null"),
            delta("{\"content\": \"\", \"musing\": \" t\"}", "null"),
            delta("{\"musing\": \" t\"}", "null"),
            delta("{\"content\": \" t\", \"other\": \"y\"}", "null"),
            delta("{\"summary\": \"z\"}", "\"stop\""),
        ];
        let answer = answer(&stream.concat());
        let unread = Unread {
            chunks: 2,
            fields: vec!["musing".into()],
        };
        assert_eq!((answer.unread, answer.tokens.len()), (Some(unread), 1));
    }

    #[test]
    fn the_first_fault_of_a_stream_that_is_too_long_is_told() {
        let body = "data: nonsense\n\ndata: and so on";
        let complaint = read(body.as_bytes(), u64::MAX, || 0).complaint;
        assert!(complaint.is_some_and(|text| text.contains("nonsense")));
    }

    #[test]
    fn a_complaint_is_short_and_plain() {
        let text = format!("\\u001b[2J{}", "x".repeat(5000));
        let complaint = answer(&format!("data: \"{text}\"\n\n"))
            .complaint
            .expect("no chunk");
        assert!(
            !complaint.contains(char::is_control) && complaint.len() < 1000,
            "{complaint}"
        );
    }
}
