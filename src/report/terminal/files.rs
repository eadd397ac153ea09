//! The paths of the reports.

use crate::base::foreign::Shown as _;
use crate::base::layout::{folded_to, whole};
use crate::report::benchmark::Files;
use crate::report::words::plain;

/// A line for each model, and one for their comparison. A path that does not fit into `width` columns gets its own
/// line.
pub fn files(files: &[Files], width: u16) -> String {
    let line = |files: &Files| {
        let page = files.markdown.shown();
        let what = match &files.model {
            Some(model) => format!("answers of {}", whole(&plain(model))),
            None => "comparison".to_owned(),
        };
        let line = folded_to(
            width,
            &format!("{what}: {} (and .json)", whole(&page.to_string())),
        );
        if line.lines().count() == 1 {
            return line;
        }
        folded_to(width, &format!("{what} (and .json):")) + &format!("{page}\n")
    };
    files.iter().map(line).collect()
}
