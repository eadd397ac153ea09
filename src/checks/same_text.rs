//! The check that needs no entry: greedy runs of one prompt give one text.

use super::answer::quoted;
use super::{Outcome, Verdict};
use crate::inference::Inference;
use crate::ledger::Mark;
use crate::record::PromptRecord;

/// Characters that are shown before a difference, and from it on.
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

/// Why texts need not be the same.
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

/// Where two answers part, counted from 1, and how they go on.
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
