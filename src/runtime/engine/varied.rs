//! Prompts with different beginnings, for runtimes whose KV cache cannot be emptied. What a run leaves in the cache
//! must not be a prefix of the next prompt.

use crate::inference::{Input, token_ids};

/// The prompt with a different beginning in each run. A letter before text is one token in most vocabularies.
pub(super) fn varied(input: &Input, run: usize) -> Input {
    const LETTERS: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    match input {
        Input::Text(text) => Input::Text(format!("{} {text}", char::from(LETTERS[run % LETTERS.len()]))),
        Input::Tokens(ids) => {
            let mut ids = ids.clone();
            if let (Some(first), Some(other)) = (ids.first_mut(), token_ids(run % 3000 + 1).last()) {
                *first = *other;
            }
            Input::Tokens(ids)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_run_begins_as_the_one_before() {
        let text = |run| match varied(&Input::Text("Why?".into()), run) {
            Input::Text(text) => text,
            Input::Tokens(_) => String::new(),
        };
        assert_eq!([0, 1, 25, 26].map(text), ["A Why?", "B Why?", "Z Why?", "A Why?"]);
        let ids = |run| match varied(&Input::Tokens(vec![7, 8, 9]), run) {
            Input::Tokens(ids) => ids,
            Input::Text(_) => vec![],
        };
        for run in [0, 1, 2999] {
            assert_ne!(ids(run)[0], ids(run + 1)[0], "run {run}");
            assert_eq!(ids(run)[1..], [8, 9]);
        }
    }
}
