//! Lines of a stream that are no fields of an event. The format has readers ignore them, and servers put errors there.

use super::complaint;

/// Bytes of such lines that are kept.
const MOST_BYTES: usize = 4 << 10;

/// Looks at a stream line by line.
#[derive(Debug, Default)]
pub(super) struct Stray {
    /// The line at hand, its beginning.
    line: Vec<u8>,
    /// Whether the piece before ended in a carriage return.
    after_return: bool,
    /// Whether a line has ended, so that no byte-order mark can come any more.
    begun: bool,
    /// The lines that have ended and are no fields.
    text: String,
    /// The data of an event that has not ended.
    data: String,
    /// The first complaint among the lines that are no fields.
    complaint: Option<String>,
}

impl Stray {
    /// Takes a piece of the stream that has at most one end of a line, as its last byte.
    pub(super) fn pass(&mut self, piece: &[u8]) {
        let bare = piece.strip_suffix(b"\n").or_else(|| piece.strip_suffix(b"\r"));
        let part = bare.unwrap_or(piece);
        let room = MOST_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        if bare.is_some() {
            // The second half of a pair of line ends is no empty line.
            self.end_line(piece == b"\n" && self.after_return);
        }
        self.after_return = piece.ends_with(b"\r");
    }

    /// Looks at what is left when the stream has ended.
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

    /// What the server complained of outside of events.
    pub(super) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// All lines that are no fields.
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
