//! An answer's stream of server-sent events, read with the time of each.

use std::io::{self, Read};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use sse_stream::SseByteStream;

use super::wire::{Chunk, Piece};
use crate::inference::{Finish, RuntimeStats, TokenEvent, Usage};
use crate::json::clip;

/// Bytes that one read takes at most.
const READ_BYTES: usize = 64 * 1024;
/// The document that ends a stream.
const DONE: &str = "[DONE]";

/// What a stream held.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// One for each chunk with text, with the time at which it was read.
    pub(crate) tokens: Vec<TokenEvent>,
    /// All text; thoughts that a server sends apart are put into `<think>` again.
    pub(crate) text: String,
    pub(crate) finish: Finish,
    pub(crate) finish_reason: Option<String>,
    /// The model that the server says it is by.
    pub(crate) model: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) stats: Option<RuntimeStats>,
    /// When the last event was read, or the stream's end.
    pub(crate) end_ns: u64,
    /// Whether it ended because its time was up.
    pub(crate) timed_out: bool,
    /// What was wrong with it, where the server said so or it makes no sense.
    pub(crate) complaint: Option<String>,
}

impl Default for Answer {
    /// Nothing came.
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            text: String::new(),
            finish: Finish::Lost,
            finish_reason: None,
            model: None,
            usage: None,
            stats: None,
            end_ns: 0,
            timed_out: false,
            complaint: None,
        }
    }
}

/// Reads a stream to `[DONE]` or its end, at most `most_bytes` of it. `now` gives nanoseconds. All events of one read have the time
/// at which it returned.
pub(crate) fn read(body: impl Read, most_bytes: u64, now: impl Fn() -> u64) -> Answer {
    let mut reading = Reading {
        answer: Answer::default(),
        is_thinking: false,
    };
    let stamp = std::cell::Cell::new(now());
    let mut body = body.take(most_bytes);
    let mut buffer = vec![0; READ_BYTES];
    let reads = std::iter::from_fn(|| {
        let count = body.read(&mut buffer);
        stamp.set(now());
        match count {
            Ok(0) => None,
            Ok(count) => Some(Ok(Bytes::copy_from_slice(&buffer[..count]))),
            Err(error) => Some(Err(error)),
        }
    });
    let mut events = SseByteStream::new(stream::iter(reads));
    let mut number = 0;
    // The stream below never waits: it blocks.
    while let Some(event) = events.next().now_or_never().flatten() {
        number += 1;
        let goes_on = match event {
            Ok(event) => event
                .data
                .is_none_or(|data| reading.take(&data, number, stamp.get())),
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
    // What else was wrong with it came first.
    if reading.answer.finish == Finish::Lost && reading.answer.complaint.is_none() && body.limit() == 0 {
        reading.refuse(format!(
            "the stream has more than the {:.1} MB that so many tokens can need: it was read no further",
            in_mb(most_bytes)
        ));
    }
    reading.finish()
}

#[expect(clippy::cast_precision_loss, reason = "a rounded size for people")]
fn in_mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

struct Reading {
    answer: Answer,
    is_thinking: bool,
}

impl Reading {
    /// Takes one event; whether more are wanted.
    fn take(&mut self, data: &str, number: usize, at_ns: u64) -> bool {
        if data.trim() == DONE {
            self.answer.finish = Finish::Finished;
            return false;
        }
        let chunk: Chunk = match serde_json::from_str(data) {
            Ok(chunk) => chunk,
            Err(error) => {
                let (error, shown) = (clip(&error.to_string()), clip(data));
                return self.refuse(format!(
                    "event {number} of the stream is no chunk: {error}: {shown}"
                ));
            }
        };
        if let Some(complaint) = chunk.error() {
            return self.refuse(clip(&complaint));
        }
        if let Some(choice) = chunk.choice() {
            let mut pieces = choice.pieces().peekable();
            if pieces.peek().is_some() {
                self.answer.tokens.push(TokenEvent { at_ns, id: -1 });
            }
            pieces.for_each(|piece| self.write(piece));
            if choice.finish_reason.is_some() {
                self.answer.finish_reason.clone_from(&choice.finish_reason);
            }
        }
        if self.answer.model.is_none() {
            self.answer.model.clone_from(&chunk.model);
        }
        self.answer.usage = chunk.usage().or(self.answer.usage);
        self.answer.stats = chunk.stats().or(self.answer.stats);
        true
    }

    fn write(&mut self, piece: Piece<'_>) {
        let (text, is_thought) = match piece {
            Piece::Said(text) => (text, false),
            Piece::Thought(text) => (text, true),
        };
        if is_thought != self.is_thinking {
            self.answer.text += if is_thought { "<think>" } else { "</think>" };
            self.is_thinking = is_thought;
        }
        self.answer.text += text;
    }

    /// The end of a stream that makes no sense.
    fn refuse(&mut self, complaint: String) -> bool {
        self.answer.complaint = Some(complaint);
        false
    }

    fn broke_off(&mut self, error: &(dyn std::error::Error + 'static)) {
        let error_of_read = error.downcast_ref::<io::Error>();
        let cause = error_of_read.and_then(|error| error.get_ref()?.downcast_ref::<ureq::Error>());
        match error_of_read.map(io::Error::kind) {
            _ if matches!(cause, Some(ureq::Error::Timeout(_))) => self.answer.timed_out = true,
            // A stream that is cut off.
            Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {}
            _ => {
                self.refuse(format!("the stream broke off: {error}"));
            }
        }
    }

    /// A reason for its end makes an answer whole, too.
    fn finish(mut self) -> Answer {
        let whole = self.answer.complaint.is_none() && !self.answer.timed_out;
        if whole && self.answer.finish_reason.is_some() {
            self.answer.finish = Finish::Finished;
        }
        self.answer
    }
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
    fn the_first_fault_of_a_stream_that_is_too_long_is_told() {
        let body = "data: nonsense\n\ndata: and so on";
        let complaint = read(body.as_bytes(), body.len() as u64, || 0).complaint;
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
