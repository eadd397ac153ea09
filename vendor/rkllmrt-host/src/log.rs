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
    let line = message
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let _ = writeln!(io::stderr(), "E rkllm: {line}");
}
