//! The check `no_repetition`: finds a model that repeats one thing until its limit.
//!
//! The text is split into units: words, and each sign outside of words (Unicode Standard Annex #29). White space and
//! the numbers of numbered lists are left out, since a loop keeps counting in them. A loop is one sequence of units
//! that directly follows itself, [`TIMES`] times or more. It spans at least [`UNITS`] units, or
//! [`UNITS_WITHOUT_LETTERS`] without a letter.
//!
//! Intended repetition stays below this. A refrain has verses in between, rows of a table and items of a list differ in
//! a word, and code repeats identical lines only a few times.

use crate::base::number::Size as _;
use ahash::AHashMap as HashMap;
use unicode_segmentation::UnicodeSegmentation as _;

use super::answer::{Answer, quoted};
use super::outcome::Finding;

/// Fewest repetitions in a loop. A chorus may be sung three times at the end.
const TIMES: usize = 4;
/// Shortest loop: a dozen tokens longer than a song's line repeated four times, which is not a loop.
const UNITS: usize = 60;
/// Shortest loop of numbers and signs alone, longer than the rules of tables and comments, and than a row of zeroes.
const UNITS_WITHOUT_LETTERS: usize = 256;
/// Longest word, bytes. In a longer one, which may be a loop without spaces, each letter is a unit.
const LONG_WORD_BYTES: usize = 64;
/// Units in a gram that is looked up. Shorter sequences are found through their repetitions.
const GRAM: usize = 4;
/// Characters of a sequence that are quoted.
const QUOTED: usize = 40;

/// The units of a text.
struct Units<'a> {
    text: &'a str,
    /// Start and end of each unit, bytes.
    places: Vec<(usize, usize)>,
    /// Ids of the units; equal units have equal ids.
    ids: Vec<u32>,
    /// Whether the unit with an id has a letter.
    has_letter: Vec<bool>,
}

/// A stretch in which each unit, except in the first period, equals the unit one period earlier.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    start: usize,
    period: usize,
    end: usize,
}

pub(super) fn judge(answer: &Answer) -> Finding {
    let units = Units::of(&answer.whole);
    let Some(found) = units.first_loop() else {
        return Ok(format!("{} words and signs without a loop", units.ids.len()));
    };
    Err(format!(
        "{} follows itself {} times",
        quoted(units.sequence(&found), QUOTED),
        (found.end - found.start) / found.period
    ))
}

impl<'a> Units<'a> {
    fn of(text: &'a str) -> Self {
        let mut units = Self {
            text,
            places: Vec::new(),
            ids: Vec::new(),
            has_letter: Vec::new(),
        };
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut line_start = 0;
        for line in text.split_inclusive('\n') {
            let skipped = line.len() - without_number(line).len();
            for (place, piece) in line[skipped..].split_word_bound_indices() {
                let start = line_start + skipped + place;
                if piece.len() >= LONG_WORD_BYTES {
                    for (place, letter) in piece.char_indices() {
                        units.push(
                            start + place,
                            &piece[place..place + letter.len_utf8()],
                            &mut known,
                        );
                    }
                } else if !piece.trim().is_empty() {
                    units.push(start, piece, &mut known);
                }
            }
            line_start += line.len();
        }
        units
    }

    fn push(&mut self, start: usize, unit: &'a str, known: &mut HashMap<&'a str, u32>) {
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let id = *known.entry(unit).or_insert(next);
        if id == next {
            self.has_letter.push(unit.contains(char::is_alphabetic));
        }
        self.places.push((start, start + unit.len()));
        self.ids.push(id);
    }

    /// The sequence that a loop repeats, from its first unit with a letter: a loop often starts with the last sign of
    /// the text before it.
    fn sequence(&self, found: &Stretch) -> &'a str {
        let ids = &self.ids[found.start..found.start + found.period];
        let letters = ids.iter().position(|id| self.has_letter[id.size()]);
        let first = found.start + letters.unwrap_or(0);
        &self.text[self.places[first].0..self.places[first + found.period - 1].1]
    }

    /// The first stretch that is a loop.
    ///
    /// In a loop, most grams last occurred one period earlier, so the distance is a candidate for the period. Each
    /// candidate is followed once in both directions. This takes time linear in the text, not quadratic.
    fn first_loop(&self) -> Option<Stretch> {
        let mut last = HashMap::with_capacity(self.ids.len());
        let mut followed: HashMap<usize, usize> = HashMap::new();
        for (place, gram) in self.ids.windows(GRAM).enumerate() {
            let Some(before) = last.insert(gram, place) else {
                continue;
            };
            let period = place - before;
            if followed.get(&period).is_some_and(|end| place < *end) {
                continue;
            }
            let stretch = self.stretch(place, period);
            followed.insert(period, stretch.end);
            if self.is_loop(&stretch) {
                return Some(stretch);
            }
        }
        None
    }

    /// The longest stretch of this period around `place`.
    fn stretch(&self, place: usize, period: usize) -> Stretch {
        let agrees = |at: &usize| self.ids[*at] == self.ids[*at - period];
        let back = (period..place).rev().take_while(agrees).count();
        let ahead = (place..self.ids.len()).take_while(agrees).count();
        Stretch {
            start: place - back - period,
            period,
            end: place + ahead,
        }
    }

    fn is_loop(&self, stretch: &Stretch) -> bool {
        let units = stretch.end - stretch.start;
        let sequence = &self.ids[stretch.start..stretch.start + stretch.period];
        let has_letter = sequence.iter().any(|id| self.has_letter[id.size()]);
        let least = if has_letter { UNITS } else { UNITS_WITHOUT_LETTERS };
        units >= least && units >= TIMES * stretch.period
    }
}

