//! Runs a command while the clocks are held.

use std::ffi::OsString;
use std::fs::File;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use signal_hook::consts::SIGINT;

use crate::base::child;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::signals::Caught;

/// Interval between two checks for an end and for a signal.
const TICK: Duration = Duration::from_millis(20);

/// Runs `words` until it ends. The first caught signal is passed on, and the command may end in its own way. A second
/// signal kills it. Without a deadline: it is the command of the user.
///
/// # Errors
/// [`Error::BadParameter`] if it cannot be started, [`Error::Io`] if it does not exit after being killed.
pub(crate) fn run(words: &[OsString], caught: &Caught) -> Result<ExitStatus> {
    let program = words.first().map_or_else(Default::default, Clone::clone);
    let mut child = Command::new(&program)
        .args(words.iter().skip(1))
        .spawn()
        .map_err(|error| Error::BadParameter(format!("{}: cannot be started: {error}", program.shown())))?;
    let mut asked = false;
    loop {
        if let Some(status) = child.try_wait().map_err(Error::io(&program))? {
            return Ok(status);
        }
        match caught.take() {
            Some(_) if asked => {
                return child::kill(&mut child).ok_or_else(|| Error::io(&program)(child::undead(&child)));
            }
            Some(signal) => {
                asked = true;
                pass_on(signal, &child);
            }
            None => std::thread::sleep(TICK),
        }
    }
}

/// Ctrl-C on a terminal reaches the command directly. A second one would end a bench before it has saved.
fn pass_on(signal: i32, child: &Child) {
    if signal == SIGINT && is_in_foreground() {
        return;
    }
    if let (Some(signal), Some(pid)) = (
        Signal::from_named_raw(signal),
        i32::try_from(child.id()).ok().and_then(Pid::from_raw),
    ) {
        // It has ended, or is waited for as before.
        let _ = kill_process(pid, signal);
    }
}

fn is_in_foreground() -> bool {
    File::open("/dev/tty")
        .ok()
        .and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok())
        .is_some_and(|group| group == getpgrp())
}
