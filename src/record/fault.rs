//! Faults in a file that was read, with their fields.

use std::fmt;
use std::path::Path;

use crate::base::error::Error;
use crate::base::json::clip;

pub(super) const WHERE_RECORDS_ARE: &str =
    "run records are the files that `cargo bench` leaves in rkllm-bench/runs in cargo's target folder";
pub(super) const ALTERED: &str =
    "the file is not as rkllm-bench wrote it: take the original, or measure again";

/// What is wrong with a file, and in which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The field, as `models[0].prompts[2].id`; empty for the whole file.
    pub(crate) field: String,
    /// What is wrong and what to do.
    pub(crate) reason: String,
}

impl Fault {
    /// A fault in a field.
    pub(crate) fn at(field: impl Into<String>, reason: impl Into<String>) -> Self {
        let (field, reason) = (field.into(), reason.into());
        Self { field, reason }
    }

    /// A fault in the whole file.
    pub(crate) fn whole(reason: impl Into<String>) -> Self {
        Self::at("", reason)
    }

    /// A fault in a field whose value rkllm-bench cannot have written.
    pub(crate) fn altered(field: impl Into<String>, what: impl fmt::Display) -> Self {
        Self::at(field, format!("{what}; {ALTERED}"))
    }

    /// The same fault seen from a document that has this one in its field `outer`.
    pub(crate) fn within(self, outer: &str) -> Self {
        let field = match (self.field.is_empty(), self.field.starts_with('[')) {
            (true, _) => outer.to_owned(),
            (false, true) => format!("{outer}{}", self.field),
            (false, false) => format!("{outer}.{}", self.field),
        };
        Self { field, ..self }
    }

    /// Converts it to an error about the run record at `path`.
    pub(crate) fn of_record(&self, path: &Path) -> Error {
        Error::Record {
            path: path.to_owned(),
            reason: self.to_string(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", clip(&self.field))?;
        }
        f.write_str(&self.reason)
    }
}
