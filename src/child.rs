//! Waits for child processes, none of them without an end.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How often a wait looks.
const TICK: Duration = Duration::from_millis(2);
/// How long a bench process has after SIGTERM to save its record and end its worker.
pub(crate) const FAREWELL: Duration = Duration::from_secs(20);
/// How long a killed process may take to go. One that hangs in a driver goes when the driver lets it.
const BURIAL: Duration = Duration::from_secs(5);

/// How `child` ended, if it does within `patience` and before `gives_up` says so.
pub(crate) fn ended_within(
    child: &mut Child,
    patience: Duration,
    gives_up: impl Fn() -> bool,
) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end && !gives_up() => std::thread::sleep(TICK),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Kills `child` first and waits then; absent when it cannot be killed.
pub(crate) fn kill(child: &mut Child) -> Option<ExitStatus> {
    let _ = child.kill(); // it may have gone meanwhile
    ended_within(child, BURIAL, || false)
}
