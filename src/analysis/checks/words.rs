//! The check `words`: the number of words in the answer.

use crate::base::number::Size as _;
use unicode_segmentation::UnicodeSegmentation as _;

use super::outcome::{Judge, counted};

pub(super) fn name(min: Option<u32>, max: Option<u32>) -> String {
    format!("words {}", range(min, max))
}

pub(super) fn judge(min: Option<u32>, max: Option<u32>) -> Judge<'static> {
    Box::new(move |answer| {
        let words = answer.said.unicode_words().count();
        let reason = format!("{}, {} asked", counted(words, "word"), range(min, max));
        let fits = min.is_none_or(|min| words >= min.size()) && max.is_none_or(|max| words <= max.size());
        if fits { Ok(reason) } else { Err(reason) }
    })
}

fn range(min: Option<u32>, max: Option<u32>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("{min} or more"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any number".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Verdict::{Fail, Pass};
    use super::super::fixtures::assert_judged;
    use super::*;

    #[test]
    fn words_are_those_of_unicode() {
        let check = json!({"check": "words", "min": 2, "max": 4});
        assert_judged(
            &check,
            &[
                ("one two", Pass, "2 words, 2 to 4 asked"),
                ("# map-maker: don't, | - *", Pass, "3 words, 2 to 4 asked"),
                ("20,000 euros\r\nor 1.5", Pass, "4 words, 2 to 4 asked"),
                ("你好世界", Pass, "4 words, 2 to 4 asked"),
                ("你好世界人", Fail, "5 words, 2 to 4 asked"),
                ("one", Fail, "1 word, 2 to 4 asked"),
                ("a b c d e", Fail, "5 words, 2 to 4 asked"),
                ("<think>a b c d e</think>a b", Pass, "2 words, 2 to 4 asked"),
                ("- - | --", Fail, "0 words, 2 to 4 asked"),
                ("", Fail, "0 words, 2 to 4 asked"),
            ],
        );
    }

    #[test]
    fn one_end_can_be_open() {
        assert_judged(
            &json!({"check": "words", "min": 2}),
            &[
                ("a", Fail, "1 word, 2 or more asked"),
                ("a b c", Pass, "3 words, 2 or more asked"),
            ],
        );
        assert_judged(
            &json!({"check": "words", "max": 2}),
            &[
                ("a b c", Fail, "3 words, at most 2 asked"),
                ("", Pass, "0 words, at most 2 asked"),
            ],
        );
        assert_eq!(name(Some(2), Some(4)), "words 2 to 4");
    }
}
