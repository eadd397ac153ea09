//! Models beside each other as GitHub's Markdown.

use super::{LEGEND, factor, figure, id};
use crate::compare::{Cell, Comparison, Row};
use crate::report::gate::markdown::{code, prose};
use crate::report::gate::words::counted;

/// The comparison as Markdown: a table a suite with a column a subject.
pub fn markdown(comparison: &Comparison) -> String {
    let mut page = "## Comparison\n\n".to_owned();
    for subject in &comparison.subjects {
        page += &format!("- {}, {}\n", code(&subject.label), counted(subject.runs, "run"));
    }
    for suite in &comparison.suites {
        let labels = comparison
            .subjects
            .iter()
            .map(|subject| format!(" {} |", code(&subject.label)));
        page += &format!(
            "\n### Suite {}\n\n| metric | unit |{}\n",
            code(&suite.suite),
            labels.collect::<String>()
        );
        page += &format!("| --- | --- |{}\n", " ---: |".repeat(comparison.subjects.len()));
        for row in &suite.rows {
            page += &line(row);
        }
    }
    if !comparison.notes.is_empty() {
        page += "\n**Notes**\n\n";
        for note in &comparison.notes {
            page += &format!("- {}\n", prose(note));
        }
    }
    if !comparison.suites.is_empty() {
        page += &format!("\n<sub>{}</sub>\n", prose(LEGEND));
    }
    page
}

fn line(row: &Row) -> String {
    let cells = row
        .cells
        .iter()
        .map(|cell| format!(" {} |", cell.as_ref().map_or_else(|| "-".into(), both)));
    format!(
        "| {} | {} |{}\n",
        code(&id(row)),
        row.unit,
        cells.collect::<String>()
    )
}

/// Value and ratio; the mark of the best as an entity, since two in one line could be read as emphasis.
fn both(cell: &Cell) -> String {
    let ratio = cell.ratio.as_ref().map(|ratio| format!(" {}", factor(ratio)));
    prose(&(figure(cell) + &ratio.unwrap_or_default()))
}
