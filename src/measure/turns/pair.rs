//! The program that gives the turns: it runs two processes, of which one at a time is at work.

use std::fs::File;
use std::io::{Read as _, Result as IoResult, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::participant::is_pause;
use super::{GIVE, ORDER, VARIABLE};
use crate::base::child;
use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::base::scratch::Scratch;
use crate::runtime::engine::log;

/// How often a wait looks for an end and for a stop. What a connected process says is heard at once.
const TICK: Duration = Duration::from_millis(20);
/// How long a byte may take to be sent.
const SENDING: Duration = Duration::from_secs(5);
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
/// Each process has a process group of its own, so that a Ctrl-C is for the caller, who has `stop` say so: both groups
/// are sent SIGTERM (or the signal that rkllm-bench itself was stopped by) and waited for. They are killed where that
/// takes longer than 12 seconds. Results that the two would take from each other (`CRITERION_HOME`) are the caller's to keep apart.
///
/// Gives how they ended, in the order of the commands; those that a stop kept from being started are missing.
///
/// # Errors
/// [`Error::Io`] when a process cannot be started or waited for, or stays when it is killed. The other one is stopped
/// then.
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
        if stop() || processes.iter().all(|process| process.status.is_some()) {
            break;
        }
        if let Some(process) = processes.get_mut(turn) {
            process.take_turn(stop)?;
        }
    }
    // Asked at once, so that neither waits for the other's end.
    processes.iter().for_each(Process::ask_to_end);
    processes.iter_mut().try_for_each(Process::end)?;
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
        if let Some(socket) = &mut self.socket {
            // Where it has gone meanwhile, its end is seen next.
            let _ = socket.write_all(&[GIVE]);
        }
        self.hold_turn(stop)
    }

    /// Waits until the process yields or has ended, or the caller wants to stop. Without a deadline: a bench may take
    /// as long as its suite, and each of its inferences has one.
    fn hold_turn(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        self.wait_for_turn(stop).map_err(Error::io(&self.program))
    }

    fn wait_for_turn(&mut self, stop: &dyn Fn() -> bool) -> IoResult<()> {
        while self.status.is_none() && !stop() {
            if self.yields()? {
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
                socket.set_write_timeout(Some(SENDING))?;
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

    fn ask_to_end(&self) {
        if self.status.is_none() {
            child::ask_to_end(&self.child);
        }
    }

    fn end(&mut self) -> Result<()> {
        if self.status.is_none() {
            self.status = child::end(&mut self.child);
        }
        match self.status {
            Some(_) => Ok(()),
            None => Err(Error::io(&self.program)(child::undead(&self.child))),
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
        if let Err(error) = self.end() {
            say(error);
        }
    }
}
