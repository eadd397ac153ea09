//! `rkllm-bench operating-curve`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::base::error::Result;
use crate::base::foreign::Shown as _;
use crate::program::operating_curve::{self, Counts, Pool};

/// For maintainers: measure how often the gate is right, and write operating-curve.md and its plot
///
/// The gate judges comparisons with known slowdowns.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The pool of recorded pairs
    #[arg(long, value_name = "FILE")]
    pool: PathBuf,
    /// Make the pool again from folders of `rkllm-bench ab`, each with its condition: none, prefill=3%, prefill=5%,
    /// decode=3% or decode=5%
    #[arg(long, value_name = "CONDITION:DIR", value_parser = parse_pairs)]
    pairs: Vec<(String, PathBuf)>,
    /// Folder for the page and the plot
    #[arg(long, value_name = "DIR", default_value = "docs")]
    output: PathBuf,
    /// Comparisons drawn from unchanged pairs; a fifth of this number with each slowdown
    #[arg(long, value_name = "N", default_value_t = 300)]
    drawn: usize,
    /// Simulated comparisons of each point
    #[arg(long, value_name = "N", default_value_t = 2000)]
    simulated: usize,
}

fn parse_pairs(text: &str) -> Result<(String, PathBuf), String> {
    let (condition, folder) = text
        .split_once(':')
        .ok_or("expected a condition, a colon and a folder")?;
    Ok((condition.to_owned(), folder.into()))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.pairs.is_empty() {
        Pool::collect(&arguments.pairs)?.save(&arguments.pool)?;
    }
    let pool = Pool::load(&arguments.pool)?;
    let counts = Counts {
        drawn: arguments.drawn,
        simulated: arguments.simulated,
    };
    let name = arguments.pool.shown().to_string();
    operating_curve::write(&pool, &arguments.output, &name, counts)?;
    Ok(ExitCode::SUCCESS)
}
