//! Results of the checks on a model's answers.

use anstyle::{AnsiColor, Style};

use crate::analysis::checks::{Outcome, Verdict};
use crate::base::foreign::styled;
use crate::base::layout::{list, whole};
use crate::report::content::ModelReport;
use crate::report::words::plain;

/// The counts, and each failed check; empty if no check applies.
pub(super) fn text(report: &ModelReport, width: u16) -> String {
    let count = |verdict| {
        let all = report.outcomes.iter().flatten();
        all.filter(|outcome| outcome.verdict == verdict).count()
    };
    let [pass, fail, not_applicable] = [Verdict::Pass, Verdict::Fail, Verdict::NotApplicable].map(count);
    if pass + fail == 0 {
        return String::new();
    }
    let colour = if fail > 0 {
        AnsiColor::Red
    } else {
        AnsiColor::Green
    };
    let counts = format!("{pass} pass, {fail} fail");
    let counts = styled(Style::new().fg_color(Some(colour.into())), &counts);
    let failed: Vec<String> = report
        .prompts()
        .flat_map(|(prompt, outcomes)| {
            let failed = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Fail);
            failed.map(|outcome| line(&prompt.id, outcome))
        })
        .collect();
    format!(
        "checks: {counts}, {not_applicable} not applicable\n{}",
        list(width, "failed checks", &failed)
    )
}

fn line(id: &str, outcome: &Outcome) -> String {
    format!(
        "{} {}: {}",
        whole(&plain(id)),
        whole(&plain(&outcome.name)),
        plain(&outcome.reason)
    )
}
