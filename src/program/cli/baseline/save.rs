//! Saves a new baseline and describes it.

use std::path::Path;

use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::record::baseline::{Baseline, Store};

/// The line that says what a baseline holds now.
pub(super) fn summary(baseline: &Baseline, path: &Path) -> String {
    let runs = match baseline.runs.len() {
        1 => "1 run".to_owned(),
        count => format!("{count} runs"),
    };
    format!("baseline {}: {runs} in {}\n", baseline.name, path.shown())
}

/// Saves a baseline under a name that must not exist yet.
pub(super) fn save_new(store: &Store, baseline: &Baseline, otherwise: &str) -> Result<()> {
    let path = store.path(&baseline.name)?;
    match baseline.save_new(&path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::BadParameter(format!(
                "baseline {} exists already, in {}: {otherwise}, or choose another name",
                baseline.name,
                path.shown()
            )))
        }
        outcome => outcome,
    }
}
