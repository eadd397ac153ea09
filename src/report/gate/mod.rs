//! The formats of a gate's verdict. Each is a pure function: the same comparison always gives the same bytes.

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

/// The version of the JSON format. It rises with each change that is incompatible with readers.
const SCHEMA_VERSION: u32 = 1;
/// Identifies this kind of JSON document.
const KIND: &str = "rkllm-bench comparison";

/// A format of the verdict; the value of `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal of 80 columns.
    #[default]
    Text,
    /// For a comment on a pull request.
    Markdown,
    /// The whole verdict, for programs.
    Json,
    /// For tools that show test results: a test case for each metric.
    Junit,
}

impl Format {
    /// The verdict in this format, with a newline at its end.
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
