//! `rkllm-bench runs`

mod list;
mod remove;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::base::error::Result;
use crate::base::paths;

/// List the run records, and remove those that are no longer needed; baselines keep their own copies
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Rm(remove::Rm),
    Prune(remove::Prune),
}

/// Where the records are.
#[derive(Debug, clap::Args)]
struct Folder {
    /// The folder of run records [default: where `cargo bench` leaves them, rkllm-bench/runs in cargo's target folder]
    #[arg(long, value_name = "DIR", env = "RKLLM_BENCH_OUTPUT")]
    records: Option<PathBuf>,
}

impl Folder {
    fn path(&self) -> PathBuf {
        self.records.clone().unwrap_or_else(paths::runs_dir)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::List(arguments) => list::list(arguments)?,
        Command::Rm(arguments) => remove::rm(arguments)?,
        Command::Prune(arguments) => remove::prune(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
