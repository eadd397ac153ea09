//! Words and names as all reports write them.

use crate::base::foreign::is_active;
use crate::record::Status;

/// `text` on one line, without terminal escapes, characters that XML forbids, and marks that reverse the text
/// direction. Names and messages come from files and from the runtime, so they may contain any of these.
pub(crate) fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        c if is_active(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(plain).collect()
}

/// Like [`plain`], but lines stay lines.
pub(super) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// A sentence about a run that did not finish; absent for a complete run.
pub(super) const fn unfinished(status: Status) -> Option<&'static str> {
    match status {
        Status::Complete => None,
        Status::Stopped => Some("The run was stopped before its end, so samples are missing."),
        Status::Changed => {
            Some("A model changed while it was measured, so its figures are not those of one model.")
        }
        Status::Running => Some("The run did not come to its end, so samples are missing."),
    }
}

/// `1 metric`, `2 metrics`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_power_over_what_stands_beside_it() {
        assert_eq!(plain("a\nb\t\u{1b}[31m\0"), "a b \u{fffd}[31m\u{fffd}");
        assert_eq!(plain("abc\u{202e}\u{2066}\u{9b}"), "abc\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(plain("مرحبا 🦙"), "مرحبا 🦙");
    }
}
