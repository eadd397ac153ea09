//! A comparison of models as GitHub's Markdown.

use super::cells::{LEGEND, factor, figure, id};
use crate::analysis::compare::{Cell, Comparison, Row, SuiteTable};
use crate::report::markup::{code, prose};
use crate::report::words::counted;

/// The comparison as Markdown: a table for each suite with a column for each subject.
pub fn markdown(comparison: &Comparison) -> String {
    let mut lines = vec!["## Comparison".to_owned(), String::new()];
    let subjects = comparison.subjects.iter();
    lines.extend(subjects.map(|subject| {
        let captions = subject
            .captions
            .iter()
            .map(|caption| format!("; {}", prose(caption)));
        format!(
            "- {}, {}{}",
            code(&subject.label),
            counted(subject.runs, "run"),
            captions.collect::<String>()
        )
    }));
    for suite in &comparison.suites {
        lines.extend(table(comparison, suite));
    }
    if !comparison.notes.is_empty() {
        lines.extend([String::new(), "**Notes**".to_owned(), String::new()]);
        lines.extend(comparison.notes.iter().map(|note| format!("- {}", prose(note))));
    }
    if !comparison.suites.is_empty() {
        lines.extend([String::new(), format!("<sub>{}</sub>", prose(LEGEND))]);
    }
    lines.join("\n").trim_end().to_owned() + "\n"
}

fn table(comparison: &Comparison, suite: &SuiteTable) -> Vec<String> {
    let labels: Vec<String> = comparison
        .subjects
        .iter()
        .map(|subject| code(&subject.label))
        .collect();
    let mut lines = vec![
        String::new(),
        format!("### Suite {}", code(&suite.suite)),
        String::new(),
        format!("| metric | unit | {} |", labels.join(" | ")),
        format!("| --- | --- |{}", " ---: |".repeat(labels.len())),
    ];
    lines.extend(suite.rows.iter().map(line));
    lines
}

fn line(row: &Row) -> String {
    let cells = row
        .cells
        .iter()
        .map(|cell| cell.as_ref().map_or_else(|| "-".into(), both));
    let cells: Vec<String> = cells.collect();
    format!("| {} | {} | {} |", code(&id(row)), row.unit, cells.join(" | "))
}

/// Value and ratio. The mark of the best is an entity, because two asterisks in one line could mean emphasis.
fn both(cell: &Cell) -> String {
    let ratio = cell.ratio.as_ref().map(|ratio| format!(" {}", factor(ratio)));
    prose(&(figure(cell) + &ratio.unwrap_or_default()))
}
