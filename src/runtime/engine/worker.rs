//! RKLLM in a worker process: this executable starts itself again and receives the results over a pipe.
//!
//! The runtime is known to crash, to hang and to print. A crash of the worker costs only the current sample. Its peak
//! memory belongs to one model. Its output goes to a log file, which is read after a failure. All times are taken
//! inside the worker, and the results are sent after the run.
//!
//! Requests go to the worker's stdin, replies come from its stdout, as one JSON document a line.

#[cfg(test)]
mod edges;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::log::{LAST_LINES, last_lines, warnings_from};
use super::{Engine, Failure, FailureKind, InProcess, LoadSpec, Loaded};
use crate::base::child::{self, ended_within, kill};
use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::scratch::Scratch;
use crate::base::signals;
use crate::base::wait::{Silence, received};
use crate::inference::{Finish, Inference, Request};
use crate::runtime::ffi;

/// First argument of a worker process. The second is the process id of its parent.
pub const WORKER_ARGUMENT: &str = "--rkllm-bench-worker";

/// How long a worker may stay silent past its deadline before it is killed. On a board, an abort during prefill took
/// effect after 1.4 s.
const GRACE: Duration = Duration::from_secs(5);
/// How long freeing a model may take.
const UNLOAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a worker may take to free its model and exit after the last request, or after its pipes have closed.
const GOODBYE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Load(LoadSpec),
    Infer(Request),
    Unload,
}

#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Loaded(Loaded),
    Inferred(Inference),
    Unloaded,
    Failed(Failure),
}

/// Runs the runtime in a worker process, one for each load.
#[derive(Debug)]
pub struct Worker {
    executable: PathBuf,
    /// The program of the first start. A restart uses it again, even if a build has replaced its file.
    held: Option<File>,
    running: Option<Running>,
}

impl Worker {
    /// Workers of this executable, whose `main` must start with [`serve_if_worker`], as [`main!`](crate::main) does.
    pub fn of_this_executable() -> Self {
        Self::of_executable("/proc/self/exe")
    }

    /// Workers of another executable, for programs that cannot be workers themselves: the `rkllm-bench` binary.
    pub fn of_executable(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
            held: None,
            running: None,
        }
    }

    /// Sends `ask` and waits for the reply. A worker that does not answer is killed.
    fn exchange(&mut self, ask: &Ask, patience: Duration) -> std::result::Result<Reply, Failure> {
        let Some(running) = &mut self.running else {
            return Err(Failure {
                kind: FailureKind::Lost,
                ..Failure::refused("no worker is running")
            });
        };
        // A request that cannot be serialised is not the worker's fault.
        let line = serde_json::to_vec(ask).map_err(|error| {
            Failure::refused(format!("the request to the worker cannot be written: {error}"))
        })?;
        let answer = running
            .send(line)
            .and_then(|()| received(&running.replies, patience));
        match answer {
            Ok(Reply::Failed(failure)) => Err(Failure {
                last_lines: join_lines(failure.last_lines, running),
                ..failure
            }),
            Ok(reply) => Ok(reply),
            Err(silence) => {
                let failure = running.obituary(silence, ask, patience);
                self.running = None;
                Err(failure)
            }
        }
    }
}

impl Worker {
    fn start(&mut self) -> Result<Running> {
        let held = match self.held.take() {
            Some(held) => held,
            None => hold(&self.executable).map_err(|error| not_started(&self.executable, &error))?,
        };
        let file = format!("/proc/{}/fd/{}", std::process::id(), held.as_raw_fd());
        self.held = Some(held);
        let mut program = Command::new(file);
        program.arg0(&self.executable);
        Running::start(program, &self.executable)
    }