/// A line without the number of a list item.
fn without_number(line: &str) -> &str {
    let item = line.trim_start();
    let behind = item.trim_start_matches(|character: char| character.is_ascii_digit());
    let is_number = behind.len() < item.len();
    match behind.strip_prefix(['.', ')']) {
        Some(rest) if is_number && rest.starts_with(char::is_whitespace) => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the check finds in a text.
    fn found(text: &str) -> Finding {
        judge(&Answer::new(text))
    }

    #[track_caller]
    fn assert_loop(text: &str, reason: &str) {
        let shown: String = text.chars().take(60).collect();
        assert_eq!(found(text), Err(reason.to_owned()), "{shown:?}");
    }

    #[test]
    fn words_sentences_and_paragraphs_said_again_and_again_are_loops() {
        assert_loop(&"the ".repeat(60), "\"the\" follows itself 60 times");
        let sentence = "She draws a map of the land. ";
        assert_loop(
            &format!("# Title\n\nIlvara wakes. {}She", sentence.repeat(9)),
            "\"She draws a map of the land.\" follows itself 9 times",
        );
        let paragraph = "The river ran on.\nNobody knew why, and nobody asked.\n\nSo it went.\n\n";
        assert_loop(
            &paragraph.repeat(4),
            "\"The river ran on.\\nNobody knew why, and n\"… follows itself 4 times",
        );
        assert_loop(&"我是模型。".repeat(12), "\"我是模型。\" follows itself 12 times");
        assert_loop(
            &"def f(): pass\n".repeat(12),
            "\"def f(): pass\" follows itself 12 times",
        );
    }

    #[test]
    fn a_loop_is_found_anywhere_and_while_thinking() {
        let ended = format!("{} Then it ended. The End.", "la ".repeat(80));
        assert_loop(&ended, "\"la\" follows itself 80 times");
        let thoughts = format!("<think>{}", "Wait. ".repeat(40));
        assert_loop(&thoughts, "\"Wait.\" follows itself 40 times");
    }

    #[test]
    fn a_loop_that_counts_its_items_is_one() {
        let list: String = (1..=20)
            .map(|item| format!("{item}. Buy a drill.\r\n"))
            .collect::<Vec<_>>()
            .concat();
        assert_loop(&list, "\"Buy a drill.\" follows itself 20 times");
    }

    #[test]
    fn letters_and_signs_without_spaces_are_loops_too() {
        assert_loop(&"a".repeat(1 << 20), "\"a\" follows itself 1048576 times");
        assert_loop(&"!".repeat(300), "\"!\" follows itself 300 times");
        assert_loop(&"0, ".repeat(200), "\"0,\" follows itself 200 times");
        assert!(found(&"!".repeat(255)).is_ok());
    }

    #[test]
    fn below_the_thresholds_nothing_is_a_loop() {
        assert_eq!(
            found(&"the ".repeat(59)),
            Ok("59 words and signs without a loop".into())
        );
        let stanza = (0..30)
            .map(|word| format!("word{word} "))
            .collect::<Vec<_>>()
            .concat();
        assert!(found(&stanza.repeat(3)).is_ok());
        assert!(found(&stanza.repeat(4)).is_err());
        assert!(found("").is_ok());
    }

    #[test]
    fn tables_lists_code_and_refrains_are_none() {
        let table: String = (0..40)
            .map(|row| format!("| tool {row} | 1 | yes | yes | yes |\n"))
            .collect::<Vec<_>>()
            .concat();
        let list: String = ["drill", "saw", "ladder", "lamp"]
            .iter()
            .cycle()
            .zip(1..=40)
            .map(|(tool, item)| format!("{item}. Lend the {tool} number {item} to members.\n"))
            .collect::<Vec<_>>()
            .concat();
        let refrain = "Oh the river runs, the river runs, the river runs down to the sea.\n";
        let poem: String = (0..12)
            .map(|verse| format!("{refrain}{refrain}Verse {verse} is here.\n"))
            .collect::<Vec<_>>()
            .concat();
        let code: String = (0..40)
            .map(|test| format!("    assert f([{test}, 0, 0]) == 0\n"))
            .collect::<Vec<_>>()
            .concat();
        let zeroes = format!("[{}]", "[0, 0, 0, 0, 0, 0, 0, 0], ".repeat(8));
        for text in [
            format!("| tool | n | a | b | c |\n|{}\n{table}", "-------|".repeat(5)),
            list,
            poem,
            format!("```python\n{code}```"),
            zeroes,
            "=".repeat(120),
        ] {
            assert!(found(&text).is_ok(), "{text}: {:?}", found(&text));
        }
    }
}
