//! RKLLM in a process of its own: this executable runs itself again and streams what it measured over a pipe.
//!
//! The runtime is known to crash, to hang and to print. A worker's death costs the sample at hand, its peak memory
//! belongs to one model, and what it prints goes to a log file that is read when something went wrong. All times are
//! taken inside the worker; what travels are the results, after the run.
//!
//! Requests go to the worker's stdin and replies come from its stdout, one JSON document a line.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::log::{LAST_LINES, last_lines};
use super::{Engine, Failure, FailureKind, InProcess, LoadSpec, Loaded};
use crate::error::{Error, Result};
use crate::inference::{Finish, Inference, Request};
use crate::signals;

/// First argument of an executable that is to be a worker; the second is its parent's process id.
pub const WORKER_ARGUMENT: &str = "--rkllm-bench-worker";

/// How long past its deadline a worker may stay silent before it is killed: an abort during prefill was seen to take
/// effect after 1.4 s on a board.
const GRACE: Duration = Duration::from_secs(5);
/// How long a model may take to be freed.
const UNLOAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a worker has to free its model and leave when nothing more is asked of it.
const GOODBYE: Duration = Duration::from_secs(2);
/// How often a wait looks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(50);

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
    running: Option<Running>,
}

impl Worker {
    /// Workers that are this executable, which must begin with [`serve_if_worker`]; [`main!`](crate::main) does.
    pub fn of_this_executable() -> Self {
        Self::of_executable("/proc/self/exe")
    }

