//! From the bytes of tokens to text.

use std::ffi::{CStr, c_char};

/// Stands for bytes that are no UTF-8, and for NUL, which would end a C string early.
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// Collects the bytes of tokens until they are whole characters.
#[derive(Debug)]
pub(crate) struct TextDecoder {
    /// Bytes not handed out yet. Between tokens: empty, or text whose last character is cut.
    pending: Vec<u8>,
    /// What was handed out last, NUL-terminated.
    text: Vec<u8>,
}

impl TextDecoder {
    /// With room for the pieces of any usual vocabulary, so that decoding does not allocate.
    pub(crate) fn new() -> Self {
        Self {
            pending: Vec::with_capacity(256),
            text: Vec::with_capacity(1024),
        }
    }

    /// Takes a token's bytes, pushed by `fill`, and gives the text that is whole now; `None`: the last character is
    /// cut and the text comes with a later token. A token without bytes has empty text and changes nothing.
    pub(crate) fn feed(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Option<Text<'_>> {
        let before = self.pending.len();
        fill(&mut self.pending);
        self.text.clear();
        if self.pending.len() > before {
            let cut = |bytes: &[u8]| matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none());
            let mut rest = self.pending.utf8_chunks().peekable();
            while let Some(chunk) = rest.next() {
                if rest.peek().is_none() && cut(chunk.invalid()) {
                    return None;
                }
                push_without_nul(&mut self.text, chunk.valid());
                if !chunk.invalid().is_empty() {
                    self.text.extend_from_slice(REPLACEMENT);
                }
            }
            self.pending.clear();
        }
        self.text.push(0);
        Some(Text(&self.text))
    }
}

fn push_without_nul(out: &mut Vec<u8>, text: &str) {
    for (index, part) in text.split('\0').enumerate() {
        if index > 0 {
            out.extend_from_slice(REPLACEMENT);
        }
        out.extend_from_slice(part.as_bytes());
    }
}

/// UTF-8 with one NUL, at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(&'a [u8]);

impl Text<'_> {
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(self.0).unwrap_or_default()
    }

    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.as_c_str().as_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::TextDecoder;

    /// What each piece in turn gives, `None` for waiting.
    fn decode(pieces: &[&[u8]]) -> Vec<Option<Box<str>>> {
        let mut decoder = TextDecoder::new();
        pieces
            .iter()
            .map(|piece| {
                let text = decoder.feed(|out| out.extend_from_slice(piece));
                text.map(|text| text.as_c_str().to_string_lossy().into())
            })
            .collect()
    }

    #[test]
    fn whole_pieces_pass_at_once() {
        assert_eq!(
            decode(&[b"a", "é".as_bytes(), b""]),
            [Some("a".into()), Some("é".into()), Some("".into())]
        );
    }

    #[test]
    fn a_character_split_over_three_pieces_comes_with_the_last() {
        assert_eq!(
            decode(&[b"\xe2", b"\x82", b"\xac"]),
            [None, None, Some("€".into())]
        );
    }

    #[test]
    fn text_before_a_cut_character_waits_with_it() {
        assert_eq!(decode(&[b"ab\xe2\x82", b"\xac!"]), [None, Some("ab€!".into())]);
    }

    #[test]
    fn a_special_token_between_the_bytes_of_a_character_has_empty_text() {
        assert_eq!(
            decode(&[b"\xe2\x82", b"", b"\xac"]),
            [None, Some("".into()), Some("€".into())]
        );
    }

    #[test]
    fn bytes_that_can_never_be_text_are_replaced_at_once() {
        assert_eq!(decode(&[b"\x80"]), [Some("\u{FFFD}".into())]);
        assert_eq!(decode(&[b"\xe2", b"a"]), [None, Some("\u{FFFD}a".into())]);
        assert_eq!(
            decode(&[b"\xe2\x82\xe2", b"\x82\xac"]),
            [None, Some("\u{FFFD}€".into())]
        );
    }

    #[test]
    fn a_nul_does_not_end_the_text() {
        assert_eq!(decode(&[b"a\0b"]), [Some("a\u{FFFD}b".into())]);
    }
}
