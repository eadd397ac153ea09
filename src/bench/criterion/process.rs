//! Criterion's process. Criterion reads the process's arguments itself and rejects options that it does not know. So it
//! runs in a separate process with its own arguments and a file with its task.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clap::Parser as _;
use serde::{Deserialize, Serialize};

use super::verdicts;
use crate::base::child;
use crate::base::console::{deliver, each_line, print, say};
use crate::base::error::{Error, Result};
use crate::base::exit;
use crate::base::paths;
use crate::base::scratch::Scratch;
use crate::base::signals;
use crate::bench::criterion::replay;
use crate::bench::options::Options;
use crate::bench::profile;
use crate::measure::recorder::Plan;
use crate::record::RunRecord;
use crate::runtime::engine::die_with;

/// Path of the file with the task of criterion's process.
const TASK_VARIABLE: &str = "RKLLM_BENCH_CRITERION_TASK";
/// Id of the parent process, with which criterion's process ends.
const PARENT_VARIABLE: &str = "RKLLM_BENCH_CRITERION_PARENT";
/// How often a wait checks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(20);
/// How long to wait for the rest of its output after its end. That takes almost no time unless the machine is busy.
const DRAIN: Duration = Duration::from_secs(5);
/// The same after the user asked to stop.
const SHORT_DRAIN: Duration = Duration::from_millis(300);

/// The task of criterion's process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Replay what was recorded.
    Replay {
        record: RunRecord,
        /// Whether criterion is in its quick mode.
        quick: bool,
    },
    /// Run the models under the profiler: `plans` has one entry for each model of `record`.
    Profile { record: RunRecord, plans: Vec<Plan> },
}

impl Task {
    pub(crate) fn replay(record: RunRecord, quick: bool) -> Self {
        Self::Replay { record, quick }
    }

    /// The task of this process; absent if it is not criterion's process.
    pub(crate) fn of_this_process() -> Option<Result<Self>> {
        let path = std::env::var_os(TASK_VARIABLE)?;
        Some(Self::load(Path::new(&path)))
    }

    fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(Error::io(path))?;
        serde_json::from_slice(&text).map_err(|error| Error::Record {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    pub(crate) fn run(self) -> Result<()> {
        let parent = std::env::var(PARENT_VARIABLE).ok().and_then(|id| id.parse().ok());
        die_with(parent).map_err(|error| Error::Worker(format!("criterion's process: {error}")))?;
        // Criterion's arguments are ours too.
        let options = Options::parse();
        let selects = options.selects()?;
        match self {
            Self::Replay { record, quick } => {
                replay::replay(&record, quick, &*selects, &|id| {
                    deliver(verdicts::beginning(id).as_bytes());
                });
                Ok(())
            }
            Self::Profile { record, plans } => profile::profile(&record, &plans, &*selects),
        }
    }
}

/// How criterion's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With success.
    Well,
    /// With an error, which was printed.
    Badly,
    /// Because this program received this signal.
    Stopped(u8),
}

impl Ended {
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Well => 0,
            Self::Badly => exit::FAILED,
            Self::Stopped(signal) => signals::SIGNAL + signal,
        })
    }
}

/// Runs criterion's process on `task`. Its output is printed line by line, or returned.
pub(crate) fn start(options: &Options, task: &Task, output: Output) -> Result<(Ended, String)> {
    let failed =
        |what: &str, error: std::io::Error| Error::Worker(format!("criterion's process, {what}: {error}"));
    if let Some(signal) = signals::stop_signal() {
        return Ok((Ended::Stopped(signal), String::new()));
    }
    let folder = Scratch::new().map_err(|error| failed("no temporary folder", error))?;
    let file = folder.path().join("task.json");
    write_task(&file, task).map_err(|error| failed("its task", error))?;
    let mut command = Command::new(paths::RUNNING);
    command
        .args(options.criterion_arguments())
        .env(TASK_VARIABLE, &file)
        .env(PARENT_VARIABLE, std::process::id().to_string())
        .env("CRITERION_HOME", paths::criterion_home())
        // Its output goes through this process, because criterion panics on a closed pipe.
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C in the terminal is for this process, which ends the other one.
        .process_group(0);
    let mut child = child::spawn_lasting(command).map_err(|error| failed("not started", error))?;
    let (status, kept) = wait(&mut child, output).map_err(|error| failed("lost", error))?;
    // It may have ended before the signal came, or been stopped together with this process.
    let is_stopped = !status.success() && (signals::is_stopped() || signals::is_shared(status.signal()));
    let ended = match (signals::stop_signal().filter(|_| is_stopped), status.signal()) {
        (Some(signal), _) => Ended::Stopped(signal),
        (_, Some(signal)) => {
            say(format_args!(
                "criterion's process was killed by signal {signal}; what was recorded is in the run record"
            ));
            Ended::Badly
        }
        _ if status.success() => Ended::Well,
        _ => Ended::Badly,
    };
    Ok((ended, kept))
}

fn write_task(path: &Path, task: &Task) -> std::io::Result<()> {
    let mut writer = BufWriter::new(File::create_new(path)?);
    serde_json::to_writer(&mut writer, task)?;
    writer.flush()
}

/// Waits for criterion's process, reads its output meanwhile, and ends it when the user asks to stop.
///
/// There is no deadline: the time of its statistics depends on the samples and the number of resamples.
fn wait(child: &mut Child, output: Output) -> std::io::Result<(ExitStatus, String)> {
    let lines = lines_of(child);
    let mut kept = String::new();
    let status = loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => output.take(&line, &mut kept),
            Err(RecvTimeoutError::Timeout) => {}
            // The process may outlive its output.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if signals::is_stopped() {
            break child::kill_group(child).ok_or_else(|| child::undead(child))?;
        }
    };
    // Its children, such as gnuplot, may keep its pipes open after its end.
    let end = Instant::now() + if signals::is_stopped() { SHORT_DRAIN } else { DRAIN };
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        output.take(&line, &mut kept);
    }
    Ok((status, kept))
}

/// A line that criterion's process printed.
enum Line {
    Out(String),
    Message(String),
}

/// Reads both streams, each by a thread that ends with its pipe.
fn lines_of(child: &mut Child) -> Receiver<Line> {
    let (sender, lines) = channel();
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        // Without a receiver the lines are dropped.
        std::thread::spawn(move || each_line(stdout, |line| drop(sender.send(Line::Out(line.into())))));
    }
    if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || each_line(stderr, |line| drop(sender.send(Line::Message(line.into())))));
    }
    lines
}

/// What happens to criterion's stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// It is printed at once, without empty lines and status lines.
    PassedOn,
    /// It is returned. Messages on stderr are printed at once.
    Kept,
}

impl Output {
    fn take(self, line: &Line, kept: &mut String) {
        match (self, line) {
            (_, Line::Message(line)) => pass_on_message(line),
            (Self::Kept, Line::Out(line)) if line.starts_with("Criterion.rs ") => say(line),
            (Self::Kept, Line::Out(line)) => {
                kept.push_str(line);
                kept.push('\n');
            }
            (Self::PassedOn, Line::Out(line))
                if line.is_empty() || is_status(line) || verdicts::is_beginning(line) => {}
            (Self::PassedOn, Line::Out(line)) => print(&format!("{line}\n")),
        }
    }
}

fn pass_on_message(line: &str) {
    if !is_status(line) {
        say(line);
    }
}

/// Whether a line only reports criterion's status. Its warm-up times and iteration counts are those of the replay, not
/// of the model.
fn is_status(line: &str) -> bool {
    line.starts_with("Benchmarking ") || line == "Gnuplot not found, using plotters backend"
}
