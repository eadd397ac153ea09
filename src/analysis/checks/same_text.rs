//! The built-in check `same text`: greedy runs of one prompt give one text.

use super::answer::quoted;
use super::outcome::{Outcome, Verdict};
use crate::inference::Inference;
use crate::record::PromptRecord;
use crate::record::ledger::Mark;

/// Characters shown before a difference, and from it on.
const BEFORE: usize = 10;
const BEHIND: usize = 20;

pub(super) fn outcome(prompt: &PromptRecord) -> Outcome {
    let (verdict, reason) = match incomparable(prompt) {
        Some(reason) => (Verdict::NotApplicable, reason.to_owned()),
        None => compared(prompt),
    };
    Outcome {
        name: "same text".into(),
        verdict,
        reason,
    }
}

/// Why texts may differ.
fn incomparable(prompt: &PromptRecord) -> Option<&'static str> {
    if prompt.sampling.top_k != 1 {
        return Some("tokens are chosen at random, so answers may differ");
    }
    if prompt.samples.len() < 2 {
        return Some("one sample, and two are needed to compare");
    }
    prompt
        .samples
        .iter()
        .any(|sample| sample.marks.contains(&Mark::PromptVaried))
        .then_some("the runtime had to be given another first token in each run")
}

fn compared(prompt: &PromptRecord) -> (Verdict, String) {
    let inferences = || prompt.samples.iter().map(|sample| &sample.inference);
    let Some(first) = inferences().next() else {
        return (Verdict::NotApplicable, String::new());
    };
    let all = prompt.samples.len();
    let mut others = inferences()
        .enumerate()
        .filter(|(_, inference)| inference.text != first.text);
    match others.next() {
        None => {
            let characters = first.text.chars().count();
            (
                Verdict::Pass,
                format!("{all} of {all} answers: the same {characters} characters"),
            )
        }
        Some((index, other)) => {
            let differ = 1 + others.count();
            let difference = difference(first, other);
            let reason = format!(
                "{differ} of {all} answers differ from the first; answer {} does {difference}",
                index + 1
            );
            (Verdict::Fail, reason)
        }
    }
}

/// Where two answers diverge, counted from 1, and how they continue.
fn difference(first: &Inference, other: &Inference) -> String {
    let alike = first
        .text
        .chars()
        .zip(other.text.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let around = |text: &str| {
        let rest: String = text.chars().skip(alike.saturating_sub(BEFORE)).collect();
        quoted(&rest, BEHIND + BEFORE.min(alike))
    };
    let token = first
        .tokens
        .iter()
        .zip(&other.tokens)
        .position(|(a, b)| a.id != b.id)
        .map_or_else(String::new, |token| format!(", token {}", token + 1));
    format!(
        "from character {}{token} on: {} instead of {}",
        alike + 1,
        around(&other.text),
        around(&first.text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Sample, fixtures};

    fn sample(text: &str, ids: [i32; 4]) -> Sample {
        let mut sample = fixtures::sample();
        text.clone_into(&mut sample.inference.text);
        for (token, id) in sample.inference.tokens.iter_mut().zip(ids) {
            token.id = id;
        }
        sample
    }

    fn prompt(samples: Vec<Sample>) -> PromptRecord {
        PromptRecord {
            samples,
            ..fixtures::prompt("p")
        }
    }

    #[track_caller]
    fn assert_outcome(prompt: &PromptRecord, verdict: Verdict, reason: &str) {
        let outcome = outcome(prompt);
        assert_eq!((outcome.verdict, outcome.reason.as_str()), (verdict, reason));
    }

    #[test]
    fn greedy_answers_are_the_same() {
        let (a, b) = (sample("Grüße", [1, 2, 3, 4]), sample("Grüße", [1, 2, 3, 5]));
        assert_outcome(
            &prompt(vec![a.clone(), b, a]),
            Verdict::Pass,
            "3 of 3 answers: the same 5 characters",
        );
    }

    #[test]
    fn the_first_difference_is_placed() {
        let first = sample("Once upon a time there was a map maker.", [1, 2, 3, 4]);
        let other = sample("Once upon a time there is\u{1b}one who draws maps.", [1, 2, 9, 4]);
        assert_outcome(
            &prompt(vec![first.clone(), first.clone(), other.clone(), other]),
            Verdict::Fail,
            "2 of 4 answers differ from the first; answer 3 does from character 24, token 3 on: \
             \"ime there is\\u{1b}one who draws map\"… instead of \"ime there was a map maker.\"",
        );
    }

    #[test]
    fn an_answer_that_goes_on_differs_behind_the_other() {
        let (short, long) = (sample("ab", [1, 2, 3, 4]), sample("abc", [1, 2, 3, 4]));
        assert_outcome(
            &prompt(vec![short, long]),
            Verdict::Fail,
            "1 of 2 answers differ from the first; answer 2 does from character 3 on: \"abc\" instead of \"ab\"",
        );
    }

    #[test]
    fn what_may_differ_is_not_compared() {
        let differ = || vec![sample("a", [1; 4]), sample("b", [2; 4])];
        let mut at_random = prompt(differ());
        at_random.sampling.top_k = 40;
        assert_outcome(
            &at_random,
            Verdict::NotApplicable,
            "tokens are chosen at random, so answers may differ",
        );
        let mut varied = prompt(differ());
        varied.samples[1].marks.push(Mark::PromptVaried);
        assert_outcome(
            &varied,
            Verdict::NotApplicable,
            "the runtime had to be given another first token in each run",
        );
        assert_outcome(
            &prompt(vec![sample("a", [1; 4])]),
            Verdict::NotApplicable,
            "one sample, and two are needed to compare",
        );
    }
}
