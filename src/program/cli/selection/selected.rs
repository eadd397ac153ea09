//! A run record that a command works on.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::base::error::{Error, Result};
use crate::record::RunRecord;
use crate::record::baseline::refuse_twins;

/// A selected run.
#[derive(Debug)]
pub(in crate::program::cli) struct SelectedRun {
    /// The file of the record.
    pub(in crate::program::cli) path: PathBuf,
    /// A complete record with at least one sample.
    pub(in crate::program::cli) record: RunRecord,
}

impl SelectedRun {
    pub(super) fn load(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            record: RunRecord::load_complete(path)?,
        })
    }

    /// Sort key: the start time, then the path.
    pub(super) fn age(&self) -> (Timestamp, PathBuf) {
        // A record with an invalid time is not loaded.
        let time = self.record.started_at.parse().unwrap_or_default();
        (time, self.path.clone())
    }
}

/// Refuses two runs with the same id.
pub(super) fn distinct(runs: &[SelectedRun]) -> Result<()> {
    let placed = runs
        .iter()
        .map(|run| (run.path.to_string_lossy().into_owned(), &run.record));
    refuse_twins(placed).map_err(Error::BadParameter)
}
