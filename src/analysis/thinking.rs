//! Answers of models that think first: what they thought, up to `</think>`, and what they said.

const BEGIN: &str = "<think>";
const END: &str = "</think>";

/// An answer in its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thinking<'a> {
    /// What was thought, without its marks; absent where the model did not think.
    pub(crate) thought: Option<&'a str>,
    /// What was said.
    pub(crate) said: &'a str,
}

/// Takes an answer apart. Some chat templates begin the thought in the prompt, so that an answer has its end alone; where
/// the end is missing the model never came to answer. Marks further on are text.
pub(crate) fn split(text: &str) -> Thinking<'_> {
    let begun = text.trim_start().strip_prefix(BEGIN);
    match (begun, text.split_once(END)) {
        (Some(rest), _) => {
            let (thought, said) = rest.split_once(END).unwrap_or((rest, ""));
            let thought = Some(thought);
            Thinking { thought, said }
        }
        (None, Some((thought, said))) if !thought.contains(BEGIN) => Thinking {
            thought: Some(thought),
            said,
        },
        _ => Thinking {
            thought: None,
            said: text,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_no_part_of_what_is_said() {
        for (text, thought, said) in [
            ("<think>\nhm\n</think>\n\nYes.", Some("\nhm\n"), "\n\nYes."),
            ("\n<think></think>Yes.", Some(""), "Yes."),
            ("hm</think>Yes.", Some("hm"), "Yes."),
            ("<think>hm", Some("hm"), ""),
            ("Write <think> and </think>.", None, "Write <think> and </think>."),
            ("<think>a</think>b</think>c", Some("a"), "b</think>c"),
            ("plain", None, "plain"),
            ("", None, ""),
        ] {
            assert_eq!(split(text), Thinking { thought, said }, "{text:?}");
        }
    }
}
