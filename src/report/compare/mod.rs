//! The formats of a comparison of models and runs. Each is a pure function.

mod cells;
mod markdown;
mod text;

pub use markdown::markdown;
pub use text::text;

use crate::analysis::compare::Comparison;
use crate::base::csv_text;
use crate::base::layout::{WIDTH, document};

/// The version of the JSON format. It rises with each change that is incompatible with readers.
const SCHEMA_VERSION: u32 = 1;
/// Identifies this kind of JSON document.
const KIND: &str = "rkllm-bench model comparison";

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
    /// The whole comparison, for programs.
    Json,
}

impl Format {
    /// The comparison in this format, with a newline at its end.
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

/// A row for each metric and subject that has it. Texts that a spreadsheet would evaluate start with an apostrophe.
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

#[cfg(test)]
mod tests;
