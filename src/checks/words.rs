//! The check `words`: the length of what was said.

use unicode_segmentation::UnicodeSegmentation as _;

use super::{Judge, counted};

pub(super) fn name(min: Option<u32>, max: Option<u32>) -> String {
    format!("words {}", range(min, max))
}

pub(super) fn judge(min: Option<u32>, max: Option<u32>) -> Judge<'static> {
    Box::new(move |answer| {
        let words = answer.said.unicode_words().count();
        let reason = format!("{}, {} asked", counted(words, "word"), range(min, max));
        let fits = min.is_none_or(|min| words >= min as usize) && max.is_none_or(|max| words <= max as usize);
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
