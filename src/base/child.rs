//! Waits for child processes, none of them without an end.

use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::base::signals;

/// How often a wait looks at first, and in the end: a bench that is waited for is not to be disturbed.
const TICK: Duration = Duration::from_millis(2);
const LONG_TICK: Duration = Duration::from_millis(20);
/// How long a bench process that was asked to end may take to save its record and end its worker.
const FAREWELL: Duration = Duration::from_secs(12);
/// How long a killed process may take to go. One that hangs in a driver goes when the driver lets it.
const BURIAL: Duration = Duration::from_secs(5);
/// The same once the user asked to stop.
const SHORT_BURIAL: Duration = Duration::from_millis(300);

/// A command to start, and where its process goes.
type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts a process that is to die with this one.
///
/// The signal that the kernel sends at a parent's death (`PR_SET_PDEATHSIG`) comes when the thread ends that started the
/// process: prctl(2). A caller's thread may end long before the program, so one that never ends starts it.
pub(crate) fn spawn_lasting(command: Command) -> std::io::Result<Child> {
    static STARTER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (sender, orders) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in orders {
                let _ = reply.send(command.spawn()); // whoever asked waits for it
            }
        });
        Mutex::new(sender)
    });
    let (reply, started) = channel();
    let gone = || std::io::Error::other("the thread that starts processes is gone");
    let orders = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    orders.send((command, reply)).map_err(|_| gone())?;
    // No deadline: as long as the kernel takes to start a program, as without the thread.
    started.recv().map_err(|_| gone())?
}

/// How `child` ended, if it does within `patience` and before `gives_up` says so.
pub(crate) fn ended_within(
    child: &mut Child,
    patience: Duration,
    gives_up: impl Fn() -> bool,
) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if start.elapsed() < patience && !gives_up() => {
                thread::sleep((start.elapsed() / 10).clamp(TICK, LONG_TICK));
            }
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Kills `child` first and waits then; absent when it does not go: see [`still_there`].
pub(crate) fn kill(child: &mut Child) -> Option<ExitStatus> {
    let _ = child.kill(); // it may have gone meanwhile
    let start = Instant::now();
    ended_within(child, BURIAL, || {
        signals::is_stopped() && start.elapsed() > SHORT_BURIAL
    })
}

/// As [`kill`], with all that is in the process group of `child`, which leads one.
pub(crate) fn kill_group(child: &mut Child) -> Option<ExitStatus> {
    signal_group(child, Signal::KILL);
    kill(child)
}

/// Asks `child`, which leads a process group, and all others in it to end, as this program was asked to.
pub(crate) fn ask_to_end(child: &Child) {
    let signal = signals::stop_signal().and_then(|signal| Signal::from_named_raw(i32::from(signal)));
    signal_group(child, signal.unwrap_or(Signal::TERM));
}

/// As [`ask_to_end`], and kills the group where that takes too long; absent when `child` does not go even then.
pub(crate) fn end(child: &mut Child) -> Option<ExitStatus> {
    signals::grant(FAREWELL + BURIAL);
    ask_to_end(child);
    ended_within(child, FAREWELL, || false).or_else(|| kill_group(child))
}

/// How a command ended, and its stdout. It gets no input. After `patience`, and when the user asks to stop, it is killed
/// with all that it started.
pub(crate) fn output_within(
    command: &mut Command,
    patience: Duration,
) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    // A file rather than a pipe: what the command leaves behind may hold a pipe for ever.
    let mut stdout = tempfile::tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .process_group(0)
        .spawn()?;
    let status = match ended_within(&mut child, patience, signals::is_stopped) {
        Some(status) => status,
        None => kill_group(&mut child).ok_or_else(|| undead(&child))?,
    };
    let mut bytes = Vec::new();
    stdout.rewind()?;
    stdout.read_to_end(&mut bytes)?;
    Ok((status, bytes))
}

fn signal_group(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal); // it may have gone meanwhile
    }
}

/// What is said of a process that was killed and is still there.
pub(crate) fn still_there(child: &Child) -> String {
    format!(
        "process {} was killed and is still there: it hangs in the kernel, and holds its memory until that lets it go",
        child.id()
    )
}

/// The same as an error.
pub(crate) fn undead(child: &Child) -> std::io::Error {
    std::io::Error::other(still_there(child))
}
