//! The formats of a gate's verdict. Each is a pure function: the same comparison gives the same text to the last byte.

pub(crate) mod advice;
mod figures;
mod junit;
mod markdown;
mod parts;
mod text;
mod words;

pub use junit::junit;
pub use markdown::markdown;
pub use text::text;

use crate::analysis::gate::Comparison;
use crate::base::layout::{WIDTH, document};

/// The version of the JSON format. It rises with each change that a reader of the old one would stumble over.
const SCHEMA_VERSION: u32 = 1;
/// What tells this JSON from a run record.
const KIND: &str = "rkllm-bench comparison";

/// A format of the verdict; the value of `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal of 80 columns.
    #[default]
    Text,
    /// For a comment on a pull request.
    Markdown,
    /// All of it, for programs.
    Json,
    /// For what shows test results: a test case a metric.
    Junit,
}

impl Format {
    /// The verdict in this format, with a line's end at its end.
    pub fn render(self, comparison: &Comparison) -> String {
        self.render_within(comparison, WIDTH)
    }

    /// The same, with text of at most `width` columns.
    pub(crate) fn render_within(self, comparison: &Comparison, width: u16) -> String {
        match self {
            Self::Text => text::text_within(comparison, width),
            Self::Markdown => markdown(comparison),
            Self::Json => json(comparison),
            Self::Junit => junit(comparison),
        }
    }
}

/// The comparison as JSON, with the format's `schema_version` and `kind` before it.
///
/// Numbers that are not finite are `null`.
pub fn json(comparison: &Comparison) -> String {
    document(KIND, SCHEMA_VERSION, comparison)
}

#[cfg(test)]
mod tests;
