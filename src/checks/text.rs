//! The check `text`: how what was said begins and ends, and what is in it.

use super::Finding;
use super::answer::{Answer, quoted};

/// Characters of a text that are quoted.
const QUOTED: usize = 40;

/// What is asked of the text.
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
