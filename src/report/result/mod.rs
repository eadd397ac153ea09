//! The result of runs for programs and for forums: one document of all runs of a process.
//!
//! `docs/reports.md` describes the formats, `docs/result.schema.json` each field of the JSON.

mod csv;
mod facts;
mod json;
mod markdown;

use crate::record::RunRecord;

/// What stdout gets; the value of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One row a prompt
    Csv,
    /// A Markdown table with one row a model, to be pasted into a forum
    Md,
}

impl Format {
    /// The document, with a line's end at its end; absent for the text, which is shown piece by piece.
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
