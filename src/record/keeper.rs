//! The record file of a run in progress, and what happens to it if the run is stopped.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::signals::LastWords;
use crate::inputs::hint;
use crate::record::{Journal, RunRecord, Status};

/// Locked while a record is written. True once a signal is ending the program: a run still at work must not overwrite
/// the final state.
static IS_ENDED: Mutex<bool> = Mutex::new(false);

/// Keeps a record in its file. Marks it as `stopped` if a signal ends the program first.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    /// Absent before the record could be written.
    journal: Option<Journal>,
    _words: LastWords,
}

impl Keeper {
    /// A keeper of the record at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        let of_words = path.clone();
        Self {
            path,
            journal: None,
            _words: LastWords::new(move || end_as_stopped(&of_words)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the whole record. Used at the start and at the end of a run.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn save(&mut self, record: &RunRecord) -> Result<()> {
        let is_ended = IS_ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_ended {
            self.journal = Some(Journal::begin(record, &self.path)?);
        }
        Ok(())
    }

    /// Writes what is new since the last call.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn add(&mut self, record: &RunRecord) -> Result<()> {
        let Some(journal) = &mut self.journal else {
            return self.save(record);
        };
        let is_ended = IS_ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_ended {
            return Ok(());
        }
        journal.add(record).map_err(Error::io(&self.path))
    }
}

/// The message about a run that was stopped early.
pub(crate) fn stopped(path: &Path) -> String {
    format!(
        "\nstopped; what was recorded is in {path}, and `{report}` shows it",
        path = path.shown(),
        report = hint::tool(&["report", &path.to_string_lossy()])
    )
}

/// The message about a run that was stopped after its last sample.
pub(crate) fn stopped_after(path: &Path) -> String {
    format!(
        "\nstopped after the measurement; the record is complete: {}",
        path.shown()
    )
}

/// Marks the record in the file as stopped unless it is complete, and returns a message with its path.
fn end_as_stopped(path: &Path) -> String {
    *IS_ENDED.lock().unwrap_or_else(PoisonError::into_inner) = true;
    if !path.exists() {
        return "\nstopped; nothing was recorded".into();
    }
    let marked = RunRecord::load(path).and_then(|mut record| {
        if record.status == Status::Running {
            record.end(true);
            record.save(path)?;
        }
        Ok(record.status)
    });
    match marked {
        Ok(Status::Complete) => stopped_after(path),
        Ok(_) => stopped(path),
        Err(error) => format!("{}\nerror: it is not marked as stopped: {error}", stopped(path)),
    }
}
