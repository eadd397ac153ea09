//! A vocabulary for llama.cpp's tokenizer of the `llama` kind: three special tokens, the 256 bytes, then pieces of
//! text, short ones first.

use std::iter;
use std::ops::RangeInclusive;

use super::gguf::Value;

/// What that tokenizer has for a space.
const SPACE: &str = "\u{2581}";
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
const N_SPECIAL: usize = 3;
const N_BYTES: usize = 256;
/// Spaced by this, words come from all over the alphabet. A prime, so that it shares no divisor with a power of 26.
const WORD_STEP: usize = 7919;

/// How many tokens a vocabulary can have: from the special ones and the bytes to all the pieces there are.
pub(super) const SIZES: RangeInclusive<usize> =
    N_SPECIAL + N_BYTES..=N_SPECIAL + N_BYTES + 95 + 26 + 2 * (n_words(2) + n_words(3) + n_words(4));

/// ggml's token types.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const BYTE: i32 = 6;

/// The tokenizer's part of the metadata, for a vocabulary of `n` tokens.
pub(super) fn metadata(n: usize) -> Vec<(&'static str, Value)> {
    let (mut tokens, mut types) = (Vec::with_capacity(n), Vec::with_capacity(n));
    tokens.extend(["<unk>", "<s>", "</s>"].map(str::to_owned));
    types.extend([UNKNOWN, CONTROL, CONTROL]);
    tokens.extend((0..N_BYTES).map(|byte| format!("<0x{byte:02X}>")));
    types.resize(tokens.len(), BYTE);
    tokens.extend(pieces().take(n - tokens.len()));
    types.resize(tokens.len(), NORMAL);
    // A higher score is merged first: longer pieces, which come later, win over their parts.
    // Counting up is exact in an f32 far beyond the largest vocabulary.
    let scores = iter::successors(Some(0.0), |score| Some(score + 1.0))
        .take(tokens.len())
        .collect();
    vec![
        ("tokenizer.ggml.model", Value::Text("llama".into())),
        ("tokenizer.ggml.tokens", Value::Texts(tokens)),
        ("tokenizer.ggml.scores", Value::Reals(scores)),
        ("tokenizer.ggml.token_type", Value::Integers(types)),
        ("tokenizer.ggml.unknown_token_id", Value::Count(0)),
        ("tokenizer.ggml.bos_token_id", Value::Count(1)),
        ("tokenizer.ggml.eos_token_id", Value::Count(2)),
        ("tokenizer.ggml.add_bos_token", Value::Flag(true)),
        ("tokenizer.ggml.add_eos_token", Value::Flag(false)),
    ]
}

/// Printable ASCII, then words of two, three and four letters, each with and without a space in front.
fn pieces() -> impl Iterator<Item = String> {
    let single = [SPACE.to_owned()]
        .into_iter()
        .chain(('!'..='~').map(String::from));
    let initial = LETTERS.chars().map(|letter| format!("{SPACE}{letter}"));
    let pairs = || {
        LETTERS
            .chars()
            .flat_map(|a| LETTERS.chars().map(move |b| format!("{a}{b}")))
    };
    let spaced_pairs = pairs().map(|pair| format!("{SPACE}{pair}"));
    single
        .chain(initial)
        .chain(pairs())
        .chain(spaced_pairs)
        .chain(words(3))
        .chain(words(4))
}

/// All words of so many letters, in no order of the alphabet, each with a space in front and then without.
fn words(length: u32) -> impl Iterator<Item = String> {
    let n = n_words(length);
    (0..n)
        .map(move |index| word(index * WORD_STEP % n, length))
        .flat_map(|word| [format!("{SPACE}{word}"), word])
}

const fn n_words(length: u32) -> usize {
    26_usize.pow(length)
}

/// The digits of `number` to the base of 26, as letters.
fn word(number: usize, length: u32) -> String {
    (0..length)
        .rev()
        .filter_map(|place| LETTERS.chars().nth(number / n_words(place) % 26))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{SIZES, metadata, pieces};
    use crate::builtin::gguf::Value;

    #[test]
    fn pieces_are_distinct_and_as_many_as_the_largest_vocabulary_takes() {
        let pieces: Vec<String> = pieces().collect();
        let distinct: HashSet<&String> = pieces.iter().collect();
        assert_eq!(distinct.len(), pieces.len());
        assert_eq!(SIZES.start() + pieces.len(), *SIZES.end());
    }

    #[test]
    fn every_token_has_a_score_and_a_type() {
        for size in [*SIZES.start(), 4096, 151_936, *SIZES.end()] {
            let metadata = metadata(size);
            let length = |wanted: &str| match metadata
                .iter()
                .find(|(key, _)| *key == wanted)
                .map(|(_, value)| value)
            {
                Some(Value::Texts(list)) => list.len(),
                Some(Value::Reals(list)) => list.len(),
                Some(Value::Integers(list)) => list.len(),
                _ => 0,
            };
            assert_eq!(length("tokenizer.ggml.tokens"), size);
            assert_eq!(length("tokenizer.ggml.scores"), size);
            assert_eq!(length("tokenizer.ggml.token_type"), size);
        }
    }
}
