//! Folds text to a terminal without breaking a word, and renders JSON that names its format.
//!
//! Text has at most 80 columns, even on a wider terminal, so that logs, pipes and terminals show the same.

use anstyle::Style;
use serde::Serialize;
use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use crate::base::foreign::styled;
use crate::base::json;

/// Most columns of a line.
pub const WIDTH: u16 = 80;

/// Replaces a blank at which no line is folded. It is in the private use area and as wide as a blank.
const GLUE: char = '\u{f0000}';
/// Units that stay on the line of their number.
const UNITS: [&str; 19] = [
    "%", "s", "ms", "µs", "ns", "min", "h", "tok/s", "req/s", "B", "kB", "MB", "GB", "KiB", "MiB", "GiB",
    "kHz", "MHz", "GHz",
];

/// A line in bold where the terminal has it; fold it before.
pub(crate) fn heading(width: u16, line: &str) -> String {
    let folded = folded_to(width, line);
    let lines = folded
        .lines()
        .map(|line| styled(Style::new().bold(), line) + "\n");
    lines.collect()
}

/// `text` whose blanks do not fold, such as a name or a command. Only for text that goes through this module.
pub(crate) fn whole(text: &str) -> String {
    text.replace(' ', &GLUE.to_string())
}

/// Undoes [`whole`].
pub(crate) fn unglued(text: &str) -> String {
    text.replace(GLUE, " ")
}

/// Widest label that is only a mark, and must stay on the line of its text.
const MARK: usize = 4;

/// A list below its title; empty without items. An item keeps its lines.
pub(crate) fn list(width: u16, title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items = items.iter().map(|item| beside(width, "  - ", item));
    folded_to(width, &format!("{title}:")) + &items.collect::<String>()
}

/// Paragraphs folded to `width` columns. A wider word gets a line of its own.
pub(crate) fn folded_to(width: u16, text: &str) -> String {
    folded_within(width, "", text)
}

/// The same, indented.
pub(crate) fn folded_within(width: u16, indent: &str, text: &str) -> String {
    let options = Options::new(width.into()).initial_indent(indent);
    wrapped(options.subsequent_indent(indent), text)
}

/// A text after its label, aligned in one column. If a word does not fit into the rest of the line, the text starts
/// further left.
pub(crate) fn beside(width: u16, label: &str, text: &str) -> String {
    let blanks = display_width(label);
    let words = glued(text);
    let widths = || words.split([' ', '\n']).map(display_width);
    let fits = |word: Option<usize>| blanks + word.unwrap_or(0) <= usize::from(width);
    if blanks > MARK && !fits(widths().next()) {
        return format!("{}\n{}", label.trim_end(), folded_within(width, "  ", text));
    }
    let fits = fits(widths().max());
    let indent = " ".repeat(if fits { blanks } else { blanks.min(2) });
    let options = Options::new(width.into()).initial_indent(label);
    wrapped(options.subsequent_indent(&indent), text)
}

/// Folds the lines of a message, except indented ones: those are commands to copy or the output of another program.
pub(crate) fn message(width: u16, text: &str) -> String {
    let folded = text.lines().map(|line| {
        if line.starts_with("  ") {
            format!("{line}\n")
        } else {
            folded_to(width, line)
        }
    });
    folded.collect()
}

fn wrapped(options: Options, text: &str) -> String {
    let options = options
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let text = glued(text);
    let lines = textwrap::wrap(&text, options);
    let lines = lines.iter().map(|line| format!("{}\n", line.trim_end()));
    unglued(&lines.collect::<String>())
}

/// `text` with glue for each blank that must not fold: within a number and its unit, an interval, a flag and its value,
/// this program and its subcommand, or a command in backticks.
fn glued(text: &str) -> String {
    let mut in_code = false;
    let mut glued = String::with_capacity(text.len());
    let words: Vec<&str> = text.split(' ').collect();
    for (index, word) in words.iter().enumerate() {
        glued += word;
        if let Some(next) = words.get(index + 1) {
            let is_open = in_code || (opens(word) && words[index + 1..].iter().any(|word| closes(word)));
            in_code = is_open && !closes(word);
            let stay = in_code || belong_together(word, next);
            glued.push(if stay { GLUE } else { ' ' });
        }
    }
    glued
}