    /// A run that the runtime refused, with the last error that the runtime printed.
    fn with_last_error(&self, mut inference: Inference) -> Inference {
        let refused = inference.refusal.is_some() || inference.finish == Finish::Error;
        let Some(running) = self.running.as_ref().filter(|_| refused) else {
            return inference;
        };
        if let Some(line) = last_lines(&running.log, LAST_LINES)
            .iter()
            .rev()
            .find(|line| line.starts_with("E "))
        {
            let code = inference
                .refusal
                .unwrap_or_else(|| "the runtime reported an error".into());
            inference.refusal = Some(format!("{code}: {line}"));
        }
        inference
    }
}

fn join_lines(lines: Vec<String>, running: &Running) -> Vec<String> {
    if lines.is_empty() {
        last_lines(&running.log, LAST_LINES)
    } else {
        lines
    }
}

/// How long the answer to a request may take. Each of its runs has the deadline.
fn patience(request: &Request) -> Duration {
    request.deadline * request.most_runs() + GRACE
}

impl Engine for Worker {
    fn load(&mut self, spec: &LoadSpec) -> std::result::Result<Loaded, Failure> {
        self.running = None; // the old one leaves before the new one takes its memory
        self.running = Some(self.start().map_err(Failure::refused)?);
        match self.exchange(&Ask::Load(spec.clone()), spec.deadline)? {
            Reply::Loaded(loaded) => Ok(loaded),
            other => Err(out_of_step(&other)),
        }
    }

    fn infer(&mut self, request: &Request) -> std::result::Result<Inference, Failure> {
        match self.exchange(&Ask::Infer(request.clone()), patience(request))? {
            Reply::Inferred(mut inference) => {
                // The length was unknown while it was read, so its capacity is up to twice its length.
                inference.tokens.shrink_to_fit();
                Ok(self.with_last_error(inference))
            }
            other => Err(out_of_step(&other)),
        }
    }

    fn unload(&mut self) -> std::result::Result<(), Failure> {
        if self.running.is_none() {
            return Ok(());
        }
        let reply = self.exchange(&Ask::Unload, UNLOAD_DEADLINE);
        self.running = None;
        match reply? {
            Reply::Unloaded => Ok(()),
            other => Err(out_of_step(&other)),
        }
    }

    fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    fn warnings(&mut self) -> Vec<String> {
        let Some(running) = &mut self.running else {
            return Vec::new();
        };
        let (warnings, end) = warnings_from(&running.log, running.warned_to);
        running.warned_to = end;
        warnings
    }
}

fn out_of_step(reply: &Reply) -> Failure {
    Failure {
        kind: FailureKind::Lost,
        ..Failure::refused(format!("unexpected reply of the worker: {reply:?}"))
    }
}

/// Opens a program, to start it later from the open file. This needs no permission to read it.
fn hold(executable: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(executable)
}

fn not_started(executable: &Path, error: &std::io::Error) -> Error {
    Error::Worker(format!("{} could not be started: {error}", executable.shown()))
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Absent once the worker was asked to exit.
    asks: Option<Sender<Vec<u8>>>,
    replies: Receiver<Reply>,
    log: File,
    /// Up to where the log has been searched for warnings.
    warned_to: u64,
    /// The worker's temporary folder, which is removed however the worker ends.
    _folder: Scratch,
}

