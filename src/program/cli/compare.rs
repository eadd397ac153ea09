//! `rkllm-bench compare`

use std::process::ExitCode;

use super::selection::{RunSelection, runs_named};
use crate::analysis::compare::{Source, compare};
use crate::base::console::{self, print};
use crate::base::error::{Error, Result};
use crate::record::RunRecord;
use crate::record::baseline::{self, Store, refuse_twins};
use crate::report::compare::Format;

/// Show models and runs side by side, without a verdict
///
/// An argument is the name of a baseline, a run record, or a quoted pattern of run records. The runs of an argument
/// are combined, and each of its models is compared with all others. Without arguments, it takes the newest run of
/// each suite and its models. For a verdict use `gate` or `ab`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Baselines, run records or quoted patterns; ratios are relative to the first
    #[arg(value_name = "NAME|GLOB", conflicts_with = "runs")]
    sources: Vec<String>,
    #[command(flatten)]
    runs: RunSelection,
    /// Format of the comparison
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let sources = if arguments.sources.is_empty() {
        let runs = arguments
            .runs
            .select()?
            .into_iter()
            .map(|run| run.record)
            .collect();
        vec![of(runs, "runs")]
    } else {
        arguments
            .sources
            .iter()
            .map(|source| named(source))
            .collect::<Result<_>>()?
    };
    let placed = sources
        .iter()
        .flat_map(|source| source.runs.iter().map(|run| (source.name.clone(), run)));
    refuse_twins(placed).map_err(Error::BadParameter)?;
    print(
        &arguments
            .format
            .render_within(&compare(&sources), console::width()),
    );
    Ok(ExitCode::SUCCESS)
}

fn named(argument: &str) -> Result<Source> {
    let is_pattern = argument.contains(['*', '?', '[']) && !std::path::Path::new(argument).exists();
    if is_pattern {
        let runs = runs_named(&[argument.to_owned()])?;
        return Ok(of(runs.into_iter().map(|run| run.record).collect(), argument));
    }
    let file = Store::in_target().find(argument)?;
    let runs = baseline::runs_of(&file)?;
    // The name of a baseline says more than the id of its only run.
    Ok(if baseline::is_file(argument) {
        of(runs, argument)
    } else {
        Source {
            name: argument.to_owned(),
            runs,
        }
    })
}

/// A single run is named by its id.
fn of(runs: Vec<RunRecord>, name: &str) -> Source {
    let name = match &runs[..] {
        [run] => run.run_id.clone(),
        _ => name.to_owned(),
    };
    Source { name, runs }
}
