//! The run record's file while the run goes on, and at its end.

use std::path::{Path, PathBuf};

use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::bench::progress::Progress;
use crate::measure::recorder::{At, Observer, Outcome, Round, Stopped};
use crate::measure::settle::Settler;
use crate::measure::turns::Participant;
use crate::record::RunRecord;
use crate::record::keeper::Keeper;

/// The record's file. A failure to write is reported once and returned at the end; measuring goes on meanwhile.
pub(super) struct RecordFile {
    keeper: Keeper,
    trouble: Option<Error>,
}

impl RecordFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            keeper: Keeper::new(path),
            trouble: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.keeper.path()
    }

    /// Writes and syncs the whole record: at the start and at the end.
    pub(super) fn save(&mut self, record: &RunRecord) {
        let saved = self.keeper.save(record);
        self.note(saved);
    }

    /// Appends everything new since the last call.
    fn add(&mut self, record: &RunRecord) {
        let added = self.keeper.add(record);
        self.note(added);
    }

    fn note(&mut self, written: Result<()>) {
        if let Err(error) = written
            && self.trouble.is_none()
        {
            say(format_args!(
                "the run record is not written: {error}\nMeasuring goes on; the figures will be shown, and the exit code \
                 will not be 0."
            ));
            self.trouble = Some(error);
        }
    }

    /// The first error that occurred while the record was written.
    pub(super) fn trouble(self) -> Option<Error> {
        self.trouble
    }
}

/// Writes each inference to the record as soon as it is made, so that no sample is lost.
///
/// It waits for this process's turn before each inference, and passes every event on to the progress bar. With
/// `--settle` it waits for the board before each further model.
pub(super) struct Saving<'a> {
    pub(super) file: &'a mut RecordFile,
    pub(super) progress: Progress,
    pub(super) part: &'a mut Participant,
    pub(super) settler: Option<&'a mut Settler>,
}

impl Observer for Saving<'_> {
    fn next_model(&mut self) -> std::result::Result<(), Stopped> {
        let Some(settler) = &mut self.settler else {
            return Ok(());
        };
        let note = settler.settle(&mut |why| self.progress.waits(why))?;
        if let Some(note) = note {
            self.progress.say(&note);
        }
        Ok(())
    }

    fn loaded(&mut self, at: At<'_>) {
        self.progress.loaded(at);
        self.file.add(at.record);
    }

    fn begins(&mut self, at: At<'_>, prompt: usize, round: Round) -> Result<(), Stopped> {
        self.part.next()?;
        self.progress.begins(at, prompt, round)
    }

    fn ended(&mut self, at: At<'_>, prompt: usize, outcome: Outcome<'_>) {
        self.progress.ended(at, prompt, outcome);
        self.file.add(at.record);
    }
}
