//! Calibrations: repeated runs of an unchanged program, from which the gate learns how much figures vary without a
//! change.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::analysis::gate;
use crate::base::atomic::{self, Existing};
use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::base::paths;
use crate::base::signals;
use crate::bench::progress::Repeats;
use crate::bench::repetitions::{End, Repetitions};
use crate::inputs::hint;
use crate::program::bench_process::{self, CommandLine, Place};
use crate::record::{self, Document, Fault, RunRecord};

/// The `kind` of the file.
const KIND: &str = "rkllm-bench calibration";
/// Version of the file's schema. A reader refuses any other.
const SCHEMA_VERSION: u32 = 1;

/// Repeated runs of one unchanged program, each a process of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calibration {
    kind: String,
    schema_version: u32,
    /// Version of rkllm-bench that wrote it.
    pub(crate) tool_version: String,
    /// When it was saved, RFC 3339, UTC.
    pub(crate) saved_at: String,
    /// The command that was run.
    pub(crate) command: String,
    /// Its runs, in order.
    pub(crate) runs: Vec<RunRecord>,
}

impl Calibration {
    /// A calibration of runs that were just made.
    pub(crate) fn new(command: String, runs: Vec<RunRecord>) -> Self {
        Self {
            kind: KIND.to_owned(),
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            saved_at: jiff::Timestamp::now().to_string(),
            command,
            runs,
        }
    }

    /// Saves it where [`find`] searches, replaces an earlier one with the same digest, and returns the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn save(&self) -> Result<PathBuf> {
        let runs: Vec<&RunRecord> = self.runs.iter().collect();
        let path = path_of(&paths::calibrations_dir(), &runs);
        atomic::write_json(&path, self, Existing::Replace)?;
        Ok(path)
    }

    /// Reads a calibration, as strictly as a run record.
    fn load(path: &Path) -> Result<Self> {
        record::document(path)
            .and_then(|document| Self::of_document(&document))
            .map_err(|fault| Error::Calibration {
                path: path.to_owned(),
                reason: fault.to_string(),
                command: help_command(),
            })
    }

    fn of_document(document: &Document) -> Result<Self, Fault> {
        if document.header.kind() != Some(KIND) {
            return Err(Fault::whole(format!("it has no \"kind\": \"{KIND}\"")));
        }
        document.header.check_versions(SCHEMA_VERSION)?;
        let calibration: Self = record::typed(document)?;
        for (index, run) in calibration.runs.iter().enumerate() {
            run.check()
                .map_err(|fault| fault.within(&format!("runs[{index}]")))?;
        }
        Ok(calibration)
    }
}

/// The completed runs.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The runs.
    pub(crate) runs: Vec<RunRecord>,
    /// Their total time.
    pub(crate) elapsed: Duration,
    /// Why there are no more. Absent if the user stopped them.
    pub(crate) end: Option<End>,
}

/// Runs a command repeatedly, each time in a fresh process, and keeps the records in `folder`.
///
/// # Errors
/// [`Error::Io`], [`Error::NoRecord`]. Completed runs stay in the folder.
pub(crate) fn take(line: &CommandLine, repetitions: Repetitions, folder: &Path) -> Result<Taken> {
    let start = Instant::now();
    let progress = Repeats::of("run", repetitions);
    let stop = signals::is_stopped;
    let mut runs = Vec::new();
    let end = loop {
        if let Some(end) = repetitions.end(runs.len(), start.elapsed()) {
            break Some(end);
        }
        progress.begins(runs.len(), start.elapsed());
        let name = format!("run-{:03}", runs.len() + 1);
        let place = Place::new(line, &folder.join(&name))?;
        let ended = bench_process::run(&mut place.command(), &stop)?;
        if stop() {
            break None;
        }
        runs.push(place.keep(&ended, &folder.join(format!("{name}.json")))?);
    };
    Ok(Taken {
        runs,
        elapsed: start.elapsed(),
        end,
    })
}

/// The calibration for the settings of `runs`, which are all of one suite. One that cannot be used is reported on
/// stderr, and the gate then uses only its own runs.
pub(crate) fn find(runs: &[&RunRecord]) -> Option<Calibration> {
    match find_in(&paths::calibrations_dir(), runs) {
        Ok(found) => found,
        Err(error) => {
            say(error);
            None
        }
    }
}

fn find_in(folder: &Path, runs: &[&RunRecord]) -> Result<Option<Calibration>> {
    let path = path_of(folder, runs);
    if !path.exists() {
        return Ok(None);
    }
    let found = Calibration::load(&path)?;
    let of_file: Vec<&RunRecord> = found.runs.iter().collect();
    if path_of(folder, &of_file) == path {
        Ok(Some(found))
    } else {
        // Moved here by hand, or written by a version that compared other settings.
        Err(Error::Calibration {
            path,
            reason: "the settings of its runs do not match its name".into(),
            command: help_command(),
        })
    }
}

/// The command that explains calibrations.
pub(crate) fn help_command() -> String {
    hint::tool(&["calibrate", "--help"])
}

fn path_of(folder: &Path, runs: &[&RunRecord]) -> PathBuf {
    folder.join(format!("{}.json", gate::fingerprint(runs)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    type Edit = fn(&mut Calibration);

    fn calibration() -> Calibration {
        let run = |id| fixtures::run(id, &[(50, 10); 2]);
        Calibration::new("bench --models m".into(), vec![run("1"), run("2")])
    }

    fn save(calibration: &Calibration, folder: &Path) -> PathBuf {
        let runs: Vec<&RunRecord> = calibration.runs.iter().collect();
        let path = path_of(folder, &runs);
        atomic::write_json(&path, calibration, Existing::Replace).expect("written");
        path
    }

    #[test]
    fn it_is_found_by_runs_of_the_same_kind_and_by_no_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let saved = calibration();
        save(&saved, dir.path());
        let mut run = fixtures::run("later", &[(90, 10); 3]);
        assert_eq!(find_in(dir.path(), &[&run]).expect("readable"), Some(saved));
        run.parameters.max_context += 1;
        assert_eq!(find_in(dir.path(), &[&run]).expect("none is no error"), None);
    }

    #[test]
    fn one_that_cannot_be_used_says_why_with_its_name() {
        let edits: [(Edit, &str); 4] = [
            (|file| file.kind = "shopping list".into(), KIND),
            (|file| file.schema_version = 99, "99"),
            (|file| file.runs[1].schema_version = 98, "runs[1].schema_version"),
            (|file| file.runs[1].parameters.max_context = 7, "do not match"),
        ];
        for (edit, reason) in edits {
            let dir = tempfile::tempdir().expect("a folder");
            let mut file = calibration();
            let path = save(&file, dir.path());
            edit(&mut file);
            atomic::write_json(&path, &file, Existing::Replace).expect("written");
            let run = fixtures::run("later", &[(50, 10)]);
            let error = find_in(dir.path(), &[&run]).expect_err(reason).to_string();
            let name = path.file_name().expect("a name").to_string_lossy();
            assert!(error.contains(reason) && error.contains(&*name), "{error}");
        }
        let dir = tempfile::tempdir().expect("a folder");
        let path = save(&calibration(), dir.path());
        std::fs::write(&path, "{\"kind\":").expect("written");
        assert!(find_in(dir.path(), &[&fixtures::run("later", &[(50, 10)])]).is_err());
    }
}
