//! `rkllm-bench compare`

use std::process::ExitCode;

use super::selection::{RunSelection, runs_named};
use crate::analysis::compare::{Source, compare};
use crate::base::console::{self, print};
use crate::base::error::{Error, Result};
use crate::record::RunRecord;
use crate::record::baseline::{self, Store, refuse_twins};
use crate::report::compare::Format;

/// Compare models and runs, side by side
///
/// An argument is a baseline's name, a run record's file, or a pattern of such files; its runs are taken together, and
/// each of its models is compared with all others. Without arguments the newest run of each suite and its models is taken, and the
/// models are compared with each other. It judges nothing: `gate` and `ab` do.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Baselines, run records, patterns in quotes; ratios are to the first
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
    // A baseline's name says more than the id of its one run.
    Ok(if baseline::is_file(argument) {
        of(runs, argument)
    } else {
        Source {
            name: argument.to_owned(),
            runs,
        }
    })
}

/// One run goes by its id.
fn of(runs: Vec<RunRecord>, name: &str) -> Source {
    let name = match &runs[..] {
        [run] => run.run_id.clone(),
        _ => name.to_owned(),
    };
    Source { name, runs }
}
