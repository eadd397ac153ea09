//! Models beside each other for a terminal: always 80 columns, without colours.

use super::{LEGEND, factor, figure, id};
use crate::compare::{Comparison, SuiteTable};
use crate::report::layout::{fold_first, folded, lines, list, plain_table};
use crate::report::words::{counted, plain};

/// Subjects beside the reference that 80 columns hold.
const BESIDE: usize = 2;

/// The comparison as lines of at most 80 columns. Subjects have numbers, so that their names may be of any length; more
/// than fit are folded into several tables, each with the first one.
pub fn text(comparison: &Comparison) -> String {
    let subjects: Vec<String> = comparison
        .subjects
        .iter()
        .enumerate()
        .map(|(index, subject)| {
            let captions = subject
                .captions
                .iter()
                .map(|caption| format!("; {}", plain(caption)));
            format!(
                "#{} {}, {}{}",
                index + 1,
                plain(&subject.label),
                counted(subject.runs, "run"),
                captions.collect::<String>()
            )
        })
        .collect();
    let mut sections = vec![list("subjects", &subjects)];
    for suite in &comparison.suites {
        sections.extend(tables(suite, comparison.subjects.len()));
    }
    let notes: Vec<String> = comparison.notes.iter().map(|note| plain(note)).collect();
    sections.push(list("notes", &notes));
    if !comparison.suites.is_empty() {
        sections.push(folded(LEGEND));
    }
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn tables(suite: &SuiteTable, subjects: usize) -> Vec<String> {
    let others: Vec<usize> = (0..subjects).filter(|index| *index != suite.reference).collect();
    let mut chunks: Vec<&[usize]> = others.chunks(BESIDE).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    chunks.into_iter().map(|others| table(suite, others)).collect()
}

fn table(suite: &SuiteTable, others: &[usize]) -> String {
    let shown: Vec<usize> = std::iter::once(suite.reference)
        .chain(others.iter().copied())
        .collect();
    let mut table = plain_table();
    let heads = shown.iter().map(|index| format!("#{}", index + 1));
    table.set_header(["metric".to_owned(), "unit".to_owned()].into_iter().chain(heads));
    for row in &suite.rows {
        let cells = shown.iter().map(|index| match &row.cells[*index] {
            None => "-".to_owned(),
            Some(cell) => {
                let ratio = cell.ratio.as_ref().map(|ratio| format!("\n{}", factor(ratio)));
                figure(cell) + &ratio.unwrap_or_default()
            }
        });
        let head = [plain(&id(row)), row.unit.to_owned()];
        table.add_row(head.into_iter().chain(cells));
    }
    fold_first(&mut table, 14, 0..0);
    folded(&format!("suite {}", plain(&suite.suite))) + &lines(&table)
}
