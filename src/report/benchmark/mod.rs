//! Reports of a run: a JSON file and a page of Markdown for each model. Their shape and names are those of the scripts
//! that preceded this program, so that tools for those scripts can still read them.

mod answers;
mod configuration;
mod json;
mod markdown;

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::analysis::compare;
use crate::base::atomic::{self, Existing};
use crate::base::error::Result;
use crate::base::paths;
use crate::record::{ModelRecord, RunRecord};
use crate::report::{self, ModelReport};

pub use json::{Unknown, json, json_with};
pub use markdown::markdown;

/// The files about one model, or about all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The model's name; absent for the comparison of all models of the run.
    pub model: Option<String>,
    /// The page.
    pub markdown: PathBuf,
    /// The same for programs: `docs/report.schema.json` describes a model's, and the comparison is that of `rkllm-bench
    /// compare`.
    pub json: PathBuf,
}

impl Files {
    fn new(folder: &Path, name: &str, model: Option<&str>) -> Self {
        Self {
            model: model.map(str::to_owned),
            markdown: folder.join(format!("{name}.md")),
            json: folder.join(format!("{name}.json")),
        }
    }
}

/// The files that [`write`] makes for a run in `folder`, whether they exist or not.
pub(crate) fn files_of(run: &RunRecord, folder: &Path) -> Vec<PathBuf> {
    let of_models = run.models.iter().map(|model| file_name(run, model));
    of_models
        .chain([comparison_name(run)])
        .flat_map(|name| {
            let files = Files::new(folder, &name, None);
            [files.markdown, files.json]
        })
        .collect()
}

/// Writes the reports of a run into `folder` and replaces earlier ones of the same run: one for each model and, if
/// there are several, a comparison.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn write(reports: &[ModelReport], folder: &Path) -> Result<Vec<Files>> {
    write_with(reports, Unknown::Null, folder)
}

/// Like [`write()`]; `unknown` is how the JSON files represent unknown values.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn write_with(reports: &[ModelReport], unknown: Unknown, folder: &Path) -> Result<Vec<Files>> {
    let mut files = Vec::new();
    for report in reports {
        files.push(write_model(report, unknown, folder)?);
    }
    if let [report, _, ..] = reports {
        files.push(write_comparison(report.run, folder)?);
    }
    Ok(files)
}

fn write_comparison(run: &RunRecord, folder: &Path) -> Result<Files> {
    let comparison = compare::of_run(run);
    let files = Files::new(folder, &comparison_name(run), None);
    for (path, text) in [
        (&files.markdown, report::compare::markdown(&comparison)),
        (&files.json, report::compare::json(&comparison)),
    ] {
        atomic::write(path, Existing::Replace, |writer| {
            writer.write_all(text.as_bytes())
        })?;
    }
    Ok(files)
}

fn comparison_name(run: &RunRecord) -> String {
    let digest = Sha256::digest(&run.run_id);
    let suite = paths::name_part(&run.suite.name);
    format!("comparison_{}_{suite}_{}", day(run), nonce(&digest))
}

fn write_model(report: &ModelReport, unknown: Unknown, folder: &Path) -> Result<Files> {
    let name = file_name(report.run, report.model);
    let files = Files::new(folder, &name, Some(&report.model.name));
    atomic::write(&files.json, Existing::Replace, |writer| {
        json_with(report, unknown, writer)
    })?;
    atomic::write(&files.markdown, Existing::Replace, |writer| {
        writer.write_all(markdown(report).as_bytes())
    })?;
    Ok(files)
}

/// `benchmark_YYYYMMDD_model_suite_nonce`. The nonce is fixed for each model of each run.
fn file_name(run: &RunRecord, model: &ModelRecord) -> String {
    let digest = Sha256::digest(format!("{}/{}", run.run_id, model.name));
    format!(
        "benchmark_{}_{}_{}_{}",
        day(run),
        paths::name_part(&model.name),
        paths::name_part(&run.suite.name),
        nonce(&digest)
    )
}

fn nonce(digest: &[u8]) -> String {
    hex::encode(&digest[..3])
}

/// The day of the run, UTC, `YYYYMMDD`.
fn day(run: &RunRecord) -> String {
    let start: jiff::Timestamp = run.started_at.parse().unwrap_or_default();
    start.strftime("%Y%m%d").to_string()
}

#[cfg(test)]
mod tests;
