//! Shows foreign text to people: names, paths, messages and answers from files, servers and runtimes.
//!
//! A terminal acts on control characters, and a bidirectional mark reverses the text after it. So no foreign text is
//! printed raw. The console passes everything through [`for_terminal`], which keeps newlines, tabs and the styles of
//! [`styled`]. A newline is ours in a text but foreign in a name. Only the code that inserts a name into a text knows
//! the difference: it uses [`Shown`].

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::LazyLock;

use anstyle::Style;

/// The start of a control sequence.
const SEQUENCE: &str = "\u{1b}[";

/// The start of a control sequence of ours. Terminals ignore a parameter with such a number. Foreign text cannot
/// contain it, since each process chooses another number.
static OURS: LazyLock<String> = LazyLock::new(|| {
    let number = RandomState::new().hash_one(0);
    format!("{SEQUENCE}{number};")
});

/// Whether a terminal or a viewer acts on a character instead of showing it, or XML cannot hold it: control characters
/// (C0, DEL, C1), Unicode line ends, and bidirectional embeddings, overrides and isolates (UAX #9).
pub(crate) fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether [`for_terminal`] leaves a character out.
fn is_kept_from_terminal(c: char) -> bool {
    is_active(c) && c != '\n' && c != '\t'
}

/// Whether a text can be shown unchanged.
pub(crate) fn is_harmless(text: &str) -> bool {
    !text.chars().any(is_kept_from_terminal)
}

/// `text` in a style of ours.
pub(crate) fn styled(style: Style, text: &str) -> String {
    let ours = |sequences: String| sequences.replace(SEQUENCE, &OURS);
    ours(style.render().to_string()) + text + &ours(style.render_reset().to_string())
}

/// `text` as printed: newlines, tabs and our styles stay; any other active character is escaped, as `\u{1b}`.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (index, part) in text.split(OURS.as_str()).enumerate() {
        if index > 0 {
            shown += SEQUENCE;
        }
        written_out(part, is_kept_from_terminal, &mut shown);
    }
    shown
}

fn written_out(text: &str, is_meant: fn(char) -> bool, to: &mut String) {
    for c in text.chars() {
        if is_meant(c) {
            to.extend(c.escape_unicode());
        } else {
            to.push(c);
        }
    }
}

/// Shows names and paths in messages: on one line, with active characters escaped.
pub(crate) trait Shown {
    /// For a message; never for a path that is opened.
    fn shown(&self) -> Name<'_>;
}

impl Shown for OsStr {
    fn shown(&self) -> Name<'_> {
        Name(self)
    }
}

impl Shown for Path {
    fn shown(&self) -> Name<'_> {
        Name(self.as_os_str())
    }
}

impl Shown for str {
    fn shown(&self) -> Name<'_> {
        Name(self.as_ref())
    }
}

/// Several names, separated by commas.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| name.as_ref().shown().to_string())
        .collect();
    names.join(", ")
}

/// A name as it is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a>(&'a OsStr);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            if is_active(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}b\r\u{7f}\u{2066}\u{2028}\u{1b}[31mc";

    #[test]
    fn styles_of_ours_alone_reach_the_terminal() {
        let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
        let text = styled(red, HOSTILE) + "\n\tz";
        assert_eq!(
            for_terminal(&text),
            "\u{1b}[1m\u{1b}[31ma\\u{1b}]0;x\\u{7}\\u{9b}2J\\u{202e}b\\u{d}\\u{7f}\\u{2066}\\u{2028}\\u{1b}[31mc\
             \u{1b}[0m\n\tz"
        );
        // Printed without the console, it still has only a colour.
        assert_eq!(anstream::adapter::strip_str(&styled(red, "a")).to_string(), "a");
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(Path::new("a\nb\tc é").shown().to_string(), "a\\u{a}b\\u{9}c é");
        assert_eq!(list(&["a", "\u{1b}"]), "a, \\u{1b}");
    }

    proptest! {
        #[test]
        fn nothing_active_is_printed(
            text in any::<String>(),
            extra in proptest::collection::vec(0_u32..0x2070, 0..20),
        ) {
            let text: String = text.chars().chain(extra.into_iter().filter_map(char::from_u32)).collect();
            prop_assert!(is_harmless(&for_terminal(&text)));
            prop_assert!(!text.shown().to_string().contains(is_active));
        }
    }
}
