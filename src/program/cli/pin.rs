//! `rkllm-bench pin` and `rkllm-bench unpin`

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use crate::base::console::{print, say, width};
use crate::base::error::{Error, Result};
use crate::base::exit;
use crate::base::foreign::Shown as _;
use crate::base::layout::message;
use crate::base::lock::Lock;
use crate::base::signals::{self, Caught};
use crate::inputs::hint;
use crate::machine::board::Board;
use crate::machine::pin::apply::{Held, apply};
use crate::machine::pin::command;
use crate::machine::pin::knob::Tree;
use crate::machine::pin::plan::{Plan, plan};
use crate::machine::pin::restore::restore;
use crate::machine::pin::state::{self, Left, StateFile};
use crate::report;

/// Hold CPU, NPU, DDR and GPU at the frequencies of Rockchip's figures (experimental: not tested on a board)
///
/// Needs root. The settings found are saved in /run/rkllm-bench/pin.json. They are restored by `unpin`, by the next
/// `pin`, or when COMMAND ends.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print each write with the old and the new value, and change nothing
    #[arg(long, conflicts_with = "command")]
    dry_run: bool,
    /// Use a copy of a board's /proc and /sys below DIR
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Hold the clocks while this command runs, for example cargo bench, and restore them when it ends
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Restore the clocks as `pin` found them (experimental: not tested on a board)
#[derive(Debug, clap::Args)]
pub(super) struct UnpinArguments {
    /// Use a copy of a board's /proc and /sys below DIR
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = root_of(arguments.root.as_deref())?;
    if arguments.dry_run {
        return dry_run(root);
    }
    // Before there is anything to restore.
    let caught = signals::catch().map_err(|error| Error::Pin(format!("no signal handlers: {error}")))?;
    let _lock = lock(root)?;
    if !restore_earlier(root)? {
        return Err(Error::Pin(
            "an earlier pin could not be restored completely, so nothing was pinned".to_owned(),
        ));
    }
    let (plan, board) = plan_below(root)?;
    let mut state = StateFile::new(root, &board);
    let held = match apply(&plan, &Tree::below(root), &mut state) {
        Ok(held) => held,
        Err(error) => {
            restore_state(root, state)?;
            return Err(error);
        }
    };
    let text = report::pin::outcome(&held, &plan.missing);
    let took = plan.missing.is_empty() && held.iter().all(|clock: &Held| clock.faults.is_empty());
    if arguments.command.is_empty() {
        print(&message(width(), &text));
        return until_unpin(root, state, took, &caught);
    }
    say(text.trim_end());
    let outcome = command::run(&arguments.command, &caught);
    let whole = restore_state(root, state)?;
    outcome.map(|status| code_of(status, took && whole))
}

/// Ends a pin that stays in force. If a signal arrived meanwhile, the clocks are restored.
fn until_unpin(root: &Path, state: StateFile, took: bool, caught: &Caught) -> Result<ExitCode> {
    if let Some(signal) = caught.take() {
        restore_state(root, state)?;
        let signal = u8::try_from(signal).unwrap_or_default();
        return Ok(ExitCode::from(signals::SIGNAL + signal));
    }
    let unpin = hint::tool_as_root(&["unpin"]);
    say(format_args!(
        "`{unpin}` restores what was found; so does a reboot"
    ));
    Ok(code(took))
}

pub(super) fn unpin(arguments: &UnpinArguments) -> Result<ExitCode> {
    let root = root_of(arguments.root.as_deref())?;
    if !state::path(root).exists() {
        say("nothing is pinned: there is nothing to restore");
        return Ok(ExitCode::SUCCESS);
    }
    let _caught = signals::catch().map_err(|error| Error::Pin(format!("no signal handlers: {error}")))?;
    let _lock = lock(root)?;
    restore_earlier(root).map(code)
}

fn root_of(root: Option<&Path>) -> Result<&Path> {
    match root {
        None => Ok(Path::new("/")),
        Some(root) if root.join("sys").is_dir() => Ok(root),
        Some(root) => Err(Error::BadParameter(format!(
            "--root {}: no folder sys in it; name a folder with the proc and sys of a machine",
            root.shown()
        ))),
    }
}

/// Held while clocks are changed and while a command runs. A state file without a held lock is left over from an
/// earlier pin.
fn lock(root: &Path) -> Result<Lock> {
    let path = state::lock_path(root);
    state::make_folder(root).map_err(|error| match error {
        Error::Io { path, source } => Error::Pin(format!(
            "{}: cannot be created, and nothing is changed without it: {source}; run as root: `{}`",
            path.shown(),
            hint::tool_as_root(&["pin"])
        )),
        error => error,
    })?;
    Lock::take(
        &path,
        "the clocks",
        "wait until it ends, or stop it: it restores the clocks",
    )
}

fn plan_below(root: &Path) -> Result<(Plan, Board)> {
    let board = Board::read_below(root);
    let plan = plan(&board, &Tree::below(root));
    if plan.targets.is_empty() {
        let why = report::pin::missing(&plan.missing);
        return Err(Error::BadParameter(format!(
            "there is no clock to hold below {}: the kernel has neither cpufreq nor devfreq, as in a virtual \
             machine, whose host sets the clocks{}{}",
            root.shown(),
            if why.is_empty() { "" } else { "\n" },
            why.trim_end()
        )));
    }
    Ok((plan, board))
}

fn dry_run(root: &Path) -> Result<ExitCode> {
    let (plan, _) = plan_below(root)?;
    if state::path(root).exists() {
        say(
            "an earlier pin is in force or left over: a new pin would restore its clocks first, and then find other \
             values",
        );
    }
    print(&message(width(), &report::pin::plan(&plan)));
    Ok(code(plan.missing.is_empty()))
}

/// Restores what an earlier pin left, if there is one, and reports it. Returns whether every value was accepted.
fn restore_earlier(root: &Path) -> Result<bool> {
    match StateFile::left(root, &Board::read_below(root))? {
        Left::Nothing => Ok(true),
        Left::Outdated(state) => {
            say("the machine was rebooted since an earlier pin, which restored the clocks");
            state.remove().map(|()| true)
        }
        Left::Pin(state) => {
            say("restoring an earlier pin");
            restore_state(root, state)
        }
    }
}

/// Restores what `state` holds, and reports it. Returns whether every value was accepted.
fn restore_state(root: &Path, state: StateFile) -> Result<bool> {
    let faults = restore(state, &Tree::below(root))?;
    say(report::pin::given_back(&faults, &state::path(root)).trim_end());
    Ok(faults.is_empty())
}

fn code(whole: bool) -> ExitCode {
    if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    }
}

/// The command's own code, or 128 plus the signal as in shells. A success counts only if every clock was held.
fn code_of(status: ExitStatus, whole: bool) -> ExitCode {
    let of_signal = status.signal().map(|signal| i32::from(signals::SIGNAL) + signal);
    match status.code().or(of_signal) {
        Some(0) => code(whole),
        Some(other) => ExitCode::from(u8::try_from(other).unwrap_or(exit::FAILED)),
        None => ExitCode::from(exit::FAILED),
    }
}
