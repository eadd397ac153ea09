//! What a check finds: in one answer, and in all answers of a prompt.

use serde::Serialize;

use super::answer::Answer;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every answer is as asked.
    Pass,
    /// An answer is not.
    Fail,
    /// There is nothing to judge; the reason says why.
    NotApplicable,
}

/// One check of one prompt with one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What was checked, as `words 300 to 500`. Texts of the suite's file are quoted in it, shortened and without control
    /// characters, but as Markdown and HTML they are not escaped.
    pub name: String,
    /// What was found.
    pub verdict: Verdict,
    /// A short sentence with what was seen, as `612 words, 300 to 500 asked`; it quotes answers as the name quotes the file.
    /// Of several answers it gives the first that the verdict is of, and their number.
    pub reason: String,
}

/// What one answer shows: how it is as asked, or how it is not.
pub(super) type Finding = Result<String, String>;

/// A check, ready for answers.
pub(super) type Judge<'a> = Box<dyn Fn(&Answer) -> Finding + 'a>;

/// The outcome of findings, each with the number of answers that it is of.
pub(super) fn summed_up(name: String, findings: &[(Finding, usize)]) -> Outcome {
    let failed = findings.iter().any(|(finding, _)| finding.is_err());
    let told: Vec<(&String, usize)> = findings
        .iter()
        .filter(|(finding, _)| finding.is_err() == failed)
        .map(|(Ok(reason) | Err(reason), count)| (reason, *count))
        .collect();
    let first = told.first().map_or("", |(reason, _)| reason);
    let alike = told.iter().all(|(reason, _)| *reason == first);
    let (of, all) = (total(told.iter()), total(findings.iter()));
    let reason = match (all, alike) {
        (1, _) => first.to_owned(),
        (_, true) => format!("{of} of {all} answers: {first}"),
        (_, false) => format!("{of} of {all} answers, the first: {first}"),
    };
    let verdict = if failed { Verdict::Fail } else { Verdict::Pass };
    Outcome {
        name,
        verdict,
        reason,
    }
}

fn total<'a, T: 'a>(counted: impl Iterator<Item = &'a (T, usize)>) -> usize {
    counted.map(|(_, count)| count).sum()
}

/// `1 word`, `2 words`.
pub(super) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
