//! Text of others on its way to people: names, paths, messages and answers from files, servers and runtimes.
//!
//! A terminal acts on control characters, and a mark of the bidirectional algorithm turns round what stands behind it. So
//! nothing is printed raw: the console passes everything through [`for_terminal`], which lets through line ends, tabs and
//! the styles of [`styled`] alone. A line end is ours in a text and foreign in a name, which only the place where the name is
//! put into the text knows: [`Shown`] is for those.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::LazyLock;

use anstyle::Style;

/// Begins a control sequence.
const SEQUENCE: &str = "\u{1b}[";

/// Begins a sequence of ours. A terminal knows no parameter of such a number and passes over it, and no foreign text can hold
/// it, since it is another one in each process.
static OURS: LazyLock<String> = LazyLock::new(|| {
    let number = RandomState::new().hash_one(0);
    format!("{SEQUENCE}{number};")
});

/// Whether a terminal or a viewer acts on a character instead of showing it, or XML cannot hold it: control characters
/// (C0, DEL, C1), line ends of Unicode, and the embeddings, overrides and isolates of the bidirectional algorithm (UAX #9).
pub(crate) fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether [`for_terminal`] leaves a character out.
fn is_kept_from_terminal(c: char) -> bool {
    is_active(c) && c != '\n' && c != '\t'
}

/// Whether a text is shown as it is.
pub(crate) fn is_harmless(text: &str) -> bool {
    !text.chars().any(is_kept_from_terminal)
}

/// `text` in a style of ours.
pub(crate) fn styled(style: Style, text: &str) -> String {
    let ours = |sequences: String| sequences.replace(SEQUENCE, &OURS);
    ours(style.render().to_string()) + text + &ours(style.render_reset().to_string())
}

/// What is printed of a text: lines, tabs and our styles stay, anything else that is active is written out, as `\u{1b}`.
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

/// Names and paths, as a message shows them: on one line, with nothing active in it.
pub(crate) trait Shown {
    /// For a message; never for a path that is to be opened.
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

/// Several names, with commas between.
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
        // Whoever prints it without the console has a colour and no more.
        assert_eq!(anstream::adapter::strip_str(&styled(red, "a")).to_string(), "a");
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(Path::new("a\nb\tc é").shown().to_string(), "a\\u{a}b\\u{9}c é");
        assert_eq!(list(&["a", "\u{1b}"]), "a, \\u{1b}");
    }

    proptest! {
        #[test]
        fn nothing_active_is_printed(text in any::<String>(), extra in proptest::collection::vec(0_u32..0x2070, 0..20)) {
            let text: String = text.chars().chain(extra.into_iter().filter_map(char::from_u32)).collect();
            prop_assert!(is_harmless(&for_terminal(&text)));
            prop_assert!(!text.shown().to_string().contains(is_active));
        }
    }
}
