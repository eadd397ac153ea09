//! The program `rkllm-bench`: one file for each subcommand, with its arguments and its code.

mod ab;
mod baseline;
mod calibrate;
mod compare;
mod doctor;
mod export;
mod gate;
mod judging;
mod models;
mod operating_curve;
mod overhead;
mod pin;
mod report;
mod runs;
mod selection;

use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};

use crate::base::console;
use crate::base::error::Result;
use crate::base::exit;
use crate::base::paths;
use crate::program::operating_curve::serve_if_criterion;
use crate::runtime::engine::serve_if_worker;

/// Tools for benchmarks of language models on the RKLLM runtime: compare runs, gate on regressions, check and prepare
/// the machine. `cargo bench` takes the measurements.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
struct Arguments {
    /// When to use colours; `auto` depends on the terminal and the environment (docs/reference.md, Colours)
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Gate(gate::Arguments),
    Ab(ab::Arguments),
    Baseline(baseline::Arguments),
    Calibrate(calibrate::Arguments),
    Compare(compare::Arguments),
    Export(export::Arguments),
    Models(models::Arguments),
    Report(report::Arguments),
    Runs(runs::Arguments),
    Doctor(doctor::Arguments),
    Pin(pin::Arguments),
    Unpin(pin::UnpinArguments),
    OperatingCurve(operating_curve::Arguments),
    Overhead(overhead::Arguments),
}

const EXIT_CODES: &str = "Exit codes:
  0    success; gate, ab: no regression, shown for each metric; calibrate: fit to gate;
       doctor: fit to measure; pin, unpin: every value was accepted
  1    regression: a metric got worse by more than its bound; doctor: not fit to measure;
       pin, unpin: a value was not accepted, or a clock does not exist;
       overhead: something failed
  2    cannot tell: too noisy, or too few runs; doctor: something that matters could not be seen
  3    not comparable: the sides differ in something that is not being tested (see --allow)
  4    a metric of the baseline is absent from the candidate
  64   usage: the command line, a file or a model cannot be used; pin: there is no clock to hold
  70   an internal or system error, such as a bench process that left no record, or stdout that
       cannot be written (a reader that has exited is not an error)
  130  stopped by Ctrl-C; 143 by SIGTERM, 129 by SIGHUP; what was recorded is kept
pin with a command ends with the command's code, or with 1 if that is 0 and a value was not accepted.";

/// The body of the program's `main`.
pub fn cli_main() -> ExitCode {
    if let Some(code) = serve_if_worker().or_else(serve_if_criterion) {
        return code;
    }
    let outcome = match paths::check_surroundings().map(|()| Arguments::try_parse()) {
        Ok(Ok(arguments)) => {
            console::set_colour(arguments.color);
            run(arguments.command)
        }
        Ok(Err(error)) => return exit::finish(exit::of_arguments(&error)),
        Err(error) => Err(error),
    };
    exit::of_outcome(outcome)
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Gate(arguments) => gate::run(&arguments),
        Command::Ab(arguments) => ab::run(&arguments),
        Command::Baseline(arguments) => baseline::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Models(arguments) => models::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Runs(arguments) => runs::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Pin(arguments) => pin::run(&arguments),
        Command::Unpin(arguments) => pin::unpin(&arguments),
        Command::OperatingCurve(arguments) => operating_curve::run(&arguments),
        Command::Overhead(arguments) => overhead::run(&arguments),
    }
}
