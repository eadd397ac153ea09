//! Pages in criterion's folder, beside its pages of single benchmarks: the index, a page for each model and suite, and
//! a chart for each phase.
//!
//! They replace criterion's own. Its index puts cells under wrong headings if a benchmark of a group is missing, and
//! its summaries draw all phases of a group in one picture.

mod chart;
mod html;
mod index;

use std::path::{Path, PathBuf};

use crate::base::atomic::{self, Existing};
use crate::base::error::Result;
use crate::record::phase::Phase;
use crate::record::{ModelRecord, RunRecord};
use crate::report::criterion_folder;

use self::html::{escape, href, page};

/// Writes the index of all benchmarks below `home`, criterion's folder, and the pages and charts of the record's
/// models. Returns the paths of the models' pages. Writes nothing if criterion wrote no index (`--noplot`).
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if a file cannot be read or written.
pub(crate) fn write(home: &Path, record: &RunRecord) -> Result<Vec<PathBuf>> {
    let index = home.join("report/index.html");
    if !index.is_file() {
        return Ok(Vec::new());
    }
    let mut pages = Vec::new();
    for model in &record.models {
        if model.prompts.iter().any(|prompt| !prompt.samples.is_empty()) {
            let folder = criterion_folder::group_folder(&model.name, &record.suite.name);
            pages.push(write_group(home, &folder, record, model)?);
        }
    }
    write_text(&index, &index::html(&index::groups(home)))?;
    Ok(pages)
}

/// Writes the page of one model and suite, and its charts beside it.
fn write_group(home: &Path, folder: &Path, record: &RunRecord, model: &ModelRecord) -> Result<PathBuf> {
    let report = home.join(folder).join("report");
    let mut charts = Vec::new();
    for phase in Phase::ALL {
        let Some(svg) = chart::of_phase(record, model, phase) else {
            continue;
        };
        let name = format!("{}.svg", phase.name());
        write_text(&report.join(&name), &svg)?;
        charts.push(format!(
            "<h2>{phase}</h2>\n<a href=\"{name}\"><img src=\"{name}\" alt=\"chart of {phase}\"></a>\n",
            phase = phase.name(),
        ));
    }
    let title = format!("{}/{}", model.name, record.suite.name);
    let groups = index::groups(home);
    let cells = groups
        .iter()
        .find(|group| group.folder == folder)
        .map(|group| group.table("../.."))
        .unwrap_or_default();
    let body = format!(
        "<p>Run {run}. A large point is the median of a prompt's samples, a bar its 95 % interval, a small point a sample.</p>\n\
         {charts}<h2>benchmarks</h2>\n{cells}<p><a href=\"{index}\">all benchmarks</a></p>\n",
        run = escape(&record.run_id),
        charts = charts.concat(),
        index = href("../..", Path::new("report/index.html")),
    );
    let path = report.join("index.html");
    write_text(&path, &page(&title, &body))?;
    Ok(path)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    atomic::write(path, Existing::Replace, |writer| {
        writer.write_all(text.as_bytes())
    })
}
