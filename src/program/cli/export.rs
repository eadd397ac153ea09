//! `rkllm-bench export`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use super::selection::RunSelection;
use crate::analysis::gate::differences;
use crate::base::atomic;
use crate::base::atomic::Existing;
use crate::base::console::deliver;
use crate::base::error::{Error, Result};
use crate::record::RunRecord;
use crate::report::export::Target;

/// Write figures in the format of another program
///
/// docs/exports.md shows how each program reads the file.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The format
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Target,
    #[command(flatten)]
    runs: RunSelection,
    /// Commit of the figures, for the field `build_commit` of llama-bench-jsonl
    #[arg(long, value_name = "HASH")]
    commit: Option<String>,
    /// File to write; an existing file is replaced [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.commit.is_some() && arguments.to != Target::LlamaBenchJsonl {
        return Err(Error::BadParameter(
            "--commit is for --to llama-bench-jsonl: the other formats have no field for it; leave it out"
                .into(),
        ));
    }
    let runs: Vec<RunRecord> = arguments
        .runs
        .select()?
        .into_iter()
        .map(|run| run.record)
        .collect();
    if arguments.to.aggregates() {
        refuse_unlike(&runs)?;
    }
    let text = arguments.to.render(&runs, arguments.commit.as_deref());
    match &arguments.output {
        Some(path) => atomic::write(path, Existing::Replace, |writer| {
            writer.write_all(text.as_bytes())
        })?,
        None => deliver(text.as_bytes()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses runs whose figures cannot be combined because their settings differ.
fn refuse_unlike(runs: &[RunRecord]) -> Result<()> {
    let mut suites = BTreeMap::<&str, Vec<&RunRecord>>::new();
    for run in runs {
        suites.entry(&run.suite.name).or_default().push(run);
    }
    for (suite, runs) in suites {
        let found = differences(&runs, &runs, &BTreeSet::new());
        if let Some(difference) = found.first() {
            return Err(Error::BadParameter(format!(
                "the runs of suite {suite} differ in {} ({}): {}; their figures cannot be combined, so export them \
                 one by one",
                difference.what,
                difference.aspect.name(),
                difference.baseline.join(", ")
            )));
        }
    }
    Ok(())
}
