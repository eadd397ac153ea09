//! `rkllm-bench runs`

mod folder;
mod list;
mod remove;

use std::process::ExitCode;

use clap::Subcommand;

use crate::base::error::Result;

/// List run records, and remove old ones; baselines keep their own copies
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

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::List(arguments) => list::list(arguments)?,
        Command::Rm(arguments) => remove::rm(arguments)?,
        Command::Prune(arguments) => remove::prune(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
