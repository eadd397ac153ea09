//! All printing, but for progress bars. A reader that has left, as `head` does, is no error: what is measured goes on.
//!
//! Text may have styles; they are taken out where there is no terminal, or `NO_COLOR` is set.

use std::io::{Read, Write};
use std::process::Child;

use crate::report::WIDTH;

/// Columns below which a table is not folded further: its figures would break within their digits.
const NARROWEST: u16 = 60;

/// Columns for tables on stdout: 80, or those of a narrower terminal.
pub(crate) fn width() -> u16 {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    let columns = size.map_or(0, |size| size.ws_col);
    match columns {
        0 => WIDTH,
        columns => columns.clamp(NARROWEST, WIDTH),
    }
}

/// Prints `text` and a line's end to stderr: messages.
pub(crate) fn say(text: impl std::fmt::Display) {
    let _ = anstream::stderr()
        .lock()
        .write_all(format!("{text}\n").as_bytes());
}

/// Prints `text` as it is to stdout: results.
pub(crate) fn print(text: &str) {
    let mut stdout = anstream::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes `bytes` to stdout where they are what was asked for, a document: all of them, or an error.
///
/// # Errors
/// What kept them from being written, but for a reader that has left.
pub(crate) fn deliver(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Passes on what `child` prints into pipes, and goes on reading when nobody else does.
pub(crate) fn pass_on(child: &mut Child) {
    std::thread::scope(|scope| {
        if let Some(stderr) = child.stderr.take() {
            scope.spawn(|| copy(stderr, std::io::stderr()));
        }
        if let Some(stdout) = child.stdout.take() {
            copy(stdout, std::io::stdout());
        }
    });
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let _ = to.write_all(&buffer[..count]).and_then(|()| to.flush());
    }
}
