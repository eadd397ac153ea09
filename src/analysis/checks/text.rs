//! The check `text`: how the answer starts and ends, and what it contains.

use super::answer::{Answer, quoted};
use super::outcome::Finding;

/// Characters of a text that are quoted.
const QUOTED: usize = 40;

/// The requested parts of the text.
pub(super) struct Asked<'a> {
    starts_with: Option<&'a str>,
    ends_with: Option<&'a str>,
    contains: &'a [String],
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        starts_with: Option<&'a str>,
        ends_with: Option<&'a str>,
        contains: &'a [String],
    ) -> Self {
        Self {
            starts_with,
            ends_with,
            contains,
        }
    }

    pub(super) fn name(&self) -> String {
        let start = self
            .starts_with
            .map(|text| format!("starts with {}", quoted(text, QUOTED)));
        let end = self
            .ends_with
            .map(|text| format!("ends with {}", quoted(text, QUOTED)));
        let within = match self.contains {
            [] => None,
            [text] => Some(format!("contains {}", quoted(text, QUOTED))),
            [text, more @ ..] => Some(format!(
                "contains {} and {} more",
                quoted(text, QUOTED),
                more.len()
            )),
        };
        let parts: Vec<String> = [start, end, within].into_iter().flatten().collect();
        parts.join(", ")
    }

    pub(super) fn judge(&self, answer: &Answer) -> Finding {
        let said = answer.said.as_str();
        if let Some(text) = self.starts_with.filter(|text| !said.starts_with(text)) {
            return Err(format!(
                "it starts with {}, not {}",
                quoted(said, QUOTED),
                quoted(text, QUOTED)
            ));
        }
        if let Some(text) = self.ends_with.filter(|text| !said.ends_with(text)) {
            let first = said
                .char_indices()
                .rev()
                .nth(QUOTED - 1)
                .map_or(0, |(place, _)| place);
            return Err(format!(
                "it ends with {}, not {}",
                quoted(&said[first..], QUOTED),
                quoted(text, QUOTED)
            ));
        }
        let missing: Vec<&String> = self
            .contains
            .iter()
            .filter(|text| !said.contains(*text))
            .collect();
        if let Some(first) = missing.first() {
            return Err(format!(
                "{} of {} texts missing, the first: {}",
                missing.len(),
                self.contains.len(),
                quoted(first, QUOTED)
            ));
        }
        Ok("the text is as asked".into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Verdict::{Fail, Pass};
    use super::super::fixtures::assert_judged;
    use super::*;

    #[test]
    fn beginning_end_and_what_is_within() {
        assert_judged(
            &json!({"check": "text", "starts_with": "# ", "ends_with": "\nThe End.", "contains": ["a", "é|"]}),
            &[
                ("# a\né|\nThe End.", Pass, "the text is as asked"),
                ("\r\n# a\r\né|\r\nThe End.\r\n", Pass, "the text is as asked"),
                ("<think>x</think># aé|\nThe End.", Pass, "the text is as asked"),
                (
                    "## aé|\nThe End.",
                    Fail,
                    r###"it starts with "## aé|\nThe End.", not "# ""###,
                ),
                (
                    "# aé|\nThe end.",
                    Fail,
                    r##"it ends with "# aé|\nThe end.", not "\nThe End.""##,
                ),
                ("# é|\nThe End.", Fail, "1 of 2 texts missing, the first: \"a\""),
                ("# \nThe End.", Fail, "2 of 2 texts missing, the first: \"a\""),
                (
                    "# aé|\nThe End.\nMore.",
                    Fail,
                    r##"it ends with "# aé|\nThe End.\nMore.", not "\nThe End.""##,
                ),
                ("", Fail, "it starts with \"\", not \"# \""),
            ],
        );
    }

    #[test]
    fn long_texts_are_quoted_at_the_right_end() {
        let said = format!("{}{}", "é".repeat(60), "ü".repeat(50));
        assert_judged(
            &json!({"check": "text", "ends_with": "x"}),
            &[(
                &said,
                Fail,
                &format!("it ends with \"{}\", not \"x\"", "ü".repeat(40)),
            )],
        );
        assert_judged(
            &json!({"check": "text", "starts_with": "x"}),
            &[(
                &said,
                Fail,
                &format!("it starts with \"{}\"…, not \"x\"", "é".repeat(40)),
            )],
        );
    }

    #[test]
    fn the_name_says_what_is_asked() {
        let contains = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let name = |asked: Asked| asked.name();
        assert_eq!(
            name(Asked::new(Some("\u{1b}|"), Some("y"), &contains[..1])),
            r#"starts with "\u{1b}|", ends with "y", contains "a""#
        );
        assert_eq!(
            name(Asked::new(None, None, &contains)),
            "contains \"a\" and 2 more"
        );
    }
}
