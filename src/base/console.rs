//! All printing except progress bars. [`for_terminal`] keeps foreign text from acting on the terminal.
//!
//! A reader that closes the pipe, such as `head`, is no error: measuring continues. Any other failure to write to
//! stdout is kept until the program ends. [`exit::finish`](crate::base::exit::finish) then reports it, since a result
//! that nobody can read is no success.
//!
//! Text may have styles. `--color` decides whether they are shown; without it the terminal and the environment do, by
//! the rules of anstream (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`, `CI`).

use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anstream::ColorChoice;

use crate::base::foreign::{for_terminal, is_harmless};
use crate::base::layout::WIDTH;
use crate::base::layout::message;

/// Fewest columns that text is folded to.
const NARROWEST: u16 = 60;

/// The first failure to write to stdout.
static TROUBLE: Mutex<Option<std::io::Error>> = Mutex::new(None);
/// Whether stdout is reserved for a document.
static IS_RESERVED: AtomicBool = AtomicBool::new(false);

/// Columns for text on stdout: 80, or fewer on a narrower terminal.
pub(crate) fn width() -> u16 {
    columns(std::io::stdout()).unwrap_or(WIDTH)
}

/// Reserves stdout for the document that [`deliver`] writes. From now on [`print()`] writes to stderr.
pub(crate) fn reserve_stdout() {
    IS_RESERVED.store(true, Ordering::Relaxed);
}

fn is_reserved() -> bool {
    IS_RESERVED.load(Ordering::Relaxed)
}

/// Columns for text on a terminal; absent if `stream` is no terminal.
pub(crate) fn columns(stream: impl AsFd) -> Option<u16> {
    let columns = rustix::termios::tcgetwinsize(stream).ok()?.ws_col;
    (columns > 0).then(|| columns.clamp(NARROWEST, WIDTH))
}

/// Prints a message and a newline to stderr. It is folded on a terminal only; in a log a message stays on one line, so
/// that it can be searched for.
pub(crate) fn say(text: impl std::fmt::Display) {
    let text = for_terminal(&format!("{text}\n"));
    let text = match columns(std::io::stderr()) {
        Some(columns) => message(columns, &text),
        None => text,
    };
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Prints results to stdout, unchanged.
pub(crate) fn print(text: &str) {
    print_styled(&for_terminal(text));
}

fn print_styled(text: &str) {
    if is_reserved() {
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    } else {
        note(write(anstream::stdout().lock(), text.as_bytes()));
    }
}

/// Prints the output of clap: errors to stderr, requested help to stdout.
pub(crate) fn print_usage(error: &clap::Error) {
    let plain = error.render().to_string();
    // Clap quotes arguments, which may hold sequences that look like its own styles.
    let text = if is_harmless(&plain) {
        error.render().ansi().to_string()
    } else {
        for_terminal(&plain)
    };
    if error.use_stderr() {
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    } else {
        print_styled(&text);
    }
}

/// Writes a document to stdout, unchanged unless stdout is a terminal.
pub(crate) fn deliver(bytes: &[u8]) {
    if std::io::stdout().is_terminal() {
        let text = for_terminal(&String::from_utf8_lossy(bytes));
        note(write(std::io::stdout().lock(), text.as_bytes()));
        return;
    }
    note(write(std::io::stdout().lock(), bytes));
}

/// Without a deadline: a user may read a pager slowly. A stop signal still ends the program.
fn write(mut to: impl Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes).and_then(|()| to.flush())
}

/// Remembers a failure to write to stdout, unless the reader closed the pipe.
fn note(outcome: std::io::Result<()>) {
    if let Err(error) = outcome
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        let mut trouble = TROUBLE.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert(error);
    }
}

/// Takes the first failure to write to stdout, if there was one.
pub(crate) fn take_trouble() -> Option<std::io::Error> {
    TROUBLE.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Sets whether styles are shown. Without this call, and with `auto`, the terminal and the environment decide.
pub(crate) fn set_colour(choice: clap::ColorChoice) {
    let choice = match choice {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether stderr shows styles, and so can overwrite lines.
pub(crate) fn has_styles() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// Calls `each` with every line from a pipe until its other end closes.
pub(crate) fn each_line(from: impl Read, mut each: impl FnMut(&str)) {
    for line in BufReader::new(from).split(b'\n').map_while(std::io::Result::ok) {
        each(&String::from_utf8_lossy(&line));
    }
}
