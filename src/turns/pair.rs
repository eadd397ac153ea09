//! The program that gives the turns: it runs two processes, of which one at a time is at work.

use std::fs::File;
use std::io::{Read as _, Result as IoResult, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::part::is_pause;
use super::{GIVE, ORDER, VARIABLE};
use crate::child;
use crate::engine::log;
use crate::error::{Error, Result};
use crate::scratch::Scratch;

/// How often a wait looks for an end and for a stop. What a connected process says is heard at once.
const TICK: Duration = Duration::from_millis(20);
/// Lines kept of what a process printed.
const LAST_LINES: usize = 20;

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// The last lines that it printed to stdout and stderr, blank ones left out.
    pub last_lines: Vec<String>,
}

/// Runs two commands to their ends, of which one at a time is at work.
///
/// The first is started and has the turn until it yields or ends, then the second. From then on the turns go first,
/// second, second, first, and so on; when one has ended, the other has all that are left. A command that knows nothing of
/// turns, or uses an NPU runtime, has the turn until its end: the two run one after the other then.
///
/// Each process has a process group of its own, so that a Ctrl-C is for the caller, who has `stop` say so: both are sent
/// SIGTERM and waited for. Results that the two would take from each other (`CRITERION_HOME`) are the caller's to keep apart.
///
/// Gives how they ended, in the order of the commands; those that a stop kept from being started are missing.
///
/// # Errors
/// [`Error::Io`] when a process cannot be started or waited for. The other one is stopped then.
pub fn run_in_turns(commands: [Command; 2], stop: &dyn Fn() -> bool) -> Result<Vec<Ended>> {
    let mut processes = Vec::new();
    for command in commands {
        if !stop() {
            let mut process = Process::start(command)?;
            process.hold_turn(stop)?;
            processes.push(process);
        }
    }
    for turn in ORDER.into_iter().cycle() {
        if processes.iter().all(|process| process.status.is_some()) {
            break;
        }
        if let Some(process) = processes.get_mut(turn) {
            process.take_turn(stop)?;
        }
    }
    Ok(processes.iter().filter_map(Process::ended).collect())
}

struct Process {
    program: PathBuf,
    child: Child,
    /// Nameless, so that nothing is left of it.
    output: File,
    listener: UnixListener,
    /// Once the process takes part, and until it hangs up.
    socket: Option<UnixStream>,
    /// Once it has ended.
    status: Option<ExitStatus>,
    /// Holds the listener's path.
    _folder: Scratch,
}

impl Process {
    fn start(mut command: Command) -> Result<Self> {
        Self::spawn(&mut command).map_err(Error::io(command.get_program()))
    }

    fn spawn(command: &mut Command) -> IoResult<Self> {
        let folder = Scratch::new()?;
        let path = folder.path().join("turns");
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let output = tempfile::tempfile()?;
        let child = command
            .env(VARIABLE, &path)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .spawn()?;
        Ok(Self {
            program: command.get_program().into(),
            child,
            output,
            listener,
            socket: None,
            status: None,
            _folder: folder,
        })
    }

    /// Gives the process its turn, unless it has ended or is to stop.
    fn take_turn(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        if let Some(socket) = self.socket.as_mut().filter(|_| !stop()) {
            // Where it has gone meanwhile, its end is seen next.
            let _ = socket.write_all(&[GIVE]);
        }
        self.hold_turn(stop)
    }

    /// Waits until the process yields or has ended. On a stop, until it has ended.
    fn hold_turn(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        self.wait_for_turn(stop).map_err(Error::io(&self.program))
    }

    fn wait_for_turn(&mut self, stop: &dyn Fn() -> bool) -> IoResult<()> {
        let mut stopping = false;
        while self.status.is_none() {
            if !stopping && stop() {
                self.terminate();
                stopping = true;
            }
            if self.yields()? && !stopping {
                break;
            }
            self.status = self.child.try_wait()?;
        }
        Ok(())
    }

    /// Whether the process yields within a tick.
    fn yields(&mut self) -> IoResult<bool> {
        let Some(socket) = &mut self.socket else {
            self.accept()?;
            return Ok(false);
        };
        match socket.read(&mut [0]) {
            Ok(1..) => Ok(true),
            Err(error) if is_pause(&error) => Ok(false),
            // It hung up. What it still does before its end is in its own turn.
            Ok(0) | Err(_) => {
                self.socket = None;
                Ok(false)
            }
        }
    }

    fn accept(&mut self) -> IoResult<()> {
        match self.listener.accept() {
            Ok((socket, _)) => {
                socket.set_read_timeout(Some(TICK))?;
                self.socket = Some(socket);
                Ok(())
            }
            Err(error) if is_pause(&error) => {
                std::thread::sleep(TICK);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn terminate(&self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM); // it may have gone by itself meanwhile
        }
    }

    fn ended(&self) -> Option<Ended> {
        Some(Ended {
            status: self.status?,
            last_lines: log::last_lines(&self.output, LAST_LINES),
        })
    }
}

impl Drop for Process {
    /// After an error no process is left behind.
    fn drop(&mut self) {
        if self.status.is_none() {
            self.terminate();
            if child::ended_within(&mut self.child, child::FAREWELL, || false).is_none() {
                child::kill(&mut self.child);
            }
        }
    }
}
