//! The result on stdout, for programs and forums: one document for all runs of a process.
//!
//! `docs/reports.md` describes the formats, `docs/result.schema.json` each field of the JSON.

mod csv;
mod facts;
mod json;
mod markdown;

use crate::record::RunRecord;

/// The format of the result on stdout; the value of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One row for each prompt
    Csv,
    /// A Markdown table with one row for each model, to paste into a forum
    Md,
}

impl Format {
    /// The document, with a newline at its end; absent for the text, which is printed piece by piece.
    pub(crate) fn render(self, runs: &[RunRecord]) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Json => Some(json::json(runs)),
            Self::Csv => Some(csv::csv(runs)),
            Self::Md => Some(markdown::markdown(runs)),
        }
    }
}

#[cfg(test)]
mod tests;
