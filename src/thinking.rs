//! Answers of models that think first: what they thought, between `<think>` and `</think>`, and what they said.

const BEGIN: &str = "<think>";
const END: &str = "</think>";

/// A part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// For the reader.
    Said(&'a str),
    /// Not for the reader; without its marks.
    Thought(&'a str),
}

/// The parts of an answer that are more than blanks, in order. A thought that does not end goes on to the end; where the
/// chat template has already begun one, as some models' templates do, the answer begins within it.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    if let Some((thought, said)) = rest.split_once(END)
        && !thought.contains(BEGIN)
    {
        parts.push(Part::Thought(thought));
        rest = said;
    }
    while let Some((said, thought)) = rest.split_once(BEGIN) {
        parts.push(Part::Said(said));
        let (thought, after) = thought.split_once(END).unwrap_or((thought, ""));
        parts.push(Part::Thought(thought));
        rest = after;
    }
    parts.push(Part::Said(rest));
    parts.retain(|part| {
        let (Part::Said(text) | Part::Thought(text)) = part;
        !text.trim().is_empty()
    });
    parts
}

#[cfg(test)]
mod tests {
    use super::Part::{Said, Thought};
    use super::*;

    #[test]
    fn thoughts_and_what_is_said() {
        for (text, expected) in [
            ("plain", &[Said("plain")][..]),
            ("<think>\n\n</think>\n\nyes", &[Said("\n\nyes")]),
            ("<think>a<b</think>yes", &[Thought("a<b"), Said("yes")]),
            (
                "so <think>a</think>b<think>c</think>d",
                &[Said("so "), Thought("a"), Said("b"), Thought("c"), Said("d")],
            ),
            ("<think>cut off", &[Thought("cut off")]),
            (
                "begun by the template</think>yes",
                &[Thought("begun by the template"), Said("yes")],
            ),
            ("a</think>b</think>c", &[Thought("a"), Said("b</think>c")]),
            (" \n", &[]),
        ] {
            assert_eq!(parts(text), expected, "{text:?}");
        }
    }
}
