//! What a listener learns about a run while it is under way.

use crate::inference::Failure;
use crate::record::ledger::Rejection;
use crate::record::{ModelRecord, RunRecord};

/// What is told while it goes on. The recorder does not know who listens.
pub trait Observer {
    /// A further model is about to be loaded.
    ///
    /// # Errors
    /// [`Stopped`] when it is not to be, nor any after it.
    fn next_model(&mut self) -> Result<(), Stopped> {
        Ok(())
    }
    /// The model was loaded, for the first time or again.
    fn loaded(&mut self, _at: At<'_>) {}
    /// An inference is about to be made.
    ///
    /// # Errors
    /// [`Stopped`] when it is not to be, nor any after it.
    fn begins(&mut self, _at: At<'_>, _prompt: usize, _round: Round) -> Result<(), Stopped> {
        Ok(())
    }
    /// An inference was made, or failed; the record holds it now.
    fn ended(&mut self, _at: At<'_>, _prompt: usize, _outcome: Outcome<'_>) {}
}

/// The record as far as it has got, and the model that is running.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The whole record.
    pub record: &'a RunRecord,
    /// Index of the model.
    pub index: usize,
}

impl<'a> At<'a> {
    /// The model that is running.
    pub fn model(self) -> &'a ModelRecord {
        &self.record.models[self.index]
    }
}

/// Where the recorder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// In warm-up, counted from 0.
    WarmUp(usize),
    /// At a sample, counted from 0.
    Sample(usize),
}

/// What became of an inference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome<'a> {
    /// It stands, and is the prompt's last one.
    Stands,
    /// The ledger rejected it.
    Rejected(&'a Rejection),
    /// The engine gave none.
    Failed(&'a Failure),
}

/// The user stopped the run, an [`Observer`] did, or a model changed; what was recorded until then is in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;
