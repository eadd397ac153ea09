//! `rkllm-bench operating-curve`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;
use crate::operating_curve::{self, Pool};

/// Judge the gate itself, on comparisons whose truth is known, and write operating-curve.md and its plot
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The pool of recorded pairs
    #[arg(long, value_name = "FILE")]
    pool: PathBuf,
    /// Make the pool anew from the folders that `rkllm-bench ab` left, each with its condition: none, prefill=3%,
    /// prefill=5%, decode=3% or decode=5%
    #[arg(long, value_name = "CONDITION:DIR", value_parser = parse_pairs)]
    pairs: Vec<(String, PathBuf)>,
    /// Folder of what is written
    #[arg(long, value_name = "DIR", default_value = "docs")]
    output: PathBuf,
}

fn parse_pairs(text: &str) -> Result<(String, PathBuf), String> {
    let (condition, folder) = text
        .split_once(':')
        .ok_or("a condition, a colon and a folder are meant")?;
    Ok((condition.to_owned(), folder.into()))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.pairs.is_empty() {
        Pool::collect(&arguments.pairs)?.save(&arguments.pool)?;
    }
    let pool = Pool::load(&arguments.pool)?;
    operating_curve::write(&pool, &arguments.output, &arguments.pool.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
