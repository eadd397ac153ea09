//! `rkllm-bench gate`

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use super::judging::Judging;
use super::selection::RunSelection;
use crate::analysis::gate::{self, Aspect, Percent};
use crate::base::console::{self, print, say};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::inputs::hint;
use crate::program::calibration;
use crate::record::RunRecord;
use crate::record::baseline::{self, Store};
use crate::report::gate::Format;

/// Compare runs with a baseline and give a verdict
///
/// Without --runs, it takes the newest runs since the baseline was saved. Two runs of an unchanged program already
/// differ. A baseline of several runs, or `rkllm-bench calibrate`, shows by how much. Without either, one run on each
/// side is not enough for a verdict.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT_CODES)]
pub(super) struct Arguments {
    /// The baseline: its name, a file of `baseline export`, or a run record
    #[arg(long, value_name = "NAME|FILE")]
    baseline: String,
    #[command(flatten)]
    runs: RunSelection,
    /// Bound of the phases and of memory; loading and tails have a minimum bound of their own
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    max_regression: Percent,
    #[command(flatten)]
    judging: Judging,
    /// Permit a difference that you are testing: model, suite, parameters, runtime, driver, soc or frequencies
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Aspect>,
    /// Format of the verdict
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let file = Store::in_target().find(&arguments.baseline)?;
    let baseline = of_suites(baseline::runs_of(&file)?, &arguments.runs, &file)?;
    let candidate = candidate(&arguments.runs, &baseline, &file)?;
    let calibration = calibrations(&baseline);
    let limits = arguments.judging.limits(arguments.max_regression);
    let comparison = gate::compare(&baseline, &candidate, &calibration, &arguments.allow, &limits);
    print(&arguments.format.render_within(&comparison, console::width()));
    if let Some(unknown) = comparison.metrics.iter().find(|judged| judged.worse_by.is_none()) {
        // Not part of the verdict, whose lines are folded: the user copies this command.
        say(format_args!(
            "`{}` measures how much runs of an unchanged program differ",
            calibrate(&unknown.metric.suite)
        ));
    }
    Ok(ExitCode::from(comparison.overall.exit_code()))
}

/// The command that repeats the runs of a suite.
fn calibrate(suite: &str) -> String {
    let calibrate = hint::tool(&["calibrate", "--"]);
    let bench = hint::bench(suite);
    if bench.contains("--bench") {
        format!("{calibrate} {bench}")
    } else {
        // The bench target of a user's suite is unknown.
        hint::tool(&["calibrate", "--help"])
    }
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

/// The baseline's runs of the requested suites.
fn of_suites(mut baseline: Vec<RunRecord>, selection: &RunSelection, file: &Path) -> Result<Vec<RunRecord>> {
    let suites: BTreeSet<String> = baseline.iter().map(|run| run.suite.name.clone()).collect();
    baseline.retain(|run| selection.has_suite(&run.suite.name));
    if baseline.is_empty() {
        let known: Vec<String> = suites.into_iter().collect();
        return Err(Error::BadParameter(format!(
            "--suite: the baseline {} has no run of it; its suites: {}",
            file.shown(),
            known.join(", ")
        )));
    }
    Ok(baseline)
}

/// The runs to judge, never those of the baseline itself. Unless they are named, only later runs of the baseline's
/// suites count: otherwise a benchmark that no longer runs would be judged by an old run, and found unchanged.
fn candidate(selection: &RunSelection, baseline: &[RunRecord], file: &Path) -> Result<Vec<RunRecord>> {
    let newest = baseline.iter().map(time).max().unwrap_or_default();
    let suites: BTreeSet<&str> = baseline.iter().map(|run| run.suite.name.as_str()).collect();
    let is_later = |run: &RunRecord| time(run) > newest && suites.contains(run.suite.name.as_str());
    let which = format!(" since the newest of the baseline {}", file.shown());
    let runs = selection.select_from(&which, &is_later)?;
    let runs: Vec<RunRecord> = runs.into_iter().map(|run| run.record).collect();
    if let Some(run) = runs
        .iter()
        .find(|run| baseline.iter().any(|other| other.run_id == run.run_id))
    {
        return Err(Error::BadParameter(format!(
            "run {} is part of the baseline {}: a run compared with itself shows nothing",
            run.run_id,
            file.shown()
        )));
    }
    for run in runs.iter().filter(|run| run.faults().are_fatal()) {
        say(format_args!("run {}: {}", run.run_id, run.faults()));
    }
    say_what_is_missing(&suites, &runs);
    Ok(runs)
}

/// Reports each suite of the baseline that the candidate lacks, with the command that measures it and the option that
/// leaves it out.
fn say_what_is_missing(suites: &BTreeSet<&str>, candidate: &[RunRecord]) {
    let (there, missing): (Vec<&str>, Vec<&str>) = suites
        .iter()
        .partition(|suite| candidate.iter().any(|run| run.suite.name == **suite));
    let others: Vec<String> = there.iter().map(|suite| format!("--suite {suite}")).collect();
    for suite in missing {
        say(format_args!(
            "suite {suite} of the baseline has no runs to judge: `{}` makes one, {} leaves it out",
            hint::bench(suite),
            others.join(" ")
        ));
    }
}

fn time(run: &RunRecord) -> jiff::Timestamp {
    // A record with an invalid time is not loaded.
    run.started_at.parse().unwrap_or_default()
}
