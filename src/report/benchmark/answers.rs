//! The answers to one prompt: each distinct one in full.

use std::fmt::Write as _;

use crate::analysis::thinking::{self, Thinking};
use crate::record::PromptRecord;
use crate::report::markup::fenced;

/// The first answer; other distinct answers are collapsed.
pub(super) fn markdown(prompt: &PromptRecord) -> String {
    let mut different: Vec<Answer> = Vec::new();
    for (index, sample) in prompt.samples.iter().enumerate() {
        let text = sample.inference.text.as_str();
        let number = index + 1;
        match different.iter_mut().find(|answer| answer.text == text) {
            Some(known) => known.samples.push(number),
            None => different.push(Answer {
                text,
                samples: vec![number],
            }),
        }
    }
    let Some((first, others)) = different.split_first() else {
        return "\nThere is no answer.\n".to_owned();
    };
    let alone = others.is_empty();
    let of_all = if alone {
        match prompt.samples.len() {
            1 => String::new(),
            count => format!(", the same in all {count} samples"),
        }
    } else {
        format!(" of {}", first.whose())
    };
    let mut page = format!("\n**Answer**{of_all}\n\n{}", body(first.text));
    if !alone {
        let _ = writeln!(
            page,
            "\n<details><summary>Other answers: {}</summary>",
            others.len()
        );
        for other in others {
            let _ = write!(page, "\n**Answer** of {}\n\n{}", other.whose(), body(other.text));
        }
        page += "\n</details>\n";
    }
    page
}

/// One text, and the numbers of its samples, from 1.
struct Answer<'a> {
    text: &'a str,
    samples: Vec<usize>,
}

impl Answer<'_> {
    fn whose(&self) -> String {
        let numbers: Vec<String> = self.samples.iter().map(ToString::to_string).collect();
        match numbers.as_slice() {
            [one] => format!("sample {one}"),
            several => format!("samples {}", several.join(", ")),
        }
    }
}

/// A text with its thinking collapsed.
fn body(text: &str) -> String {
    let Thinking { thought, said } = thinking::split(text);
    let mut page = String::new();
    if let Some(thought) = thought.filter(|thought| !thought.trim().is_empty()) {
        page += "<details><summary>Thinking</summary>\n\n";
        page += &fenced(thought);
        page += "\n</details>\n\n";
    }
    if said.trim().is_empty() {
        page += "(empty)\n";
    } else {
        page += &fenced(said);
    }
    page
}