/// Whether code in backticks begins with this word.
fn opens(word: &str) -> bool {
    let word = word.trim_start_matches('(');
    word.starts_with('`') && word.len() > 1
}

/// Whether it ends with this word.
fn closes(word: &str) -> bool {
    let word = word.trim_end_matches([',', ';', ':', '.', ')']);
    word.ends_with('`') && word.len() > 1
}

fn belong_together(word: &str, next: &str) -> bool {
    let unit = next.trim_end_matches([',', ';', ':', '.', ')', ']']);
    let is_amount = word.ends_with(|c: char| c.is_ascii_digit()) && UNITS.contains(&unit);
    let word = word.trim_start_matches('(');
    let is_interval = word.starts_with('[') && word.ends_with(',');
    let is_flag = word.starts_with("--")
        && word.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !word.contains('=')
        && next.contains(|c: char| c.is_ascii_digit() || c == '=');
    let is_command = word.ends_with("rkllm-bench") && next.starts_with(|c: char| c.is_ascii_lowercase());
    is_amount || is_interval || is_flag || is_command
}

/// A document with its `kind` and `schema_version` first. Numbers that are not finite become `null`.
#[expect(
    clippy::expect_used,
    reason = "keys are text and nothing is written but memory"
)]
pub(crate) fn document(kind: &'static str, schema_version: u32, content: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Document<'a, T> {
        schema_version: u32,
        kind: &'static str,
        #[serde(flatten)]
        content: &'a T,
    }
    let document = Document {
        schema_version,
        kind,
        content,
    };
    json::pretty(&document).expect("a report is JSON") + "\n"
}

/// Asserts that no line is wider than `width`, except for one of `names` with a short label, and that each name is
/// unbroken.
#[cfg(test)]
pub(crate) fn assert_fits(text: &str, width: u16, names: &[&str]) {
    const LABEL: usize = 24;
    for name in names {
        assert!(text.contains(name), "{name} is not whole at {width}:\n{text}");
    }
    for line in text.lines().filter(|line| display_width(line) > width.into()) {
        let rest = names
            .iter()
            .fold(line.to_owned(), |line, name| line.replace(name, ""));
        assert!(
            rest != line && display_width(rest.trim()) <= LABEL,
            "too wide for {width}: {line}\n{text}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_broken_and_one_that_is_too_wide_has_its_own_line() {
        let path =
            "/a/very/long/folder/of/somebody/target/rkllm-bench/runs/20261124T211128Z-quick-6b7555.json";
        assert_eq!(
            folded_to(30, &format!("the record is in {path} and nowhere else")),
            format!("the record is in\n{path}\nand nowhere else\n")
        );
        assert_eq!(folded_to(10, ""), "\n");
    }

    #[test]
    fn numbers_stay_with_their_units_and_flags_with_their_values() {
        for (text, folded) in [
            ("it took 12.5 s", "it took\n12.5 s\n"),
            ("at most 5 %, say", "at most\n5 %, say\n"),
            ("or 1 [0.5, 2.5]", "or 1\n[0.5, 2.5]\n"),
            ("add --pairs 20", "add\n--pairs 20\n"),
            ("a rkllm-bench ab", "a\nrkllm-bench ab\n"),
            ("try `a b c d`", "try\n`a b c d`\n"),
            ("try it's `a b c", "try it's `a\nb c\n"),
        ] {
            assert_eq!(folded_to(11, text), folded);
        }
    }

    #[test]
    fn lines_of_an_item_begin_in_one_column_unless_a_word_is_too_wide() {
        let items = ["one two three".to_owned(), "see /a/path/of/20/chars".to_owned()];
        assert_eq!(
            list(14, "notes", &items),
            "notes:\n  - one two\n    three\n  - see\n  /a/path/of/20/chars\n"
        );
        assert_eq!(list(14, "notes", &[]), "");
    }

    #[test]
    fn commands_in_a_message_are_left_as_they_are() {
        assert_eq!(
            message(12, "it failed because of this\n  cargo bench --bench quick\n"),
            "it failed\nbecause of\nthis\n  cargo bench --bench quick\n"
        );
    }

    #[test]
    fn wide_and_right_to_left_text_is_folded_by_what_is_shown() {
        assert_eq!(folded_to(9, "通义 千问 模型"), "通义 千问\n模型\n");
        assert_eq!(folded_to(8, "مرحبا بكم"), "مرحبا\nبكم\n");
    }
}
