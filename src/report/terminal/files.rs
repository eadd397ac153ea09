//! Where the reports are.

use crate::report::benchmark::Files;
use crate::report::words::plain;

/// A line for each model.
pub fn files(files: &[Files]) -> String {
    let of_model = |files: &Files| {
        let page = files.markdown.display();
        format!("answers of {}: {page} (and .json)\n", plain(&files.model))
    };
    files.iter().map(of_model).collect()
}
