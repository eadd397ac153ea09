//! Reports the progress of a run to a listener.

use crate::inference::Failure;
use crate::record::ledger::Rejection;
use crate::record::{ModelRecord, RunRecord};

/// A listener for the progress of a run.
pub trait Observer {
    /// Another model is about to be loaded.
    ///
    /// # Errors
    /// [`Stopped`] stops the run before this model.
    fn next_model(&mut self) -> Result<(), Stopped> {
        Ok(())
    }
    /// The model was loaded, for the first time or again.
    fn loaded(&mut self, _at: At<'_>) {}
    /// An inference is about to be made.
    ///
    /// # Errors
    /// [`Stopped`] stops the run before this inference.
    fn begins(&mut self, _at: At<'_>, _prompt: usize, _round: Round) -> Result<(), Stopped> {
        Ok(())
    }
    /// An inference was made or failed, and is in the record now.
    fn ended(&mut self, _at: At<'_>, _prompt: usize, _outcome: Outcome<'_>) {}
}

/// The record so far, and the current model.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The whole record.
    pub record: &'a RunRecord,
    /// Index of the model.
    pub index: usize,
}

impl<'a> At<'a> {
    /// The current model.
    pub fn model(self) -> &'a ModelRecord {
        &self.record.models[self.index]
    }
}

/// A round of the recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// A warm-up, counted from 0.
    WarmUp(usize),
    /// A sample, counted from 0.
    Sample(usize),
}

/// The outcome of an inference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome<'a> {
    /// It was accepted and is the prompt's last one.
    Stands,
    /// The ledger rejected it.
    Rejected(&'a Rejection),
    /// The engine failed.
    Failed(&'a Failure),
}

/// The user or an [`Observer`] stopped the run, or a model changed. The record has everything before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;
