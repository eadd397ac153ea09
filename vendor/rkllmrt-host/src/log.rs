//! What the runtime prints: `I` and `W` lines on stdout as the real one does, `E` lines on stderr.

use std::fmt::Display;
use std::io::{self, Write};

/// A line that cannot be written is lost: a closed stream must not end the client's process.
pub(crate) fn info(message: impl Display) {
    let _ = writeln!(io::stdout(), "I rkllm: {message}");
}

/// Something the client asked for and does not get in full.
pub(crate) fn warning(message: impl Display) {
    let _ = writeln!(io::stdout(), "W rkllm: {message}");
}

/// Why a call failed: one line, whatever the message holds.
pub(crate) fn error(message: impl Display) {
    let _ = writeln!(io::stderr(), "E rkllm: {}", one_line(&message.to_string()));
}

/// A message as one line, no longer than somebody reads, in which a terminal finds nothing to act on: it may quote a file.
fn one_line(message: &str) -> String {
    const MOST_CHARACTERS: usize = 1000;
    let words: Vec<&str> = message.split_whitespace().collect();
    let line = words.join(" ");
    let shown = line.chars().take(MOST_CHARACTERS);
    shown
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_message_that_quotes_a_file_is_one_short_line() {
        assert_eq!(one_line(" a\n  b\u{1b}[2Jc "), "a b\u{fffd}[2Jc");
        assert_eq!(one_line(&"x".repeat(5000)).len(), 1000);
    }
}
