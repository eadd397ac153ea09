//! The check `sections`: the requested Markdown headings, in order.

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use super::answer::quoted;
use super::outcome::{Finding, Judge, counted};
use crate::inputs::prompts::check::heading_parts;

/// Characters of a heading that are quoted.
const QUOTED: usize = 40;

pub(super) fn name(headings: &[String]) -> String {
    format!("sections {}", headings.len())
}

pub(super) fn judge(headings: &[String], only: bool) -> Judge<'_> {
    Box::new(move |answer| in_order(headings, &headings_of(&answer.said), only))
}

const fn depth_of(level: HeadingLevel) -> usize {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// A heading of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Heading {
    level: usize,
    text: String,
}

impl Heading {
    fn is(&self, asked: &str) -> bool {
        let (level, text) = heading_parts(asked);
        level.is_none_or(|level| level == self.level) && text == self.text
    }
}

/// The headings of a Markdown text, without the marks inside them.
fn headings_of(markdown: &str) -> Vec<Heading> {
    let mut headings: Vec<Heading> = Vec::new();
    let mut inside = false;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                inside = true;
                headings.push(Heading {
                    level: depth_of(level),
                    text: String::new(),
                });
            }
            Event::End(TagEnd::Heading(_)) => inside = false,
            Event::Text(text) | Event::Code(text) if inside => {
                if let Some(heading) = headings.last_mut() {
                    heading.text.push_str(&text);
                }
            }
            _ => {}
        }
    }
    headings
}

fn in_order(asked: &[String], found: &[Heading], only: bool) -> Finding {
    let mut rest = found.iter();
    for heading in asked {
        if !rest.any(|other| other.is(heading)) {
            let why = if found.iter().any(|other| other.is(heading)) {
                "out of order"
            } else {
                "missing"
            };
            return Err(format!(
                "{} {why}; {} found",
                quoted(heading, QUOTED),
                counted(found.len(), "heading")
            ));
        }
    }
    if only && found.len() > asked.len() {
        let other = found
            .iter()
            .find(|heading| !asked.iter().any(|asked| heading.is(asked)));
        let what = other.map_or_else(
            || "one occurs twice".to_owned(),
            |heading| format!("among them {}", quoted(&heading.text, QUOTED)),
        );
        return Err(format!(
            "{}, {} asked, {what}",
            counted(found.len(), "heading"),
            asked.len()
        ));
    }
    Ok(format!("all {} in order", counted(asked.len(), "heading")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Verdict::{Fail, Pass};
    use super::super::fixtures::assert_judged;

    #[test]
    fn headings_are_there_in_order() {
        assert_judged(
            &json!({"check": "sections", "headings": ["## Goals", "Risks"]}),
            &[
                ("## Goals\na\n## Risks\nb", Pass, "all 2 headings in order"),
                (
                    "# Plan\r\n\r\n## **Goals**\r\n\r\n#### More\r\n\r\nRisks\r\n===\r\n",
                    Pass,
                    "all 2 headings in order",
                ),
                ("## Goals ##\n###### `Risks`", Pass, "all 2 headings in order"),
                (
                    "## Risks\n## Goals",
                    Fail,
                    "\"Risks\" out of order; 2 headings found",
                ),
                (
                    "# Goals\n## Risks",
                    Fail,
                    "\"## Goals\" missing; 2 headings found",
                ),
                (
                    "## Goals\n```\n## Risks\n```\n",
                    Fail,
                    "\"Risks\" missing; 1 heading found",
                ),
                (
                    "## Goals\n~~~\n## Risks",
                    Fail,
                    "\"Risks\" missing; 1 heading found",
                ),
                ("##Goals\n## Risks", Fail, "\"## Goals\" missing; 1 heading found"),
                ("Goals\nRisks", Fail, "\"## Goals\" missing; 0 headings found"),
                (
                    "<think>## Goals</think>\n## Risks",
                    Fail,
                    "\"## Goals\" missing; 1 heading found",
                ),
                ("", Fail, "\"## Goals\" missing; 0 headings found"),
            ],
        );
    }

    #[test]
    fn others_are_told_when_there_are_to_be_none() {
        assert_judged(
            &json!({"check": "sections", "headings": ["# A", "# B"], "only": true}),
            &[
                ("# A\n# B", Pass, "all 2 headings in order"),
                (
                    "# A\n# B\n## C|`\u{1b}",
                    Fail,
                    r#"3 headings, 2 asked, among them "C|`\u{1b}""#,
                ),
                ("# A\n# A\n# B", Fail, "3 headings, 2 asked, one occurs twice"),
            ],
        );
    }
}