impl Running {
    /// Starts `program`; messages call it `executable`.
    fn start(mut program: Command, executable: &Path) -> Result<Self> {
        let failed = |what: &str, error: std::io::Error| Error::Worker(format!("{what}: {error}"));
        let log =
            tempfile::tempfile().map_err(|error| failed("no log file in the temporary directory", error))?;
        let stderr = log.try_clone().map_err(|error| failed("the log file", error))?;
        let folder = Scratch::new().map_err(|error| failed("no temporary folder", error))?;
        program
            .arg(WORKER_ARGUMENT)
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // On an abort, llama.cpp would start a debugger, whose output pushes the message out of the kept log lines.
            .env("GGML_NO_BACKTRACE", "1")
            .env("TMPDIR", folder.path())
            // Ctrl-C in the terminal is for the parent, which then stops the worker.
            .process_group(0);
        let mut child = child::spawn_lasting(program).map_err(|error| not_started(executable, &error))?;
        let (sender, replies) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || read_replies(stdout, &sender));
        }
        let (asks, asked) = channel();
        if let Some(stdin) = child.stdin.take() {
            std::thread::spawn(move || write_asks(stdin, &asked));
        }
        Ok(Self {
            asks: Some(asks),
            child,
            replies,
            log,
            warned_to: 0,
            _folder: folder,
        })
    }

    /// A thread writes, because a worker that hangs reads nothing, and a long prompt does not fit into the pipe. The
    /// deadline of the reply covers the request too.
    fn send(&self, ask: Vec<u8>) -> std::result::Result<(), Silence> {
        let asks = self.asks.as_ref().ok_or(Silence::Gone)?;
        asks.send(ask).map_err(|_| Silence::Gone)
    }

    fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        ended_within(&mut self.child, patience, signals::is_stopped)
    }

    /// Makes sure that the worker has ended, and describes how.
    fn obituary(&mut self, silence: Silence, asked: &Ask, patience: Duration) -> Failure {
        // A worker that exited has its status a moment after its pipes have closed.
        let own = (silence == Silence::Gone)
            .then(|| self.ended_within(GOODBYE))
            .flatten();
        // It may have received a stop together with this process.
        let is_stopped =
            signals::is_stopped() || own.is_some_and(|status| signals::is_shared(status.signal()));
        let silence = if is_stopped { Silence::Stopped } else { silence };
        let ended = own.is_some() || kill(&mut self.child).is_some();
        let mut message = match (silence, own) {
            (Silence::Stopped, _) => "stopped by the user".into(),
            (Silence::TooLong, _) => {
                let remedy = if matches!(asked, Ask::Infer(_)) {
                    " (--timeout)"
                } else {
                    ""
                };
                format!(
                    "the worker was silent for {} s and was killed{remedy}",
                    patience.as_secs()
                )
            }
            (Silence::Gone, Some(status)) => format!("the worker {}", describe(status)),
            (Silence::Gone, None) => "the worker sent an invalid reply and was killed".into(),
        };
        if !ended {
            message = format!("{message}; {}", child::still_there(&self.child));
        }
        let kind = if silence == Silence::Stopped {
            FailureKind::Stopped
        } else {
            FailureKind::Lost
        };
        Failure {
            kind,
            message,
            last_lines: last_lines(&self.log, LAST_LINES),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.asks = None; // end of input: the worker frees its model and leaves
        if self.ended_within(GOODBYE).is_none() && kill(&mut self.child).is_none() {
            say(child::still_there(&self.child));
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal without a name");
            let likely = if signal == signal_hook::consts::SIGKILL {
                ", as the kernel does when memory is short"
            } else {
                ""
            };
            format!("was killed by {name} (signal {signal}){likely}")
        }
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => format!("ended: {status}"),
    }
}

