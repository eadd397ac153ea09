//! Exit codes that bench targets and the program `rkllm-bench` share. Those of verdicts are `gate::Overall::exit_code`.

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

/// The end of a `main`: says what failed, and gives the code. A program that was stopped ends with the signal's, whatever
/// came of it.
pub(crate) fn of_outcome(outcome: Result<ExitCode>) -> ExitCode {
    let code = outcome.unwrap_or_else(|error| {
        console::say(format_args!("error: {error}"));
        ExitCode::from(of_error(&error))
    });
    let stopped = signals::stop_signal().map(|signal| ExitCode::from(SIGNAL + signal));
    finish(stopped.unwrap_or(code))
}

/// The exit code of a program that would end with `code`: another one where stdout did not take all that was printed.
/// Each `main` ends with it.
pub(crate) fn finish(code: ExitCode) -> ExitCode {
    let Some(error) = console::take_trouble() else {
        return code;
    };
    console::say(format_args!("error: stdout: {error}; the output is incomplete"));
    of_lost_output(code)
}

/// Prints what clap has to say, a mistake or the help that was asked for, and gives the code for it.
pub(crate) fn of_arguments(error: &clap::Error) -> ExitCode {
    console::print_usage(error);
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

/// The code for a program whose output was lost and that would have ended with `code`. A verdict that nobody could read
/// counts for nothing; what kept the program from giving one, and a stop by the user, do.
fn of_lost_output(code: ExitCode) -> ExitCode {
    let kept = [USAGE, SIGNAL + 1, SIGNAL + 2, SIGNAL + 15].map(ExitCode::from);
    if kept.contains(&code) {
        code
    } else {
        ExitCode::from(INTERNAL)
    }
}
