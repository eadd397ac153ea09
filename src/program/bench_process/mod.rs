//! Fresh processes of a bench command. Each must leave one run record.

mod cargo;
pub(crate) mod command;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::base::atomic;
use crate::base::child;
use crate::base::error::{Error, Result};
use crate::base::exit;
use crate::base::scratch::Scratch;
use crate::measure::turns::Ended;
use crate::record::{RunRecord, Status};
use crate::runtime::engine::log;

pub(crate) use self::command::CommandLine;

/// Number of output lines that are kept of a process.
const LAST_LINES: usize = 20;

/// The folders of one process: one for its record, and a temporary one for criterion's results.
#[derive(Debug)]
pub(crate) struct Place {
    line: CommandLine,
    folder: PathBuf,
    criterion: Scratch,
}

impl Place {
    /// Creates the record's folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn new(line: &CommandLine, folder: &Path) -> Result<Self> {
        atomic::make_folder(folder)?;
        // The path must be valid in any working directory of the command.
        let folder = folder.canonicalize().map_err(Error::io(folder))?;
        let criterion = Scratch::new().map_err(Error::io(std::env::temp_dir()))?;
        Ok(Self {
            line: line.clone(),
            folder,
            criterion,
        })
    }

    /// The command, with the variables that make it leave its record here.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.line.command();
        command
            .env("RKLLM_BENCH_RECORD_ONLY", "1")
            .env("RKLLM_BENCH_OUTPUT", &self.folder)
            .env("CRITERION_HOME", self.criterion.path());
        command
    }

    /// Moves the only record of the process to `path`, and returns it.
    ///
    /// A record with faults is accepted: what failed is a result, which the gate judges.
    ///
    /// # Errors
    /// [`Error::NoRecord`] if the exit status does not match the record, if there is not exactly one record, or if it
    /// is empty or not complete. All files stay in place then.
    pub(crate) fn keep(self, ended: &Ended, path: &Path) -> Result<RunRecord> {
        let refuse = |reason: String| Error::NoRecord {
            command: self.line.to_string(),
            reason,
            folder: self.folder.clone(),
            last_lines: ended.last_lines.clone(),
        };
        let records = records_in(&self.folder)?;
        let [only] = records.as_slice() else {
            let count = records.len();
            return Err(refuse(if ended.status.success() {
                wrong_count(count)
            } else {
                format!("it ended with {} and left {count} run records", ended.status)
            }));
        };
        let record = RunRecord::load(only).map_err(|error| refuse(error.to_string()))?;
        let as_recorded = failed(ended) && record.faults().are_fatal();
        if !ended.status.success() && !as_recorded {
            return Err(refuse(format!("it ended with {}", ended.status)));
        }
        if record.status != Status::Complete {
            return Err(refuse("its run record is not complete".into()));
        }
        if record.models.is_empty() {
            return Err(refuse(
                "it measured nothing: no identifier matches its filter".into(),
            ));
        }
        atomic::rename(only, path)?;
        std::fs::remove_dir(&self.folder).map_err(Error::io(&self.folder))?;
        Ok(record)
    }
}

/// Whether a bench target reports a failure, which its record must have too.
fn failed(ended: &Ended) -> bool {
    ended.status.code() == Some(i32::from(exit::FAILED))
}

fn wrong_count(count: usize) -> String {
    match count {
        0 => "it left no run record in RKLLM_BENCH_OUTPUT: name a bench executable of rkllm-bench, without \
              --output"
            .into(),
        _ => format!("it left {count} run records: name a command that runs one bench target once"),
    }
}

fn records_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut records = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            records.push(path);
        }
    }
    Ok(records)
}

/// Runs a command to its end. There is no deadline, because a bench takes as long as its suite.
///
/// The command has its own process group, so that Ctrl-C reaches only this program. When `stop` returns true, the
/// group gets the signal. If it does not end in time, it is killed.
///
/// # Errors
/// [`Error::Io`] if it cannot be started, or does not end when it is killed.
pub(crate) fn run(command: &mut Command, stop: &dyn Fn() -> bool) -> Result<Ended> {
    let program = PathBuf::from(command.get_program());
    let output = tempfile::tempfile().map_err(Error::io(std::env::temp_dir()))?;
    let stream = || output.try_clone().map_err(Error::io(std::env::temp_dir()));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stream()?)
        .stderr(stream()?)
        .process_group(0)
        .spawn()
        .map_err(Error::io(&program))?;
    let status = match child::ended_within(&mut child, Duration::MAX, stop) {
        Some(status) => status,
        None => child::end(&mut child).ok_or_else(|| Error::io(&program)(child::undead(&child)))?,
    };
    Ok(Ended {
        status,
        last_lines: log::last_lines(&output, LAST_LINES),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;
    use crate::record::fixtures;

    /// The outcome of a process that ended with `status` (as `wait` gives it) and left `records`.
    fn keep(status: i32, records: &[RunRecord]) -> Result<RunRecord> {
        let dir = tempfile::tempdir().expect("a folder");
        let itself = std::env::current_exe()
            .expect("a path")
            .to_string_lossy()
            .into_owned();
        let line = CommandLine::of_words(vec![itself]).expect("a command");
        let place = Place::new(&line, &dir.path().join("own")).expect("made");
        for (index, record) in records.iter().enumerate() {
            record
                .save(&place.folder.join(format!("{index}.json")))
                .expect("saved");
        }
        let ended = Ended {
            status: ExitStatus::from_raw(status),
            last_lines: vec!["its last words".into()],
        };
        let path = dir.path().join("kept.json");
        let outcome = place.keep(&ended, &path);
        assert_eq!(path.is_file(), outcome.is_ok());
        assert_ne!(dir.path().join("own").is_dir(), outcome.is_ok());
        outcome
    }

    #[test]
    fn one_complete_record_is_kept_and_nothing_else() {
        let whole = fixtures::run("run", &[(50, 10)]);
        let mut faulty = whole.clone();
        faulty.models[0].prompts[0].given_up = Some("it died twice".into());
        let unfinished = RunRecord {
            status: Status::Running,
            ..whole.clone()
        };
        let exit = |code: i32| code << 8;
        assert_eq!(keep(exit(0), std::slice::from_ref(&whole)).expect("kept"), whole);
        assert_eq!(
            keep(exit(1), std::slice::from_ref(&faulty)).expect("kept"),
            faulty
        );
        let refused: [(i32, &[RunRecord], &str); 8] = [
            (exit(0), &[], "no run record"),
            (exit(0), &[whole.clone(), whole.clone()], "2 run records"),
            (exit(0), &[unfinished], "not complete"),
            (exit(0), &[fixtures::empty()], "not complete"),
            (exit(1), std::slice::from_ref(&whole), "exit status: 1"),
            (exit(70), &[faulty], "exit status: 70"),
            (11, std::slice::from_ref(&whole), "signal: 11"),
            (exit(64), &[], "exit status: 64"),
        ];
        for (status, records, reason) in refused {
            let error = keep(status, records).expect_err(reason).to_string();
            assert!(
                error.contains(reason) && error.contains("its last words"),
                "{error}"
            );
        }
    }
}
