//! Where the reports are.

use crate::report::benchmark::Files;
use crate::report::words::plain;

/// A line for each model, and one for their comparison.
pub fn files(files: &[Files]) -> String {
    let line = |files: &Files| {
        let page = files.markdown.display();
        match &files.model {
            Some(model) => format!("answers of {}: {page} (and .json)\n", plain(model)),
            None => format!("comparison: {page} (and .json)\n"),
        }
    };
    files.iter().map(line).collect()
}
