//! The formats of models and runs beside each other. Each is a pure function.

mod markdown;
mod text;

pub use markdown::markdown;
pub use text::text;

use super::numbers::value;
use crate::analysis::compare::{Cell, Comparison, Ratio, Row};
use crate::base::csv_text;
use crate::base::layout::{WIDTH, document};

/// The version of the JSON format. It rises with each change that a reader of the old one would stumble over.
const SCHEMA_VERSION: u32 = 1;
/// What tells this JSON from a run record and from a verdict.
const KIND: &str = "rkllm-bench model comparison";
/// How the best is marked.
const BEST: &str = "*";
const LEGEND: &str = "each figure is the geometric mean; behind x the ratio to the first subject that has the suite, with its 95 % \
    interval, each taken by itself; * is the best, and what cannot be told from it";

/// A format; the value of `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal of 80 columns.
    #[default]
    Text,
    /// For a page or a comment.
    Markdown,
    /// A row for each metric and subject.
    Csv,
    /// All of it, for programs.
    Json,
}

impl Format {
    /// The comparison in this format, with a line's end at its end.
    pub fn render(self, comparison: &Comparison) -> String {
        self.render_within(comparison, WIDTH)
    }

    /// The same, with text of at most `width` columns.
    pub(crate) fn render_within(self, comparison: &Comparison, width: u16) -> String {
        match self {
            Self::Text => text::text_within(comparison, width),
            Self::Markdown => markdown(comparison),
            Self::Csv => csv(comparison),
            Self::Json => json(comparison),
        }
    }
}

/// The comparison as JSON, with the format's `schema_version` and `kind` before it.
///
/// Numbers that are not finite are `null`.
pub fn json(comparison: &Comparison) -> String {
    document(KIND, SCHEMA_VERSION, comparison)
}

/// A row for each metric and subject that has it. Texts that a spreadsheet would compute get an apostrophe before them.
pub fn csv(comparison: &Comparison) -> String {
    let header = [
        "suite",
        "metric",
        "prompt",
        "unit",
        "subject",
        "model",
        "source",
        "runs",
        "value",
        "ratio",
        "ratio_lower",
        "ratio_upper",
        "interval_over",
        "best",
    ];
    let mut rows = Vec::new();
    for table in &comparison.suites {
        for row in &table.rows {
            for (subject, cell) in comparison.subjects.iter().zip(&row.cells) {
                let Some(cell) = cell else { continue };
                let interval = cell.ratio.and_then(|ratio| ratio.interval);
                let text = |text: &str| csv_text::cell(text).into_owned();
                rows.push([
                    text(&table.suite),
                    row.measure.name().to_owned(),
                    text(row.prompt.as_deref().unwrap_or_default()),
                    row.unit.to_owned(),
                    text(&subject.label),
                    text(&subject.model),
                    text(&subject.source),
                    subject.runs.to_string(),
                    csv_text::number(Some(cell.value)),
                    csv_text::number(cell.ratio.map(|ratio| ratio.estimate)),
                    csv_text::number(interval.map(|interval| interval.lower)),
                    csv_text::number(interval.map(|interval| interval.upper)),
                    interval.map_or("", |interval| interval.over.name()).to_owned(),
                    cell.best.to_string(),
                ]);
            }
        }
    }
    csv_text::table(header, rows)
}

/// The row's name within its suite.
fn id(row: &Row) -> String {
    match &row.prompt {
        Some(prompt) => format!("{}/{prompt}", row.measure.name()),
        None => row.measure.name().to_owned(),
    }
}

/// A value with the mark of the best: `12.50 *`.
fn figure(cell: &Cell) -> String {
    let mark = if cell.best {
        format!(" {BEST}")
    } else {
        String::new()
    };
    format!("{}{mark}", value(cell.value))
}

/// A ratio with its interval: `x0.874 [0.861, 0.887]`.
fn factor(ratio: &Ratio) -> String {
    match ratio.interval {
        Some(interval) => format!(
            "x{} [{}, {}]",
            value(ratio.estimate),
            value(interval.lower),
            value(interval.upper)
        ),
        None => format!("x{}", value(ratio.estimate)),
    }
}

#[cfg(test)]
mod tests;
