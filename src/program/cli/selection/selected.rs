//! A run record that a command works on.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::base::error::{Error, Result};
use crate::record::RunRecord;
use crate::record::baseline::refuse_twins;

/// A run that was taken.
#[derive(Debug)]
pub(in crate::program::cli) struct SelectedRun {
    /// Its file.
    pub(in crate::program::cli) path: PathBuf,
    /// Complete, with a sample at least.
    pub(in crate::program::cli) record: RunRecord,
}

impl SelectedRun {
    pub(super) fn load(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            record: RunRecord::load_complete(path)?,
        })
    }

    /// Sorts by time, and by name what began at one time.
    pub(super) fn age(&self) -> (Timestamp, PathBuf) {
        // A record whose time is none is not loaded.
        let time = self.record.started_at.parse().unwrap_or_default();
        (time, self.path.clone())
    }
}

/// Refuses runs of which two have one id.
pub(super) fn distinct(runs: &[SelectedRun]) -> Result<()> {
    let placed = runs
        .iter()
        .map(|run| (run.path.to_string_lossy().into_owned(), &run.record));
    refuse_twins(placed).map_err(Error::BadParameter)
}