    /// Workers of another executable, for programs that cannot be workers themselves: the `rkllm-bench` binary.
    pub fn of_executable(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
            running: None,
        }
    }

    /// Sends `ask` and waits for the reply. A worker that does not answer is gone afterwards.
    fn exchange(&mut self, ask: &Ask, patience: Duration) -> std::result::Result<Reply, Failure> {
        let Some(running) = &mut self.running else {
            return Err(Failure {
                kind: FailureKind::Lost,
                ..Failure::refused("no worker is running")
            });
        };
        let answer = running
            .send(ask)
            .map_err(|_| Silence::Gone)
            .and_then(|()| running.receive(patience));
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
    /// A run that the runtime refused, with the last error that it printed.
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

impl Engine for Worker {
    fn load(&mut self, spec: &LoadSpec) -> std::result::Result<Loaded, Failure> {
        self.running = None; // the old one leaves before the new one takes its memory
        self.running = Some(Running::start(&self.executable).map_err(Failure::refused)?);
        match self.exchange(&Ask::Load(spec.clone()), spec.deadline)? {
            Reply::Loaded(loaded) => Ok(loaded),
            other => Err(out_of_step(&other)),
        }
    }

    fn infer(&mut self, request: &Request) -> std::result::Result<Inference, Failure> {
        match self.exchange(
            &Ask::Infer(request.clone()),
            request.deadline * request.most_runs() + GRACE,
        )? {
            Reply::Inferred(mut inference) => {
                // Read without a count before it, it has up to twice the room that it needs.
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
}

fn out_of_step(reply: &Reply) -> Failure {
    Failure {
        kind: FailureKind::Lost,
        ..Failure::refused(format!("the worker answered out of step: {reply:?}"))
    }
}

/// Why no reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Gone,
    TooLong,
    Stopped,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Taken when the worker is told to leave.
    asks: Option<BufWriter<ChildStdin>>,
    replies: Receiver<Reply>,
    log: File,
    /// The worker's temporary folder, which is gone with it, however it ended.
    _folder: TempDir,
}

impl Running {
    fn start(executable: &PathBuf) -> Result<Self> {
        let failed = |what: &str, error: std::io::Error| Error::Worker(format!("{what}: {error}"));
        let log =
            tempfile::tempfile().map_err(|error| failed("no log file in the temporary directory", error))?;
        let stderr = log.try_clone().map_err(|error| failed("the log file", error))?;
        let folder = tempfile::tempdir().map_err(|error| failed("no temporary folder", error))?;
        let mut child = Command::new(executable)
            .arg(WORKER_ARGUMENT)
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // When llama.cpp aborts it would start a debugger, whose lines push its own out of the log's end.
            .env("GGML_NO_BACKTRACE", "1")
            .env("TMPDIR", folder.path())
            // A Ctrl-C in the terminal is for the parent, which decides what becomes of the worker.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(&format!("{} could not be started", executable.display()), error))?;
        let (sender, replies) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || read_replies(stdout, &sender));
        }
        Ok(Self {
            asks: child.stdin.take().map(BufWriter::new),
            child,
            replies,
            log,
            _folder: folder,
        })
    }

    fn send(&mut self, ask: &Ask) -> std::io::Result<()> {
        let asks = self.asks.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        serde_json::to_writer(&mut *asks, ask)?;
        asks.write_all(b"\n")?;
        asks.flush()
    }

    fn receive(&self, patience: Duration) -> std::result::Result<Reply, Silence> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.replies.recv_timeout(left.min(TICK)) {
                Ok(reply) => return Ok(reply),
                Err(RecvTimeoutError::Disconnected) => return Err(Silence::Gone),
                Err(RecvTimeoutError::Timeout) if signals::stop_signal().is_some() => {
                    return Err(Silence::Stopped);
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(Silence::TooLong),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Makes sure that the worker is gone and says how it went.
    fn obituary(&mut self, silence: Silence, asked: &Ask, patience: Duration) -> Failure {
        if silence != Silence::Gone {
            let _ = self.child.kill(); // it may have gone by itself meanwhile
        }
        let status = self.child.wait();
        let message = match (silence, status) {
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
            (Silence::Gone, Ok(status)) => format!("the worker {}", describe(status)),
            (Silence::Gone, Err(error)) => format!("the worker is gone: {error}"),
        };
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
        let end = Instant::now() + GOODBYE;
        while Instant::now() < end && signals::stop_signal().is_none() {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        (None, Some(code)) => format!("ended by itself with exit code {code}"),
        (None, None) => format!("ended: {status}"),
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

/// Serves and returns the exit code when this process was started as a worker; `None` when it was not.
///
/// An executable whose workers are itself must call this before anything else.
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
    // Replies keep the pipe; whatever the runtime prints goes to the log, which is stderr.
    let mut replies = BufWriter::new(File::from(rustix::io::fcntl_dupfd_cloexec(
        rustix::stdio::stdout(),
        3,
    )?));
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    let mut engine = InProcess::new();
    for line in std::io::stdin().lock().lines() {
        let reply = match serde_json::from_str(&line?)? {
            Ask::Load(spec) => engine.load(&spec).map(Reply::Loaded),
            Ask::Infer(request) => engine.infer(&request).map(Reply::Inferred),
            Ask::Unload => engine.unload().map(|()| Reply::Unloaded),
        };
        serde_json::to_writer(&mut replies, &reply.unwrap_or_else(Reply::Failed))?;
        replies.write_all(b"\n")?;
        replies.flush()?;
    }
    Ok(())
}

/// Has the kernel kill this process when its parent dies, and leaves at once when that has happened already.
fn die_with(parent: Option<i32>) -> std::io::Result<()> {
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
    use crate::engine::scripted;

    #[test]
    fn the_way_a_worker_ended_is_put_in_words() {
        assert_eq!(
            describe(ExitStatus::from_raw(11)),
            "was killed by SIGSEGV (signal 11)"
        );
        assert_eq!(
            describe(ExitStatus::from_raw(3 << 8)),
            "ended by itself with exit code 3"
        );
    }

    #[test]
    fn an_executable_that_is_no_worker_is_reported_as_gone() {
        let mut worker = Worker::of_executable("/bin/true");
        let failure = worker.load(&scripted::spec(1)).expect_err("true answers nothing");
        assert_eq!(failure.kind, FailureKind::Lost);
        assert!(failure.message.contains("exit code 0"), "{failure}");
    }
}
