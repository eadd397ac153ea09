//! Waits for child processes. Every wait has a limit.

use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::base::signals;

/// Shortest and longest interval between two looks at a child. A long interval does not disturb a bench.
const TICK: Duration = Duration::from_millis(2);
const LONG_TICK: Duration = Duration::from_millis(20);
/// How long a bench process may take to save its record and stop its worker after it was asked to end.
const FAREWELL: Duration = Duration::from_secs(12);
/// How long a killed process may take to exit. A process that hangs in a driver exits when the driver lets it.
const BURIAL: Duration = Duration::from_secs(5);
/// The same after the user asked to stop.
const SHORT_BURIAL: Duration = Duration::from_millis(300);

/// A command to start, and the channel for its process.
type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts a process that dies with this one.
///
/// `PR_SET_PDEATHSIG` signals the child when the thread that started it ends (prctl(2)). The caller's thread may end
/// long before the program, so a thread that never ends starts the child.
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
    // Without a deadline: it takes as long as the kernel needs to start a program.
    started.recv().map_err(|_| gone())?
}

/// Waits for `child` to end, until `patience` is over or `gives_up` returns true.
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

/// Kills `child` and waits for it. Returns `None` if it does not exit: see [`still_there`].
pub(crate) fn kill(child: &mut Child) -> Option<ExitStatus> {
    let _ = child.kill(); // it may have gone meanwhile
    let start = Instant::now();
    ended_within(child, BURIAL, || {
        signals::is_stopped() && start.elapsed() > SHORT_BURIAL
    })
}

/// Like [`kill`], for the process group that `child` leads.
pub(crate) fn kill_group(child: &mut Child) -> Option<ExitStatus> {
    signal_group(child, Signal::KILL);
    kill(child)
}

/// Asks the process group that `child` leads to end, with the signal that this program received.
pub(crate) fn ask_to_end(child: &Child) {
    let signal = signals::stop_signal().and_then(|signal| Signal::from_named_raw(i32::from(signal)));
    signal_group(child, signal.unwrap_or(Signal::TERM));
}

/// Like [`ask_to_end`], then kills the group if that takes too long. Returns `None` if `child` does not exit even then.
pub(crate) fn end(child: &mut Child) -> Option<ExitStatus> {
    signals::grant(FAREWELL + BURIAL);
    ask_to_end(child);
    ended_within(child, FAREWELL, || false).or_else(|| kill_group(child))
}

/// Runs a command without input and returns its exit status and stdout. It is killed with all that it started after
/// `patience`, or when the user asks to stop.
pub(crate) fn output_within(
    command: &mut Command,
    patience: Duration,
) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    // A file, not a pipe: a process that outlives the command could hold a pipe open for ever.
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

/// The message about a process that does not exit after SIGKILL.
pub(crate) fn still_there(child: &Child) -> String {
    format!(
        "process {} was killed and is still there: it hangs in the kernel and keeps its memory until the kernel \
         releases it",
        child.id()
    )
}

/// The same as an error.
pub(crate) fn undead(child: &Child) -> std::io::Error {
    std::io::Error::other(still_there(child))
}
