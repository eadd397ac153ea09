//! Words and names as all reports write them.

use crate::record::Status;

/// `text` on one line and without what a terminal would obey or XML cannot hold: names and messages come from files
/// and from the runtime.
pub(super) fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(plain).collect()
}

/// Like [`plain`], but lines stay lines.
pub(super) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// That a run did not come to its end; nothing of one that did.
pub(super) const fn unfinished(status: Status) -> Option<&'static str> {
    match status {
        Status::Complete => None,
        Status::Stopped => Some("The run was stopped before its end, so samples are missing."),
        Status::Running => Some("The run did not come to its end, so samples are missing."),
    }
}

/// `1 metric`, `2 metrics`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
