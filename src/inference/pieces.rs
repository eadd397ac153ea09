//! What the chunks of an answer are pieces of, judged by their text alone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Fewest chunks for a decision: so many tokens in a row are hardly ever one character each.
const FEWEST: usize = 16;
/// Fewest different chunks of one length: a model that repeats itself also produces tokens of one length.
const FEWEST_DISTINCT: usize = 8;
/// Fewest different letters of a text in an alphabet.
const FEWEST_LETTERS: usize = 8;

/// What chunks are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pieces {
    /// Tokens, as far as their text shows.
    #[default]
    Tokens,
    /// Each is one character.
    Characters,
    /// Each is a word with the punctuation after it; tokenizers split that off.
    Words,
    /// All have the same number of characters.
    FixedSize,
}

impl Pieces {
    /// Judges by the text of each chunk.
    pub fn of(chunks: &[&str]) -> Self {
        if chunks.len() < FEWEST {
            return Self::Tokens;
        }
        let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.chars().count()).collect();
        let size = sizes[0];
        // The last piece is the rest.
        let is_even = sizes[..sizes.len() - 1].iter().all(|other| *other == size);
        if sizes.iter().all(|size| *size == 1) {
            return Self::Characters;
        }
        if is_even && size > 1 && chunks.iter().collect::<BTreeSet<_>>().len() >= FEWEST_DISTINCT {
            return Self::FixedSize;
        }
        if are_words(chunks) {
            return Self::Words;
        }
        Self::Tokens
    }
}

fn are_words(chunks: &[&str]) -> bool {
    let between =
        |pair: &[&str]| pair[0].ends_with(char::is_whitespace) || pair[1].starts_with(char::is_whitespace);
    let is_word = |chunk: &&str| chunk.split_whitespace().count() == 1;
    let has_punctuation = |chunk: &&str| {
        let word = chunk.trim();
        let bare = word.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        bare.len() < word.len() && bare.ends_with(char::is_alphanumeric)
    };
    chunks.windows(2).all(between) && chunks.iter().all(is_word) && chunks.iter().any(has_punctuation)
}

/// Whether a text is written in an alphabet, where a word has several letters: its tokens are not single letters.
pub(super) fn is_in_letters(text: &str) -> bool {
    let letters: BTreeSet<char> = text.chars().filter(char::is_ascii_alphabetic).collect();
    letters.len() >= FEWEST_LETTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The sky is blue, since air scatters short waves of light more than long ones. \
                        That is all there is, really.";

    #[test]
    fn what_an_answer_was_cut_into() {
        let characters: Vec<String> = TEXT.chars().map(String::from).collect();
        let of_size = |size: usize| -> Vec<String> {
            let characters: Vec<char> = TEXT.chars().collect();
            characters.chunks(size).map(String::from_iter).collect()
        };
        let words: Vec<String> = TEXT.split_inclusive(' ').map(str::to_owned).collect();
        let before: Vec<String> = TEXT.split(' ').map(|word| format!(" {word}")).collect();
        let tokens: Vec<String> = TEXT
            .split_inclusive(' ')
            .flat_map(|word| match word.split_once([',', '.']) {
                Some((word, rest)) => vec![word.to_owned(), format!(",{rest}")],
                None => vec![word.to_owned()],
            })
            .collect();
        let repeated = vec![" t".to_owned(); 64];
        let few = characters[..FEWEST - 1].to_vec();
        for (chunks, expected) in [
            (characters, Pieces::Characters),
            (of_size(4), Pieces::FixedSize),
            (of_size(2), Pieces::FixedSize),
            (words, Pieces::Words),
            (before, Pieces::Words),
            (tokens, Pieces::Tokens),
            (repeated, Pieces::Tokens),
            (few, Pieces::Tokens),
        ] {
            let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
            assert_eq!(Pieces::of(&chunks), expected, "{chunks:?}");
        }
    }

    #[test]
    fn characters_of_other_scripts_count_as_such() {
        let chunks: Vec<String> = "天空是蓝色的因为空气散射短波光比长波多"
            .chars()
            .map(String::from)
            .collect();
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        assert_eq!(Pieces::of(&chunks), Pieces::Characters);
        assert!(!is_in_letters(&chunks.concat()) && is_in_letters(TEXT));
    }
}
