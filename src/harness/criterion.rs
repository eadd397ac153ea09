//! Criterion's process. Criterion reads the process's arguments itself and rejects what it does not know, so it gets a
//! process of its own with its own arguments, and a file that says what to do.

use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Parser as _;
use serde::{Deserialize, Serialize};

use crate::console::{pass_on, say, stdout_of_child};
use crate::error::{Error, Result};
use crate::exit;
use crate::options::Options;
use crate::record::RunRecord;
use crate::recorder::Plan;
use crate::{paths, profile, replay};

/// Names the file that says what criterion's process is to do.
const TASK_VARIABLE: &str = "RKLLM_BENCH_CRITERION_TASK";

/// What criterion's process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
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
    pub(super) fn replay(record: RunRecord, quick: bool) -> Self {
        Self::Replay { record, quick }
    }

    /// The task of this process, when it is criterion's.
    pub(super) fn of_this_process() -> Option<Result<Self>> {
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

    pub(super) fn run(self) -> Result<()> {
        // Criterion's arguments are ours too.
        let options = Options::parse();
        let selects = options.selects()?;
        match self {
            Self::Replay { record, quick } => {
                replay::replay(&record, quick, &*selects);
                Ok(())
            }
            Self::Profile { record, plans } => profile::profile(&record, &plans, &*selects),
        }
    }
}

/// Runs criterion's process on `task` and gives its exit code.
pub(super) fn start(options: &Options, task: &Task) -> Result<ExitCode> {
    let failed =
        |what: &str, error: std::io::Error| Error::Worker(format!("criterion's process, {what}: {error}"));
    let file = tempfile::NamedTempFile::new().map_err(|error| failed("no temporary file", error))?;
    serde_json::to_writer(std::io::BufWriter::new(&file), task)
        .map_err(|error| failed("its task", error.into()))?;
    // Into a pipe its output goes through this process, since criterion would panic when the reader leaves.
    let stderr = if std::io::stderr().is_terminal() {
        Stdio::inherit()
    } else {
        Stdio::piped()
    };
    let mut child = Command::new("/proc/self/exe")
        .args(options.criterion_arguments())
        .env(TASK_VARIABLE, file.path())
        .env("CRITERION_HOME", paths::criterion_home())
        .stdout(stdout_of_child())
        .stderr(stderr)
        .spawn()
        .map_err(|error| failed("not started", error))?;
    pass_on(&mut child);
    let status = child.wait().map_err(|error| failed("lost", error))?;
    if let Some(signal) = status.signal() {
        say(format_args!(
            "criterion's process was killed by signal {signal}; what was recorded is in the run record"
        ));
    }
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    })
}
