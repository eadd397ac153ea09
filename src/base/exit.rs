//! Exit codes that bench targets and the program `rkllm-bench` share. `gate::Overall::exit_code` has those of verdicts.

use std::process::ExitCode;

use crate::base::console;
use crate::base::error::{Error, Result};
use crate::base::signals::{self, SIGNAL};

/// A bench target: something failed.
pub(crate) const FAILED: u8 = 1;
/// The command line, a file or a model cannot be used (`EX_USAGE` of sysexits.h).
pub(crate) const USAGE: u8 = 64;
/// An error inside rkllm-bench or its surroundings (`EX_SOFTWARE`).
pub(crate) const INTERNAL: u8 = 70;
/// The code for an error that ends the program.
pub(crate) fn of_error(error: &Error) -> u8 {
    match error {
        Error::BadParameter(_)
        | Error::Suite { .. }
        | Error::Model(_)
        | Error::Record { .. }
        | Error::Baseline { .. } => USAGE,
        _ => INTERNAL,
    }
}

/// The end of a `main`: prints the error and returns the exit code. After a stop signal that is the code of the signal,
/// whatever the outcome.
pub(crate) fn of_outcome(outcome: Result<ExitCode>) -> ExitCode {
    let code = outcome.unwrap_or_else(|error| {
        console::say(format_args!("error: {error}"));
        ExitCode::from(of_error(&error))
    });
    let stopped = signals::stop_signal().map(|signal| ExitCode::from(SIGNAL + signal));
    finish(stopped.unwrap_or(code))
}

/// Returns the exit code of a program that would end with `code`: another one if stdout did not take all output. Each
/// `main` ends with it.
pub(crate) fn finish(code: ExitCode) -> ExitCode {
    let Some(error) = console::take_trouble() else {
        return code;
    };
    console::say(format_args!("error: stdout: {error}; the output is incomplete"));
    of_lost_output(code)
}

/// Prints the error of clap, or the help that was asked for, and returns the exit code.
pub(crate) fn of_arguments(error: &clap::Error) -> ExitCode {
    console::print_usage(error);
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

/// The exit code of a program whose output was lost and that would have ended with `code`. Usage errors and stop
/// signals keep their code. A verdict that nobody could read does not.
fn of_lost_output(code: ExitCode) -> ExitCode {
    let kept = [USAGE, SIGNAL + 1, SIGNAL + 2, SIGNAL + 15].map(ExitCode::from);
    if kept.contains(&code) {
        code
    } else {
        ExitCode::from(INTERNAL)
    }
}
