//! Which runs a command takes: files by name, or the newest of the folder of run records.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use glob::MatchOptions;
use jiff::Timestamp;

use crate::baseline::refuse_twins;
use crate::console::say;
use crate::error::{Error, Result};
use crate::paths;
use crate::record::RunRecord;
use crate::replay::QUICK_SAMPLES;

/// Arguments of each command that takes runs.
#[derive(Debug, clap::Args)]
pub(super) struct RunSelection {
    /// Run records to take: a file, or a pattern in quotes such as 'runs/*-quick-*.json'; may be given several times
    #[arg(long, value_name = "GLOB")]
    runs: Vec<String>,
    /// Without --runs: the newest N complete runs of each suite
    #[arg(long, value_name = "N", default_value = "1", conflicts_with = "runs")]
    last: NonZeroUsize,
    /// Without --runs: the folder of run records [default: where `cargo bench` leaves them, rkllm-bench/runs in cargo's
    /// target folder]
    #[arg(long, value_name = "DIR", env = "RKLLM_BENCH_OUTPUT")]
    records: Option<PathBuf>,
}

/// A run that was taken.
#[derive(Debug)]
pub(super) struct SelectedRun {
    /// Its file.
    pub(super) path: PathBuf,
    /// Complete, with a sample at least.
    pub(super) record: RunRecord,
}

impl RunSelection {
    /// Whether the runs are named, not the newest of a folder.
    pub(super) fn is_by_name(&self) -> bool {
        !self.runs.is_empty()
    }

    /// The runs, the oldest first, each with an id of its own. What the folder holds beside them is told on stderr.
    ///
    /// # Errors
    /// [`Error::Record`] for a file that was named and cannot be used, [`Error::BadParameter`] when there is no run or
    /// one twice, [`Error::Io`] for a folder that cannot be read.
    pub(super) fn select(&self) -> Result<Vec<SelectedRun>> {
        if !self.runs.is_empty() {
            return runs_named(&self.runs);
        }
        let folder = self.records.clone().unwrap_or_else(paths::runs_dir);
        let mut runs = newest(&folder, self.last.get())?;
        runs.sort_by_key(SelectedRun::age);
        Ok(runs)
    }
}

impl SelectedRun {
    fn load(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            record: RunRecord::load_complete(path)?,
        })
    }

    /// Sorts by time, and by name what began at one time.
    fn age(&self) -> (Timestamp, PathBuf) {
        // A record whose time is none is not loaded.
        let time = self.record.started_at.parse().unwrap_or_default();
        (time, self.path.clone())
    }
}

/// Refuses runs of which two have one id.
fn distinct(runs: &[SelectedRun]) -> Result<()> {
    let placed = runs
        .iter()
        .map(|run| (run.path.display().to_string(), &run.record));
    refuse_twins(placed).map_err(Error::BadParameter)
}

/// The runs in the files that `patterns` match; a file that several match is taken once.
fn named(patterns: &[String]) -> Result<Vec<SelectedRun>> {
    let mut files = BTreeMap::new();
    for pattern in patterns {
        for path in matches(pattern)? {
            let same = path.canonicalize().unwrap_or_else(|_| path.clone());
            files.entry(same).or_insert(path);
        }
    }
    let runs: Vec<_> = files
        .values()
        .map(|path| SelectedRun::load(path))
        .collect::<Result<_>>()?;
    distinct(&runs)?;
    Ok(runs)
}

