//! A comparison of models for a terminal, without colours.

use super::cells::{LEGEND, factor, figure, id};
use crate::analysis::compare::{Comparison, SuiteTable};
use crate::base::layout::{WIDTH, folded_to, list, whole};
use crate::report::grid::Grid;
use crate::report::words::{counted, plain};

/// Subjects beside the reference that 80 columns usually hold.
const BESIDE: usize = 2;

/// The comparison as lines of at most 80 columns.
pub fn text(comparison: &Comparison) -> String {
    text_within(comparison, WIDTH)
}

/// The comparison as lines of at most `width` columns.
///
/// The tables number the subjects, so that names may have any length. If not all subjects fit, several tables follow
/// each other, each with the first subject.
pub(crate) fn text_within(comparison: &Comparison, width: u16) -> String {
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
                whole(&plain(&subject.label)),
                counted(subject.runs, "run"),
                captions.collect::<String>()
            )
        })
        .collect();
    let mut sections = vec![list(width, "subjects", &subjects)];
    for suite in &comparison.suites {
        sections.extend(tables(suite, comparison.subjects.len(), width));
    }
    let notes: Vec<String> = comparison.notes.iter().map(|note| plain(note)).collect();
    sections.push(list(width, "notes", &notes));
    if !comparison.suites.is_empty() {
        sections.push(folded_to(width, LEGEND));
    }
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn tables(suite: &SuiteTable, subjects: usize, width: u16) -> Vec<String> {
    let others: Vec<usize> = (0..subjects).filter(|index| *index != suite.reference).collect();
    let mut chunks: Vec<&[usize]> = others.chunks(BESIDE).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let tables = chunks.into_iter().map(|others| table(suite, others, width));
    tables.collect()
}

fn table(suite: &SuiteTable, others: &[usize], width: u16) -> String {
    let shown: Vec<usize> = std::iter::once(suite.reference)
        .chain(others.iter().copied())
        .collect();
    let heads = shown.iter().map(|index| format!("#{}", index + 1));
    let header = ["metric".to_owned(), "unit".to_owned()];
    let mut table = Grid::new(header.into_iter().chain(heads), 0..0);
    for row in &suite.rows {
        let cells = shown.iter().map(|index| match &row.cells[*index] {
            None => "-".to_owned(),
            Some(cell) => {
                let ratio = cell.ratio.as_ref().map(|ratio| format!("\n{}", factor(ratio)));
                figure(cell) + &ratio.unwrap_or_default()
            }
        });
        let head = [plain(&id(row)), row.unit.to_owned()];
        table.row(head.into_iter().chain(cells));
    }
    folded_to(width, &format!("suite {}", whole(&plain(&suite.suite)))) + &table.fitted(width)
}
