//! Lists the run records, newest first, grouped by suite and models as `--last N` counts them.

use super::folder::Folder;
use crate::base::console::{print, width};
use crate::base::error::Result;
use crate::base::foreign::Shown as _;
use crate::inputs::hint;
use crate::record::run_folder::entries;
use crate::report::runs::{json, text};

/// List the run records of each suite and its models, newest first
///
/// The note behind a run says why `gate`, `baseline save` and other commands skip it unless you name it.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    folder: Folder,
    /// Format of the list
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A format; the value of `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal of 80 columns.
    #[default]
    Text,
    /// For programs.
    Json,
}

pub(super) fn list(arguments: &List) -> Result<()> {
    let folder = arguments.folder.path();
    let entries = entries(&folder)?;
    print(&match arguments.format {
        Format::Json => json(&entries),
        Format::Text if entries.is_empty() => {
            format!("no runs in {}: `{}` makes one\n", folder.shown(), hint::benches())
        }
        Format::Text => text(&entries, width()),
    });
    Ok(())
}
