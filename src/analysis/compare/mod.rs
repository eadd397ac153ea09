//! Compares models and runs for people: values, ratios to the first, and the best one. Verdicts are the gate's.
//!
//! A ratio's interval is Welch's t at 95 % on logarithms, for each ratio separately. It is taken over the runs if both
//! subjects have two or more, and over the samples if both have one run. Processes differ more than the samples of one
//! process, so an interval of the latter kind is too narrow for the next process. [`Comparison::notes`] says so.

mod member;
mod notes;
mod rows;
mod table;

use crate::record::RunRecord;
use member::Member;

pub use member::Source;
pub use table::{Cell, Comparison, Interval, Over, Ratio, Row, Subject, SuiteTable};

/// Compares the models of one run.
pub fn of_run(run: &RunRecord) -> Comparison {
    compare(&[Source {
        name: run.run_id.clone(),
        runs: vec![run.clone()],
    }])
}

/// Compares the models of all sources, in the order of the sources and of the models in their runs.
pub fn compare(sources: &[Source]) -> Comparison {
    let members: Vec<Member> = sources.iter().flat_map(Member::of).collect();
    let subjects = members.iter().map(|member| member.subject(&members)).collect();
    let mut names: Vec<&str> = members.iter().flat_map(Member::suites).collect();
    names.sort_unstable();
    names.dedup();
    let mut comparison = Comparison {
        subjects,
        suites: names
            .iter()
            .filter_map(|suite| rows::table(suite, &members))
            .collect(),
        notes: Vec::new(),
    };
    comparison.notes = notes::of(&comparison, &members);
    comparison
}

#[cfg(test)]
mod tests;