/// The runs in the files that `patterns` match, the oldest first.
///
/// # Errors
/// As [`RunSelection::select`].
pub(super) fn runs_named(patterns: &[String]) -> Result<Vec<SelectedRun>> {
    let mut runs = named(patterns)?;
    runs.sort_by_key(SelectedRun::age);
    Ok(runs)
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>> {
    // A file may have brackets in its name.
    if Path::new(pattern).exists() {
        return Ok(vec![pattern.into()]);
    }
    let refuse = |reason: &str| Error::BadParameter(format!("{pattern}: {reason}"));
    let options = MatchOptions {
        // A hidden file is one that is being written.
        require_literal_leading_dot: true,
        ..MatchOptions::new()
    };
    let mut found = Vec::new();
    for path in glob::glob_with(pattern, options).map_err(|error| refuse(&error.to_string()))? {
        found.push(path.map_err(|error| refuse(&error.to_string()))?);
    }
    if found.is_empty() {
        return Err(refuse(
            "no file matches; a pattern is relative to the working directory and needs quotes, and `cargo bench` says at \
             its end where its record is",
        ));
    }
    Ok(found)
}

/// The `count` newest runs of each suite in `folder` that can be compared; each file that is passed over is told.
fn newest(folder: &Path, count: usize) -> Result<Vec<SelectedRun>> {
    let mut suites: BTreeMap<String, Vec<SelectedRun>> = BTreeMap::new();
    for path in files(folder)? {
        let run = match SelectedRun::load(&path) {
            Ok(run) => run,
            Err(error) => {
                say(format_args!("passed over: {error}"));
                continue;
            }
        };
        if run.record.parameters.samples < QUICK_SAMPLES {
            let samples = run.record.parameters.samples;
            let path = path.display();
            say(format_args!(
                "passed over: {path}: {samples} sample a prompt, as `cargo test` and --test take; --runs takes it all the same"
            ));
            continue;
        }
        let runs = suites.entry(run.record.suite.name.clone()).or_default();
        runs.push(run);
        distinct(runs)?;
        runs.sort_by_key(|run| std::cmp::Reverse(run.age()));
        runs.truncate(count);
    }
    if suites.is_empty() {
        return Err(Error::BadParameter(format!(
            "{}: no complete run there; `cargo bench` makes one, and --runs FILE or --records DIR name others",
            folder.display()
        )));
    }
    for (suite, runs) in suites.iter().filter(|(_, runs)| runs.len() < count) {
        say(format_args!(
            "suite {suite}: {} of {count} runs are there",
            runs.len()
        ));
    }
    Ok(suites.into_values().flatten().collect())
}

/// The files in a folder, but for hidden ones, which are being written.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(folder))?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Status, fixtures};

    /// A folder with a record for each run: id, suite, hour of its start.
    fn folder(runs: &[(&str, &str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (id, suite, hour) in runs {
            let mut record = fixtures::complete(id);
            record.suite.name = (*suite).to_owned();
            record.started_at = format!("2026-01-01T{hour:02}:00:00Z");
            record
                .save(&dir.path().join(format!("{id}.json")))
                .expect("saved");
        }
        dir
    }

    fn ids(runs: &[SelectedRun]) -> Vec<&str> {
        runs.iter().map(|run| run.record.run_id.as_str()).collect()
    }

    fn select(runs: Vec<String>, last: usize, records: &Path) -> Result<Vec<SelectedRun>> {
        RunSelection {
            runs,
            last: last.try_into().expect("not 0"),
            records: Some(records.to_owned()),
        }
        .select()
    }

    #[test]
    fn the_newest_of_each_suite_are_taken_by_their_time_oldest_first() {
        // By name the order would be another.
        let dir = folder(&[
            ("d", "quick", 1),
            ("a", "quick", 2),
            ("c", "quick", 3),
            ("b", "table", 0),
        ]);
        for (last, expected) in [
            (1, &["b", "c"][..]),
            (2, &["b", "a", "c"]),
            (9, &["b", "d", "a", "c"]),
        ] {
            let runs = select(vec![], last, dir.path()).expect("selected");
            assert_eq!(ids(&runs), expected, "--last {last}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_passed_over_unless_it_is_named() {
        let dir = folder(&[("good", "quick", 1)]);
        let path = |name: &str| dir.path().join(name);
        let mut running = fixtures::complete("running");
        running.status = Status::Running;
        running.save(&path("running.json")).expect("saved");
        let mut one_sample = fixtures::complete("test");
        one_sample.parameters.samples = 1;
        one_sample.save(&path("test.json")).expect("saved");
        std::fs::write(path("notes.json"), "[]").expect("written");
        // One that another process is about to rename.
        let hidden = fixtures::complete("hidden");
        hidden.save(&path(".tmpX")).expect("saved");
        let runs = select(vec![], 9, dir.path()).expect("selected");
        assert_eq!(ids(&runs), ["good"]);
        let named = |name: &str| select(vec![path(name).display().to_string()], 1, dir.path());
        assert_eq!(ids(&named("test.json").expect("named")), ["test"]);
        for (name, expected) in [
            ("running.json", "status: running"),
            ("notes.json", "no JSON object"),
            ("r*", "status: running"),
            ("*X", "no file matches"),
        ] {
            let text = named(name).expect_err(name).to_string();
            assert!(
                text.contains(expected) && text.contains(name.trim_end_matches('*')),
                "{name}: {text}"
            );
        }
    }

    #[test]
    fn patterns() {
        let dir = folder(&[("a", "quick", 1), ("b", "quick", 2), ("[c]", "quick", 3)]);
        let under = |name: &str| format!("{}/{name}", dir.path().display());
        let rows: [(&[&str], &[&str]); 4] = [
            (&["a.json"], &["a"]),
            (&["*.json", "a.json", "./b.json"], &["a", "b", "[c]"]),
            (&["[ab].json"], &["a", "b"]),
            (&["[c].json"], &["[c]"]),
        ];
        for (patterns, expected) in rows {
            let patterns = patterns.iter().map(|name| under(name)).collect();
            let runs = select(patterns, 1, Path::new("/no/such")).expect("selected");
            assert_eq!(ids(&runs), expected);
        }
        for (pattern, expected) in [(under("x*"), "no file matches"), (under("***"), "wildcards")] {
            let text = select(vec![pattern.clone()], 1, dir.path())
                .expect_err("nothing")
                .to_string();
            assert!(text.contains(&pattern) && text.contains(expected), "{text}");
        }
    }

    #[test]
    fn one_run_in_two_files_is_refused_with_both() {
        let dir = folder(&[("a", "quick", 1)]);
        std::fs::copy(dir.path().join("a.json"), dir.path().join("copy.json")).expect("copied");
        for runs in [vec![], vec![format!("{}/*", dir.path().display())]] {
            let text = select(runs, 1, dir.path()).expect_err("twice").to_string();
            for part in ["run a is there twice", "a.json", "copy.json"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }

    #[test]
    fn a_folder_without_a_run_says_what_makes_one() {
        let dir = folder(&[]);
        for folder in [dir.path(), &dir.path().join("no/such")] {
            let text = select(vec![], 1, folder).expect_err("nothing").to_string();
            assert!(text.contains("`cargo bench` makes one"), "{text}");
        }
    }
}