/// Writes each request, until there are no more or the reader has exited.
fn write_asks(mut stdin: impl Write, asks: &Receiver<Vec<u8>>) {
    for mut ask in asks {
        ask.push(b'\n');
        if stdin.write_all(&ask).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

fn read_replies(stdout: ChildStdout, sender: &Sender<Reply>) {
    for line in BufReader::new(stdout).lines() {
        let Ok(reply) = line
            .map_err(|_| ())
            .and_then(|line| serde_json::from_str(&line).map_err(|_| ()))
        else {
            return; // a broken line is a worker that broke
        };
        if sender.send(reply).is_err() {
            return;
        }
    }
}

/// Serves as a worker and returns the exit code, if this process was started as one. Otherwise returns `None`.
///
/// An executable that is its own worker must call this first in `main`.
pub fn serve_if_worker() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORKER_ARGUMENT {
        return None;
    }
    let parent = arguments.next().and_then(|pid| pid.to_str()?.parse().ok());
    Some(match serve(parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rkllm-bench worker: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(parent: Option<i32>) -> std::io::Result<()> {
    die_with(parent)?;
    // Replies use the pipe; what the runtime prints goes to the log, which is stderr.
    let mut replies = BufWriter::new(File::from(rustix::io::fcntl_dupfd_cloexec(
        rustix::stdio::stdout(),
        3,
    )?));
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    let mut engine = InProcess::new();
    // No deadline: when the parent ends, the pipe closes, and this process ends.
    for line in std::io::stdin().lock().lines() {
        let reply = match serde_json::from_str(&line?)? {
            Ask::Load(spec) => engine.load(&spec).map(Reply::Loaded),
            Ask::Infer(request) => engine.infer(&request).map(Reply::Inferred),
            Ask::Unload => engine.unload().map(|()| Reply::Unloaded),
        };
        // The log must be complete before the reply is sent.
        ffi::flush_stdio();
        serde_json::to_writer(&mut replies, &reply.unwrap_or_else(Reply::Failed))?;
        replies.write_all(b"\n")?;
        replies.flush()?;
    }
    Ok(())
}

/// Asks the kernel to kill this process when its parent dies, and exits at once if the parent is already dead.
pub(crate) fn die_with(parent: Option<i32>) -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let now = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
    if now == parent {
        Ok(())
    } else {
        Err(std::io::Error::other("the parent is gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::scripted;

    #[test]
    fn the_way_a_worker_ended_is_put_in_words() {
        assert_eq!(
            describe(ExitStatus::from_raw(11)),
            "was killed by SIGSEGV (signal 11)"
        );
        assert_eq!(describe(ExitStatus::from_raw(3 << 8)), "exited with code 3");
    }

    /// A worker that is a shell script.
    fn script(body: &str) -> (tempfile::TempDir, Worker) {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("worker");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
        (folder, Worker::of_executable(path))
    }

    /// Each of these would live for minutes; the test must end earlier.
    #[test]
    fn a_worker_that_goes_on_without_an_answer_is_killed() {
        for body in [
            "echo nonsense; exec sleep 600",
            "exec <&- >&- sleep 600",
            "trap '' TERM; echo {}; exec sleep 600",
        ] {
            let (_folder, mut worker) = script(body);
            let failure = worker.load(&scripted::spec(1)).expect_err("no answer");
            assert_eq!(failure.kind, FailureKind::Lost, "{body}");
            assert!(failure.message.contains("was killed"), "{body}: {failure}");
        }
    }

    #[test]
    fn a_worker_that_reads_nothing_is_killed_at_its_deadline() {
        let (_folder, mut worker) = script("exec sleep 600");
        worker.running = Some(worker.start().expect("started"));
        let mut request = scripted::request(1);
        // More than a pipe holds.
        request.input = crate::inference::Input::Text("word ".repeat(1 << 20));
        request.deadline = Duration::ZERO;
        let failure = worker.infer(&request).expect_err("no answer");
        assert!(failure.message.contains("silent for 5 s"), "{failure}");
    }

    #[test]
    fn what_cannot_be_written_down_is_refused_and_the_worker_lives() {
        use std::os::unix::ffi::OsStrExt as _;

        let (_folder, mut worker) = script("exec sleep 600");
        let spec = LoadSpec::new(std::ffi::OsStr::from_bytes(b"m\xff.gguf"));
        let failure = worker.load(&spec).expect_err("no JSON");
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(failure.message.contains("UTF-8"), "{failure}");
        assert!(worker.process_id().is_some());
    }

    #[test]
    fn an_executable_that_is_no_worker_is_reported_as_gone() {
        let mut worker = Worker::of_executable("/bin/true");
        let failure = worker.load(&scripted::spec(1)).expect_err("true answers nothing");
        assert_eq!(failure.kind, FailureKind::Lost);
        assert!(failure.message.contains("exited with code 0"), "{failure}");
    }
}
