//! `rkllm-bench baseline`

mod save;
mod show;
mod transfer;

use std::process::ExitCode;

use clap::Subcommand;

use self::save::{save_new, summary};
use super::selection::{RunSelection, SelectedRun};
use crate::base::console::print;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::record::baseline::{Baseline, Store, refuse_twins};

/// Save runs under a name, to compare later runs with them
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Save(Save),
    /// List the baselines
    List,
    Show(show::Show),
    Export(transfer::Export),
    Import(transfer::Import),
    Rm(Rm),
}

/// Save the newest run of each suite, or the named runs, as a baseline
///
/// Two runs of an unchanged program already differ; a baseline of several runs shows by how much. Incomplete runs are
/// not taken.
#[derive(Debug, clap::Args)]
struct Save {
    /// Name of the baseline: 1 to 64 letters, digits, '.', '_' and '-'
    name: String,
    #[command(flatten)]
    selection: RunSelection,
    /// Add the runs to an existing baseline
    #[arg(long, conflicts_with = "replace")]
    add: bool,
    /// Replace an existing baseline
    #[arg(long)]
    replace: bool,
}

/// Remove baselines
#[derive(Debug, clap::Args)]
struct Rm {
    /// Names of the baselines; if one does not exist, none is removed
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let store = Store::in_target();
    match &arguments.command {
        Command::Save(arguments) => save(&store, arguments)?,
        Command::List => show::list(&store)?,
        Command::Show(arguments) => show::show(&store, arguments)?,
        Command::Export(arguments) => transfer::export(&store, arguments)?,
        Command::Import(arguments) => transfer::import(&store, arguments)?,
        Command::Rm(arguments) => remove(&store, arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn save(store: &Store, arguments: &Save) -> Result<()> {
    let name = &arguments.name;
    let path = store.path(name)?;
    let runs = arguments.selection.select()?;
    let mut lines: Vec<String> = runs.iter().map(line_of).collect();
    let _lock = store.lock()?;
    let baseline = if arguments.add && path.exists() {
        extended(Baseline::load(&path)?, runs)?
    } else {
        Baseline::new(name, runs.into_iter().map(|run| run.record).collect())
    };
    if arguments.add || arguments.replace {
        baseline.save(&path)?;
    } else {
        save_new(store, &baseline, "--add adds to it, --replace replaces it")?;
    }
    lines.push(summary(&baseline, &path));
    print(&lines.concat());
    Ok(())
}

fn line_of(run: &SelectedRun) -> String {
    format!("{}\t{}\n", run.record.run_id, run.path.shown())
}

/// The baseline with more runs. A run that it already has is refused, and the message names its file.
fn extended(baseline: Baseline, more: Vec<SelectedRun>) -> Result<Baseline> {
    let known = baseline
        .runs
        .iter()
        .map(|run| (format!("baseline {}", baseline.name), run));
    let new = more
        .iter()
        .map(|run| (run.path.to_string_lossy().into_owned(), &run.record));
    refuse_twins(known.chain(new)).map_err(Error::BadParameter)?;
    Ok(baseline.with(more.into_iter().map(|run| run.record)))
}

fn remove(store: &Store, arguments: &Rm) -> Result<()> {
    store.remove(&arguments.names)?;
    print(&format!("removed {}\n", arguments.names.join(", ")));
    Ok(())
}
