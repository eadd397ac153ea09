//! `rkllm-bench gate`

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use super::judging::Judging;
use super::selection::RunSelection;
use crate::baseline::{self, Store};
use crate::calibration;
use crate::console::{print, say};
use crate::error::{Error, Result};
use crate::gate::{self, Aspect, Percent};
use crate::record::RunRecord;
use crate::report::gate::Format;

/// Judge runs against a baseline
///
/// Without --runs the newest runs since the baseline was taken are judged. A run is a process: a baseline of several
/// runs, or `rkllm-bench calibrate`, shows how much runs differ while nothing changes; without either nothing can be
/// told of one run a side.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT_CODES)]
pub(super) struct Arguments {
    /// The baseline: its name, or the file of an exported one or of a run record
    #[arg(long, value_name = "NAME|FILE")]
    baseline: String,
    #[command(flatten)]
    runs: RunSelection,
    /// Bound of the phases and of memory; those of loading and of the tails are never lower
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    max_regression: Percent,
    #[command(flatten)]
    judging: Judging,
    /// Differences that are the experiment: model, suite, parameters, runtime, driver, soc
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Aspect>,
    /// Format of the verdict
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let file = Store::in_target().find(&arguments.baseline)?;
    let baseline = baseline::runs_of(&file)?;
    let candidate = candidate(&arguments.runs, &baseline, &file)?;
    let calibration = calibrations(&baseline);
    let limits = arguments.judging.limits(arguments.max_regression);
    let comparison = gate::compare(&baseline, &candidate, &calibration, &arguments.allow, &limits);
    print(&arguments.format.render(&comparison));
    Ok(ExitCode::from(comparison.overall.exit_code()))
}

/// The runs of the calibrations that belong to the baseline's suites.
fn calibrations(baseline: &[RunRecord]) -> Vec<RunRecord> {
    let suites: BTreeSet<&str> = baseline.iter().map(|run| run.suite.name.as_str()).collect();
    let of_suite = |suite: &str| {
        let runs: Vec<&RunRecord> = baseline.iter().filter(|run| run.suite.name == suite).collect();
        calibration::find(&runs).map_or_else(Vec::new, |calibration| calibration.runs)
    };
    suites.into_iter().flat_map(of_suite).collect()
}

/// The runs to judge: never those of the baseline itself, and, unless they were named, only later ones. A benchmark that
/// no longer runs would be judged by an old run otherwise, and found unchanged.
fn candidate(selection: &RunSelection, baseline: &[RunRecord], file: &Path) -> Result<Vec<RunRecord>> {
    let mut runs: Vec<RunRecord> = selection.select()?.into_iter().map(|run| run.record).collect();
    if !selection.is_by_name() {
        let newest = baseline.iter().map(time).max().unwrap_or_default();
        runs.retain(|run| time(run) > newest);
        if runs.is_empty() {
            return Err(Error::BadParameter(format!(
                "there is no run since the newest of the baseline {}: run `cargo bench` first, or name runs with --runs",
                file.display()
            )));
        }
    }
    if let Some(run) = runs
        .iter()
        .find(|run| baseline.iter().any(|other| other.run_id == run.run_id))
    {
        return Err(Error::BadParameter(format!(
            "run {} is one of the baseline {}: a run compared with itself shows nothing",
            run.run_id,
            file.display()
        )));
    }
    for run in runs.iter().filter(|run| run.faults().are_fatal()) {
        say(format_args!("run {}: {}", run.run_id, run.faults()));
    }
    Ok(runs)
}

fn time(run: &RunRecord) -> jiff::Timestamp {
    // A record whose time is none is not loaded.
    run.started_at.parse().unwrap_or_default()
}
