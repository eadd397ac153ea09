//! Lines of a stream that are not fields of an event. The format lets readers ignore them, but servers put errors
//! there.

use super::complaint;

/// Limit of the bytes that are kept of such lines.
const MOST_BYTES: usize = 4 << 10;

/// Examines a stream line by line.
#[derive(Debug, Default)]
pub(super) struct Stray {
    /// The beginning of the current line.
    line: Vec<u8>,
    /// Whether the previous piece ended in a carriage return.
    after_return: bool,
    /// Whether a line has ended. A byte-order mark can only come before that.
    begun: bool,
    /// The complete lines that are not fields.
    text: String,
    /// The data of an incomplete event.
    data: String,
    /// The first error in the lines that are not fields.
    complaint: Option<String>,
}

impl Stray {
    /// Takes a piece of the stream. Only its last byte may end a line.
    pub(super) fn pass(&mut self, piece: &[u8]) {
        let bare = piece.strip_suffix(b"\n").or_else(|| piece.strip_suffix(b"\r"));
        let part = bare.unwrap_or(piece);
        let room = MOST_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        if bare.is_some() {
            // The second half of a CR LF pair is not an empty line.
            self.end_line(piece == b"\n" && self.after_return);
        }
        self.after_return = piece.ends_with(b"\r");
    }

    /// Examines the rest when the stream has ended.
    pub(super) fn end(&mut self) {
        self.end_line(true);
        for text in [&self.text, &self.data] {
            self.complaint = self.complaint.take().or_else(|| complaint::in_text(text));
        }
    }

    fn end_line(&mut self, may_be_half: bool) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if self.begun {
            &line
        } else {
            line.trim_start_matches('\u{feff}')
        };
        self.begun = true;
        let has_room = self.text.len() + self.data.len() + line.len() <= MOST_BYTES;
        if let Some(data) = line.strip_prefix("data:") {
            if has_room {
                self.data += data;
            }
        } else if line.is_empty() && !may_be_half {
            self.data.clear();
        } else if !is_field(line) && has_room {
            self.complaint = self.complaint.take().or_else(|| complaint::in_text(line));
            self.text += line;
            self.text.push('\n');
        }
    }

    /// The server's error outside of events.
    pub(super) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// All lines that are not fields.
    pub(super) fn text(&self) -> &str {
        self.text.trim()
    }
}

fn is_field(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    line.trim().is_empty() || ["", "data", "event", "id", "retry"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_field_is_kept() {
        let mut stray = Stray::default();
        for piece in [
            "\u{feff}da",
            "ta: x\r",
            "\n",
            "\n",
            ": ping\n",
            "oops\n",
            "id\n",
            "\n",
            "err",
        ] {
            stray.pass(piece.as_bytes());
        }
        assert_eq!(stray.complaint(), None);
        stray.pass(b"or: y");
        stray.end();
        assert_eq!((stray.text(), stray.complaint()), ("oops\nerror: y", Some("y")));
    }

    #[test]
    fn a_complaint_in_an_event_that_did_not_end_is_one() {
        for (stream, complaint) in [
            (&["data: {\"error\":", "\"y\"}\n"][..], Some("y")),
            (&["data: {\"error\":\"y\"}\n", "\n", "\n"], None),
            (&["data: {\"error\":\"y\"}\r", "\n", "\r", "\n"], None),
            (&["data: {\"error\":\"y\"}\r", "\n"], Some("y")),
            (&["data: {\"cho"], None),
        ] {
            let mut stray = Stray::default();
            for piece in stream {
                stray.pass(piece.as_bytes());
            }
            stray.end();
            assert_eq!(stray.complaint(), complaint, "{stream:?}");
        }
    }
}
