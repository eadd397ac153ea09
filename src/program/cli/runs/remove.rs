//! Removes run records with their reports.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Timestamp};

use super::folder::Folder;
use crate::base::console::{print, say};
use crate::base::error::{Error, Result};
use crate::base::lock;
use crate::base::paths;
use crate::record::run_folder::{Entry, entries, find};
use crate::record::{RunRecord, Status};
use crate::report::benchmark;

/// Remove run records and their reports; baselines and criterion's results stay
#[derive(Debug, clap::Args)]
pub(super) struct Rm {
    /// Ids of runs as `runs list` shows them, or their files; if one does not exist or is still running, none is
    /// removed
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    folder: Folder,
}

/// Remove old run records and their reports; baselines and criterion's results stay
///
/// With both --keep and --older-than, a run is removed only if both options allow it. A run in progress stays.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true, args = ["keep", "older_than"])]
pub(super) struct Prune {
    /// Keep the newest N runs of each suite and its models; runs that comparisons skip are counted separately
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove only what is older than this, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    older_than: Option<Duration>,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    folder: Folder,
}

pub(super) fn rm(arguments: &Rm) -> Result<()> {
    let folder = arguments.folder.path();
    let entries = entries(&folder)?;
    let mut chosen: Vec<&Entry> = Vec::new();
    for id in &arguments.ids {
        let entry = find(&entries, id)?;
        if is_in_progress(entry) {
            return Err(Error::BadParameter(format!(
                "run {} is in progress: stop it, or wait until it ends; nothing was removed",
                entry.run_id
            )));
        }
        if !chosen.contains(&entry) {
            chosen.push(entry);
        }
    }
    remove(&chosen, &folder, false)
}

pub(super) fn prune(arguments: &Prune) -> Result<()> {
    let folder = arguments.folder.path();
    let entries = entries(&folder)?;
    let now = Timestamp::now();
    let old = old(&entries, arguments.keep, arguments.older_than, now);
    let (busy, old): (Vec<&Entry>, Vec<&Entry>) = old.into_iter().partition(|entry| is_in_progress(entry));
    for entry in busy {
        say(format_args!("run {} stays: it is in progress", entry.run_id));
    }
    remove(&old, &folder, arguments.dry_run)
}

/// The entries that may be removed. `entries` are sorted, newest first.
fn old(entries: &[Entry], keep: Option<usize>, older_than: Option<Duration>, now: Timestamp) -> Vec<&Entry> {
    let mut newer = BTreeMap::new();
    let mut old = Vec::new();
    for entry in entries {
        // Runs that comparisons skip must not displace those that they take.
        let count: &mut usize = newer.entry((entry.subject(), entry.unfit.is_some())).or_default();
        *count += 1;
        let age = now.duration_since(entry.started_at).unsigned_abs();
        if keep.is_none_or(|keep| *count > keep) && older_than.is_none_or(|bound| age >= bound) {
            old.push(entry);
        }
    }
    old
}

/// Whether an unfinished run is still working; otherwise it was killed.
fn is_in_progress(entry: &Entry) -> bool {
    entry.status == Status::Running && lock::is_held()
}

/// Removes records with their reports, or only prints them with `dry_run`.
fn remove(entries: &[&Entry], folder: &Path, dry_run: bool) -> Result<()> {
    let mut text = String::new();
    for entry in entries {
        let reports = reports_of(entry, folder)?;
        let files = || reports.iter().chain([&entry.path]);
        if !dry_run {
            for file in files() {
                std::fs::remove_file(file).map_err(Error::io(file))?;
            }
        }
        let verb = if dry_run { "would remove" } else { "removed" };
        let _ = writeln!(
            text,
            "{verb} {}: the record and {} of its reports",
            entry.run_id,
            files_in_words(reports.len())
        );
    }
    if entries.is_empty() {
        text += "nothing to remove\n";
    }
    print(&text);
    Ok(())
}

fn files_in_words(count: usize) -> String {
    match count {
        0 => "none".to_owned(),
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

/// The existing reports of a run, from the folders used with and without `--output`.
fn reports_of(entry: &Entry, folder: &Path) -> Result<Vec<PathBuf>> {
    let run = RunRecord::load(&entry.path)?;
    let places = [paths::reports_dir(), folder.join("reports")];
    let files = places.iter().flat_map(|place| benchmark::files_of(&run, place));
    Ok(files.filter(|file| file.is_file()).collect())
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let meant = "expected a time such as 30d, 2w or 12h";
    let span: Span = text.parse().map_err(|error| format!("{meant}: {error}"))?;
    let age = span.to_duration(SpanRelativeTo::days_are_24_hours());
    match age.map(Duration::try_from) {
        Ok(Ok(age)) if !age.is_zero() => Ok(age),
        _ => Err(meant.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Purpose, fixtures};

    fn entry(id: &str, hour: u32, edit: impl Fn(&mut RunRecord)) -> Entry {
        let mut run = fixtures::complete(id);
        run.started_at = format!("2026-01-01T{hour:02}:00:00Z");
        edit(&mut run);
        Entry::of(id.as_ref(), &run)
    }

    #[test]
    fn the_newest_of_each_suite_stay_and_what_is_passed_over_is_counted_apart() {
        let quick = |run: &mut RunRecord| run.purpose = Purpose::Quick;
        let entries = [
            entry("f", 6, quick),
            entry("e", 5, |run| run.suite.name = "table".into()),
            entry("d", 4, quick),
            entry("c", 3, |_| {}),
            entry("b", 2, |_| {}),
            entry("a", 1, |run| run.suite.name = "table".into()),
        ];
        let ids = |keep, hours: Option<u64>| {
            let bound = hours.map(|hours| Duration::from_secs(hours * 3600));
            let now = "2026-01-01T06:00:00Z".parse().expect("a time");
            let old = old(&entries, keep, bound, now);
            old.iter().map(|entry| entry.run_id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(ids(Some(1), None), ["d", "b", "a"]);
        assert_eq!(ids(Some(0), None), ["f", "e", "d", "c", "b", "a"]);
        assert_eq!(ids(None, Some(3)), ["c", "b", "a"]);
        assert_eq!(ids(Some(1), Some(5)), ["a"]);
    }

    #[test]
    fn ages_on_the_command_line() {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        for (text, age) in [("30d", days(30)), ("2w", days(14)), ("12h", days(1) / 2)] {
            assert_eq!(parse_age(text), Ok(age));
        }
        for wrong in ["30", "-1d", "0d", "soon", "", "1 month"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }
}
