//! `rkllm-bench report`

use std::path::PathBuf;
use std::process::ExitCode;

use super::selection::RunSelection;
use crate::base::console::{self, print};
use crate::base::error::Result;
use crate::base::layout::message;
use crate::base::paths;
use crate::record::RunRecord;
use crate::report;
use crate::report::benchmark::{self, Unknown};
use crate::report::result::Format;
use crate::report::terminal;

/// Write the reports of a run again: its tables, and a JSON file and a Markdown page for each model
///
/// For a stopped run, the reports cover the samples that were taken.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT_CODES)]
pub(super) struct Arguments {
    /// Run records [default: the newest complete run of each suite]
    #[arg(value_name = "RECORD", conflicts_with_all = ["runs", "last", "suite"])]
    files: Vec<PathBuf>,
    #[command(flatten)]
    runs: RunSelection,
    /// Format of stdout; with any format except text, all other output goes to stderr
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// In the JSON files, write 0 instead of null for unknown numbers in `summary` and `detailed_results`, for
    /// programs that expect numbers
    #[arg(long)]
    nulls_as_zero: bool,
    /// Folder for the reports [default: rkllm-bench/reports in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let folder = arguments.output.clone().unwrap_or_else(paths::reports_dir);
    let runs: Vec<RunRecord> = if arguments.files.is_empty() {
        let selected = arguments.runs.select()?;
        selected.into_iter().map(|run| run.record).collect()
    } else {
        let loaded = arguments.files.iter().map(|path| RunRecord::load(path));
        loaded.collect::<Result<_>>()?
    };
    if arguments.format != Format::Text {
        console::reserve_stdout();
    }
    let unknown = if arguments.nulls_as_zero {
        Unknown::Zero
    } else {
        Unknown::Null
    };
    let width = console::width();
    for run in &runs {
        let models = report::models(run);
        let files = benchmark::write_with(&models, unknown, &folder)?;
        print(&format!(
            "{}{}{}",
            terminal::figures(&models, width),
            message(width, &terminal::faults(run)),
            terminal::files(&files, width)
        ));
    }
    if let Some(document) = arguments.format.render(&runs) {
        console::deliver(document.as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}
