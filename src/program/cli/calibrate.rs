//! `rkllm-bench calibrate`

use crate::base::number::Long as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::analysis::gate::{self, Overall, Percent};
use crate::analysis::summary::Disturbance;
use crate::base::console::{print, say, width};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::layout::folded_to;
use crate::base::paths;
use crate::base::signals;
use crate::base::signals::LastWords;
use crate::bench::repetitions::{self, End, Repetitions, parse_time};
use crate::measure::run::run_id;
use crate::program::bench_process::CommandLine;
use crate::program::calibration::{self, Calibration, Taken};
use crate::program::cli::judging::{Judging, in_words};
use crate::record::{Faults, RunRecord};
use crate::report::calibration as report;

/// Run an unchanged bench command several times to measure how much its figures vary, and which bounds a gate can use
///
/// `gate` uses the result for later runs with the same settings.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Number of fresh processes, at least 2
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(repetitions::LEAST.long()..))]
    runs: usize,
    /// Time budget: start no run expected to finish later
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_time)]
    budget: Duration,
    /// The bound that the gate will use
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    max_regression: Percent,
    #[command(flatten)]
    judging: Judging,
    /// A bench executable with its options, or `cargo bench --bench NAME`, which is built once and then started
    /// directly
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "CMD"
    )]
    command: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    signals::listen()?;
    let line = CommandLine::of_words(arguments.command.clone())?.built()?;
    let repetitions = Repetitions {
        count: Some(arguments.runs),
        budget: Some(arguments.budget),
    };
    // Not named as a calibration until it is complete.
    let folder = paths::calibrations_dir().join(run_id("unfinished"));
    let of_words = folder.clone();
    let _words = LastWords::new(move || format!("\nstopped; the finished runs are in {}", of_words.shown()));
    let taken = calibration::take(&line, repetitions, &folder)?;
    if taken.end.is_none() {
        let signal = signals::stop_signal().unwrap_or_default();
        say(format_args!(
            "\nstopped; the {} finished runs are in {}",
            taken.runs.len(),
            folder.shown()
        ));
        return Ok(ExitCode::from(signals::SIGNAL + signal));
    }
    judge(arguments, &line, taken, &folder)
}

/// Prints what the runs show, and saves them for the gate.
fn judge(arguments: &Arguments, line: &CommandLine, taken: Taken, folder: &Path) -> Result<ExitCode> {
    let runs: Vec<&RunRecord> = taken.runs.iter().collect();
    let limits = arguments.judging.limits(arguments.max_regression);
    let metrics = gate::fitness(&runs, &limits);
    check(&runs, metrics.is_empty(), folder)?;
    let disturbance = Disturbance::of(runs.iter().flat_map(|run| &run.models));
    print(&format!(
        "command: {line}\n{}\n{}\n{}",
        folded_to(width(), &extent_in_words(arguments, &taken)),
        report::table(&metrics, width()),
        report::verdict(&metrics, &limits, &disturbance, width())
    ));
    if let Some(earlier) = calibration::find(&runs) {
        say(format_args!(
            "replaces the calibration of {} ({} runs)",
            earlier.saved_at,
            earlier.runs.len()
        ));
    }
    let fit = gate::runs_needed(&metrics).is_some();
    let file = Calibration::new(line.to_string(), taken.runs).save()?;
    std::fs::remove_dir_all(folder).map_err(Error::io(folder))?;
    print(&format!("calibration: {}\n", file.shown()));
    let overall = if fit {
        Overall::NoRegression
    } else {
        Overall::CannotTell
    };
    Ok(ExitCode::from(overall.exit_code()))
}

/// Refuses runs that are not of one unchanged program, and reports what failed in the others.
fn check(runs: &[&RunRecord], without_metrics: bool, folder: &Path) -> Result<()> {
    let refuse = |reason: String| Error::Calibration {
        path: folder.to_owned(),
        reason,
        command: calibration::help_command(),
    };
    if let Some(difference) = gate::differences(runs, runs, &[].into()).first() {
        return Err(refuse(format!(
            "its runs differ in {}: {}",
            difference.what,
            difference.baseline.join(", ")
        )));
    }
    for (index, run) in runs.iter().enumerate() {
        let faults = run.faults();
        if faults != Faults::default() {
            say(format_args!("run {}: {faults}", index + 1));
        }
    }
    if without_metrics {
        return Err(refuse("no metric was measured in each of its runs".into()));
    }
    Ok(())
}

fn extent_in_words(arguments: &Arguments, taken: &Taken) -> String {
    let count = taken.runs.len();
    let ended = match taken.end {
        Some(End::Budget) => format!(
            ", of {} (--runs): another one would have exceeded the {} of --budget",
            arguments.runs,
            in_words(arguments.budget)
        ),
        _ => String::new(),
    };
    format!(
        "runs: {count} in {}, {} each{ended}",
        in_words(taken.elapsed),
        in_words(repetitions::mean(count, taken.elapsed))
    )
}
