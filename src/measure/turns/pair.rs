//! Runs two processes in turns, so that only one works at a time.

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

/// How often a wait checks for the end of a process and for a stop. A byte from a connected process ends the wait
/// immediately.
const TICK: Duration = Duration::from_millis(20);
/// How long sending a byte may take.
const SENDING: Duration = Duration::from_secs(5);
/// Number of output lines that are kept of a process.
const LAST_LINES: usize = 20;

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// The last lines on its stdout and stderr that are not blank.
    pub last_lines: Vec<String>,
}

/// Runs two commands to their ends, so that only one works at a time.
///
/// The first command is started and has the turn until it yields or ends, then the second. After that, the turns go
/// to the first, second, second, first, and so on. When one has ended, the other has all further turns. A command
/// that does not support turns, or uses an NPU runtime, keeps its turn until its end, so that the two run one after
/// the other.
///
/// Each process has its own process group, so that Ctrl-C reaches only the caller. When `stop` returns true, both
/// groups get SIGTERM, or the signal that stopped rkllm-bench. They are killed if they do not end within 12 seconds.
/// The caller must keep their results (`CRITERION_HOME`) apart.
///
/// Returns how they ended, in the order of the commands. Commands that were not started because of a stop are missing.
///
/// # Errors
/// [`Error::Io`] if a process cannot be started or waited for, or does not end when it is killed. The other process
/// is then stopped.
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
    // Both get the signal first, so that neither waits for the other's end.
    processes.iter().for_each(Process::ask_to_end);
    processes.iter_mut().try_for_each(Process::end)?;
    Ok(processes.iter().filter_map(Process::ended).collect())
}

struct Process {
    program: PathBuf,
    child: Child,
    /// A file without a name, so that nothing remains of it.
    output: File,
    listener: UnixListener,
    /// Present from when the process connects until it hangs up.
    socket: Option<UnixStream>,
    /// Present when it has ended.
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
            // If the process has ended, `hold_turn` notices.
            let _ = socket.write_all(&[GIVE]);
        }
        self.hold_turn(stop)
    }

    /// Waits until the process yields or has ended, or the caller wants to stop. There is no deadline, because a
    /// bench takes as long as its suite, and each inference has its own.
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
            // It hung up. It keeps the turn until its end.
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
    /// Ends the process also after an error.
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            say(error);
        }
    }
}
