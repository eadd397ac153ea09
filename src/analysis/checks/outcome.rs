//! Results of a check, on one answer and on all answers of a prompt.

use serde::Serialize;

use super::answer::Answer;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every answer passes.
    Pass,
    /// An answer fails.
    Fail,
    /// There is nothing to judge; the reason explains why.
    NotApplicable,
}

/// One check of one prompt with one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The check, such as `words 300 to 500`. It quotes texts of the suite's file, shortened and without control
    /// characters. They are not escaped for Markdown or HTML.
    pub name: String,
    /// The result.
    pub verdict: Verdict,
    /// A short explanation, such as `612 words, 300 to 500 asked`. It quotes answers as the name quotes the file. For
    /// several answers it describes the first with this verdict and gives their number.
    pub reason: String,
}

/// The result on one answer: why it passes, or why it fails.
pub(super) type Finding = Result<String, String>;

/// A check as a function on answers.
pub(super) type Judge<'a> = Box<dyn Fn(&Answer) -> Finding + 'a>;

/// Combines findings, each with its number of answers, into an outcome.
pub(super) fn summed_up(name: String, findings: &[(Finding, usize)]) -> Outcome {
    let failed = findings.iter().any(|(finding, _)| finding.is_err());
    let reasons: Vec<(&String, usize)> = findings
        .iter()
        .filter(|(finding, _)| finding.is_err() == failed)
        .map(|(Ok(reason) | Err(reason), count)| (reason, *count))
        .collect();
    let first = reasons.first().map_or("", |(reason, _)| reason);
    let alike = reasons.iter().all(|(reason, _)| *reason == first);
    let (of, all) = (total(reasons.iter()), total(findings.iter()));
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
