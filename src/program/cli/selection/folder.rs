//! Selects the newest comparable runs of each suite in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::selected::{SelectedRun, distinct};
use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::suggest;
use crate::inputs::hint;
use crate::record::RunRecord;
use crate::record::run_folder::{Unfit, files};

/// Which runs of a folder are wanted.
pub(super) struct Wanted<'a> {
    /// How many runs of each suite.
    pub(super) count: usize,
    /// The suites; empty means all.
    pub(super) suites: &'a [String],
    /// A further condition on a run.
    pub(super) is_meant: &'a dyn Fn(&RunRecord) -> bool,
    /// That condition in words, such as ` since the baseline x`.
    pub(super) which: &'a str,
}

/// A suite with a set of models. Runs of one subject can be compared.
type Subject = (String, BTreeSet<String>);

/// The files of a folder, sorted by what they are.
#[derive(Default)]
struct Found {
    /// The newest of each subject, at most `count`.
    runs: BTreeMap<Subject, Vec<SelectedRun>>,
    unfit: BTreeMap<Unfit, usize>,
    /// Suites of all readable runs.
    suites: BTreeSet<String>,
}

/// The newest runs in `folder` of each suite that has enough. Skipped runs and suites are reported on stderr, a line
/// each.
pub(super) fn newest(folder: &Path, wanted: &Wanted) -> Result<Vec<SelectedRun>> {
    let found = Found::in_folder(folder, wanted)?;
    if let Some(passed_over) = found.passed_over() {
        say(passed_over);
    }
    let (enough, too_few): (Vec<_>, Vec<_>) = found
        .runs
        .iter()
        .partition(|(_, runs)| runs.len() >= wanted.count);
    if enough.is_empty() {
        return Err(Error::BadParameter(if too_few.is_empty() {
            found.nothing(folder, wanted)
        } else {
            found.too_few(folder, wanted)
        }));
    }
    if !too_few.is_empty() {
        say(format_args!(
            "left out, with fewer than {} runs{}: {}",
            wanted.count,
            wanted.which,
            found.counts(&too_few)
        ));
    }
    let runs = found.runs.into_values();
    Ok(runs.filter(|runs| runs.len() >= wanted.count).flatten().collect())
}

impl Found {
    fn in_folder(folder: &Path, wanted: &Wanted) -> Result<Self> {
        let mut found = Self::default();
        for path in files(folder)? {
            let Ok(record) = RunRecord::load(&path) else {
                *found.unfit.entry(Unfit::Unreadable).or_default() += 1;
                continue;
            };
            let suite = &record.suite.name;
            found.suites.insert(suite.clone());
            let is_of_suite = wanted.suites.is_empty() || wanted.suites.contains(suite);
            if is_of_suite && (wanted.is_meant)(&record) {
                found.take(SelectedRun { path, record }, wanted.count)?;
            }
        }
        Ok(found)
    }

    fn take(&mut self, run: SelectedRun, count: usize) -> Result<()> {
        if let Some(unfit) = Unfit::of(&run.record) {
            *self.unfit.entry(unfit).or_default() += 1;
            return Ok(());
        }
        let models = run.record.models.iter().map(|model| model.name.clone());
        let subject = (run.record.suite.name.clone(), models.collect());
        let runs = self.runs.entry(subject).or_default();
        runs.push(run);
        distinct(runs)?;
        runs.sort_by_key(|run| std::cmp::Reverse(run.age()));
        runs.truncate(count);
        Ok(())
    }

    /// How many runs are skipped, and why.
    fn passed_over(&self) -> Option<String> {
        let total: usize = self.unfit.values().sum();
        let reasons: Vec<String> = self
            .unfit
            .iter()
            .map(|(unfit, count)| format!("{count} {unfit}"))
            .collect();
        let runs = if total == 1 { "run" } else { "runs" };
        (total > 0).then(|| format!("passed over {total} {runs}: {}", reasons.join(", ")))
    }

    /// The message for a folder without a suitable run.
    fn nothing(&self, folder: &Path, wanted: &Wanted) -> String {
        let unknown = wanted.suites.iter().find(|suite| !self.suites.contains(*suite));
        if let Some(unknown) = unknown.filter(|_| !self.suites.is_empty()) {
            let known: Vec<&String> = self.suites.iter().collect();
            return format!(
                "--suite {unknown}: {} has no run of it{}",
                folder.shown(),
                suggest::among(unknown, &known)
            );
        }
        let command = match wanted.suites {
            [suite, ..] => hint::bench(suite),
            [] => hint::benches(),
        };
        format!(
            "{}: no complete run there{}; `{command}` makes one, and --runs FILE or --records DIR name others",
            folder.shown(),
            wanted.which
        )
    }

    /// The message for a folder in which no suite has enough runs.
    fn too_few(&self, folder: &Path, wanted: &Wanted) -> String {
        let all: Vec<_> = self.runs.iter().collect();
        let most = self.runs.iter().max_by_key(|(_, runs)| runs.len());
        let (command, most) = most.map_or_else(
            || (hint::benches(), 1),
            |((suite, _), runs)| (hint::bench(suite), runs.len()),
        );
        format!(
            "{}: no suite has {} complete runs there{}, but {}: `{command}` adds one, --last {most} takes fewer",
            folder.shown(),
            wanted.count,
            wanted.which,
            self.counts(&all)
        )
    }

    /// Each subject with the number of its runs. Models are named if a suite has several sets of them.
    fn counts(&self, subjects: &[(&Subject, &Vec<SelectedRun>)]) -> String {
        let named = subjects.iter().map(|((suite, models), runs)| {
            let sets = self.runs.keys().filter(|(other, _)| other == suite).count();
            let of = if sets > 1 {
                let models: Vec<&str> = models.iter().map(String::as_str).collect();
                format!(" of {}", models.join(", "))
            } else {
                String::new()
            };
            format!("{suite}{of} ({})", runs.len())
        });
        named.collect::<Vec<_>>().join(", ")
    }
}
