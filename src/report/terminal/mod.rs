//! The output at the end of `cargo bench`.

mod change;
mod checks;
mod faults;
mod files;
mod summary;
mod table;
mod time;

pub use change::{Change, Compared, Verdict, caution, changes};
pub use faults::faults;
pub use files::files;
pub use time::TimeSpent;

use crate::analysis::reference::Finding;
use crate::analysis::summary::Disturbance;
use crate::base::foreign::Shown as _;
use crate::base::layout;
use crate::inference::{Loaded, Runtime};
use crate::record::RunRecord;
use crate::report::words::plain;
use crate::report::{ModelReport, conditions, reference};

/// One line about the runtime that was measured.
pub fn runtime_line(runtime: &Runtime) -> String {
    let runtime = match runtime {
        Runtime::Library(library) => library,
        Runtime::Server(server) => return server.to_string(),
    };
    let (version, driver, platform) = match &runtime.version_line {
        Some(line) => (
            line.runtime.clone(),
            line.driver.clone().unwrap_or_else(|| "not printed".into()),
            line.platform.clone().unwrap_or_else(|| "not printed".into()),
        ),
        None => ("not printed".into(), "not printed".into(), "not printed".into()),
    };
    let trial = runtime.trial.as_ref().map_or_else(String::new, |trial| {
        format!(
            " (not known to rkllm-bench, trial of {} tokens passed)",
            trial.tokens
        )
    });
    format!(
        "runtime: {} {version}{trial}, driver {driver}, platform {platform}, from {}",
        runtime.library.name,
        runtime.library.path.shown()
    )
}

/// The warning about a runtime of an unknown release; absent for known ones.
pub fn unknown_release(runtime: &Runtime) -> Option<String> {
    let runtime = runtime.library()?;
    let trial = runtime.trial.as_ref()?;
    Some(format!(
        "warning: runtime {} is not known to rkllm-bench; a trial of {} tokens passed",
        runtime.release(),
        trial.tokens
    ))
}

/// The figures of a run: label and commit, and for each model its runtime, table, summary, checks and published
/// figures. Tables have `width` columns, at most 80.
pub fn figures(reports: &[ModelReport], width: u16) -> String {
    let mut text = String::new();
    let run = reports.first().map(|report| report.run);
    if let Some(words) = run.and_then(RunRecord::caption) {
        text += &layout::folded_to(width, &plain(&words));
    }
    for report in reports {
        let model = report.model;
        if let Some(loaded) = &model.loaded {
            text += &layout::folded_to(width, &plain(&runtime_line(&loaded.runtime)));
            text += &layout::heading(width, &table::title(model));
            text += &table::table(model, width);
            let note = end_token_note(loaded);
            text += &note.map_or_else(String::new, |note| layout::folded_to(width, &note));
            text += "\n";
            text += &summary::text(&report.summary, width);
            text += &checks::text(report, width);
            text += "\n";
        }
    }
    let findings: Vec<Finding> = reports
        .iter()
        .flat_map(|report| report.findings.clone())
        .collect();
    let sampler = run.and_then(|run| run.sampler.as_ref());
    if let Some(cost) = conditions::sampler(sampler) {
        text += &cost;
        text += "\n\n";
    }
    text += &reference::text(&findings, width);
    let disturbed = Disturbance::of(reports.iter().map(|report| report.model));
    if disturbed.is_most() {
        text += &layout::folded_to(width, &conditions::advice(&disturbed));
        text += "\n";
    }
    text
}

/// A known fault of runtime 1.3.0 with models of these toolkits: it reads the end token with another integer type than
/// they wrote. Source: noc7c9/rkllm-eos-repro, logs of both versions.
fn end_token_note(loaded: &Loaded) -> Option<String> {
    let runtime = &loaded.runtime.version_line()?.runtime;
    let toolkit = loaded.toolkit.as_deref()?;
    (runtime == "1.3.0" && ["1.2.2", "1.2.3"].contains(&toolkit)).then(|| {
        format!(
            "note: runtime 1.3.0 is known to miss the end token of models that toolkit {toolkit} converted; their answers \
             then continue to the limit"
        )
    })
}
