//! An answer as checks read it, and how texts are quoted.

use std::collections::HashMap;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::analysis::thinking;

/// A text that a model gave, once for all samples with this text.
#[derive(Debug)]
pub(super) struct Answer {
    /// The whole text, including the thought.
    pub(super) whole: String,
    /// The text after the thought, with `\n` line ends and trimmed.
    pub(super) said: String,
}

/// A fenced code block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The first word after the fence, in lower case; often empty.
    pub(super) language: String,
    /// The lines between the fences, or up to the answer's end if the second fence is missing.
    pub(super) code: String,
}

impl Answer {
    pub(super) fn new(text: &str) -> Self {
        Self {
            whole: text.to_owned(),
            said: thinking::split(text).said.replace("\r\n", "\n").trim().to_owned(),
        }
    }

    /// The distinct answers among `texts` in order of first appearance, each with its count.
    pub(super) fn distinct(texts: &[&str]) -> Vec<(Self, usize)> {
        let mut places = HashMap::new();
        let mut answers: Vec<(Self, usize)> = Vec::new();
        for text in texts {
            let place = *places.entry(*text).or_insert(answers.len());
            match answers.get_mut(place) {
                Some((_, count)) => *count += 1,
                None => answers.push((Self::new(text), 1)),
            }
        }
        answers
    }

    /// Its fenced code blocks, as in Markdown.
    pub(super) fn blocks(&self) -> Vec<Block> {
        // Skip parsing for the many answers without a block.
        if !self.said.contains("```") && !self.said.contains("~~~") {
            return Vec::new();
        }
        let mut blocks: Vec<Block> = Vec::new();
        let mut inside = false;
        for event in Parser::new(&self.said) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    inside = true;
                    let language = info.split_whitespace().next().unwrap_or_default();
                    blocks.push(Block {
                        language: language.to_lowercase(),
                        code: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => inside = false,
                Event::Text(text) if inside => {
                    if let Some(block) = blocks.last_mut() {
                        block.code.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        blocks
    }
}

/// The first `most` characters of `text` in quotation marks, with control characters escaped.
pub(super) fn quoted(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_has_plain_line_ends_and_no_thoughts() {
        let answer = Answer::new("<think>hm</think> Yes.\r\nNo.\r\n");
        assert_eq!(answer.said, "Yes.\nNo.");
        assert_eq!(answer.whole, "<think>hm</think> Yes.\r\nNo.\r\n");
    }

    #[test]
    fn blocks_are_those_of_markdown() {
        let blocks = |text: &str| {
            Answer::new(text)
                .blocks()
                .into_iter()
                .map(|block| (block.language, block.code))
                .collect::<Vec<_>>()
        };
        let block = |language: &str, code: &str| (language.to_owned(), code.to_owned());
        assert_eq!(
            blocks("Here:\r\n```Python title=x\r\na\r\n\r\nb\r\n```\r\nand\r\n\r\n~~~\r\n```\r\n~~~"),
            [block("python", "a\n\nb\n"), block("", "```\n")]
        );
        assert_eq!(blocks("```\nopen"), [block("", "open")]);
        assert_eq!(blocks("- item\n  ```py\n  x\n  ```\n"), [block("py", "x\n")]);
        assert_eq!(blocks("in a line ```x``` and    none"), []);
        assert_eq!(blocks(""), []);
    }

    #[test]
    fn one_text_is_one_answer() {
        let answers = Answer::distinct(&["a", "b", "a", "a"]);
        let counts: Vec<_> = answers
            .iter()
            .map(|(answer, count)| (answer.said.as_str(), *count))
            .collect();
        assert_eq!(counts, [("a", 3), ("b", 1)]);
    }

    #[test]
    fn quotes_are_short_and_harmless() {
        assert_eq!(quoted("ab\n\u{1b}[2J", 10), r#""ab\n\u{1b}[2J""#);
        assert_eq!(quoted("ééé", 2), "\"éé\"…");
        assert_eq!(quoted("", 2), "\"\"");
        assert_eq!(quoted("\u{202e}x", 9), r#""\u{202e}x""#);
    }
}
