//! Answers of models that think first: the thought up to `</think>`, and the answer proper.

const BEGIN: &str = "<think>";
const END: &str = "</think>";

/// An answer split into thought and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thinking<'a> {
    /// The thought without its tags. Absent if the model did not think.
    pub(crate) thought: Option<&'a str>,
    /// The text after the thought.
    pub(crate) said: &'a str,
}

/// Splits an answer. Some chat templates open the thought in the prompt, so an answer has only its end tag. Without an
/// end tag the model never started to answer. Later tags are text.
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
