//! What a run leaves for people, a JSON file and a page of Markdown for each model: both in the shape and under the
//! names of the scripts before this program, so that what was written for those goes on reading them.

mod answers;
mod configuration;
mod json;
mod markdown;

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::atomic::{self, Existing};
use crate::error::Result;
use crate::record::{ModelRecord, RunRecord};
use crate::reference::{self, Finding};

pub use json::json;
pub use markdown::markdown;

/// The files about one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The model's name.
    pub model: String,
    /// The page.
    pub markdown: PathBuf,
    /// The same for programs, by `docs/report.schema.json`.
    pub json: PathBuf,
}

/// Writes the reports of a run into `folder`, in place of what was written of the same run before.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn write(run: &RunRecord, folder: &Path) -> Result<Vec<Files>> {
    run.models
        .iter()
        .map(|model| write_model(run, model, folder))
        .collect()
}

fn write_model(run: &RunRecord, model: &ModelRecord, folder: &Path) -> Result<Files> {
    let name = file_name(run, model);
    let files = Files {
        model: model.name.clone(),
        markdown: folder.join(format!("{name}.md")),
        json: folder.join(format!("{name}.json")),
    };
    atomic::write(&files.json, Existing::Replace, |writer| json(run, model, writer))?;
    atomic::write(&files.markdown, Existing::Replace, |writer| {
        writer.write_all(markdown(run, model).as_bytes())
    })?;
    Ok(files)
}

/// `benchmark_YYYYMMDD_nonce`, with a nonce for each model of each run, and always the same one.
fn file_name(run: &RunRecord, model: &ModelRecord) -> String {
    let digest = Sha256::digest(format!("{}/{}", run.run_id, model.name));
    format!("benchmark_{}_{}", day(run), hex::encode(&digest[..3]))
}

/// What published figures say of one model of a run.
fn findings(run: &RunRecord, model: &ModelRecord) -> Vec<Finding> {
    let mut findings = reference::judge(run);
    findings.retain(|finding| finding.model == model.name);
    findings
}

/// The day of the run, UTC, `YYYYMMDD`.
fn day(run: &RunRecord) -> String {
    let start: jiff::Timestamp = run.started_at.parse().unwrap_or_default();
    start.strftime("%Y%m%d").to_string()
}

#[cfg(test)]
mod tests;
