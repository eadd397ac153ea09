//! Selects the runs for a command: named files, or the newest in the folder of run records.

mod folder;
mod selected;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use glob::MatchOptions;

use self::folder::Wanted;
use self::selected::distinct;
use crate::base::error::{Error, Result};
use crate::base::paths;
use crate::record::RunRecord;

pub(super) use self::selected::SelectedRun;

/// Options of all commands that take runs.
#[derive(Debug, clap::Args)]
pub(super) struct RunSelection {
    /// Run records to take: a file, or a quoted pattern such as 'runs/*-quick-*.json'; may be repeated
    #[arg(long, value_name = "GLOB")]
    runs: Vec<String>,
    /// The newest N complete runs of each suite and its models; suites with fewer are left out. Runs made with
    /// --quick, --test or a filter, or with fewer than 10 samples, are skipped
    #[arg(long, value_name = "N", default_value = "1", conflicts_with = "runs")]
    last: NonZeroUsize,
    /// Only this suite; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "runs")]
    suite: Vec<String>,
    /// Folder of the run records [default: rkllm-bench/runs in cargo's target folder, where `cargo bench` writes them]
    #[arg(long, value_name = "DIR", env = "RKLLM_BENCH_OUTPUT")]
    records: Option<PathBuf>,
}

impl RunSelection {
    /// Whether `suite` was requested.
    pub(super) fn has_suite(&self, suite: &str) -> bool {
        self.suite.is_empty() || self.suite.iter().any(|asked| asked == suite)
    }

    /// The runs, oldest first, each with a different id. What else the folder holds is reported on stderr.
    ///
    /// # Errors
    /// [`Error::Record`] for a named file that cannot be used, [`Error::BadParameter`] for no run, too few runs or a
    /// run that is there twice, [`Error::Io`] for a folder that cannot be read.
    pub(super) fn select(&self) -> Result<Vec<SelectedRun>> {
        self.select_from("", &|_| true)
    }

    /// As [`select`](Self::select). If no runs are named, takes only those that satisfy `is_meant`, which `which`
    /// describes.
    pub(super) fn select_from(
        &self,
        which: &str,
        is_meant: &dyn Fn(&RunRecord) -> bool,
    ) -> Result<Vec<SelectedRun>> {
        if !self.runs.is_empty() {
            return runs_named(&self.runs);
        }
        let wanted = Wanted {
            count: self.last.get(),
            suites: &self.suite,
            is_meant,
            which,
        };
        let mut runs = folder::newest(&self.folder(), &wanted)?;
        runs.sort_by_key(SelectedRun::age);
        Ok(runs)
    }

    fn folder(&self) -> PathBuf {
        self.records.clone().unwrap_or_else(paths::runs_dir)
    }
}

/// The runs in the files that match `patterns`. A file that matches several patterns is taken once.
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

/// The runs in the files that match `patterns`, oldest first.
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
        // A hidden file is still being written.
        require_literal_leading_dot: true,
        ..MatchOptions::new()
    };
    let mut found = Vec::new();
    for path in glob::glob_with(pattern, options).map_err(|error| refuse(&error.to_string()))? {
        found.push(path.map_err(|error| refuse(&error.to_string()))?);
    }
    if found.is_empty() {
        return Err(refuse(
            "no file matches; a pattern is relative to the working directory and needs quotes, and `cargo bench` \
             prints the path of its record at the end",
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::foreign::Shown as _;
    use crate::record::{Purpose, Status, fixtures};

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
            suite: vec![],
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
            // The suite that has fewer is left out.
            (2, &["a", "c"]),
            (3, &["d", "a", "c"]),
        ] {
            let runs = select(vec![], last, dir.path()).expect("selected");
            assert_eq!(ids(&runs), expected, "--last {last}");
        }
    }

    type Edit = fn(&mut RunRecord);

    /// What keeps a run from being taken unless it is named.
    const UNFIT: [(&str, Edit); 4] = [
        ("test", |run| run.purpose = Purpose::Test),
        ("by-quick", |run| run.purpose = Purpose::Quick),
        ("filtered", |run| run.filter = Some("a".into())),
        ("few", |run| run.parameters.samples = 9),
    ];

    #[test]
    fn a_suite_that_has_too_few_runs_is_named_with_what_helps() {
        let dir = folder(&[("a", "quick", 1), ("b", "quick", 2), ("c", "table", 0)]);
        let text = select(vec![], 3, dir.path()).expect_err("too few").to_string();
        for part in [
            "no suite has 3 complete runs there, but quick (2), table (1)",
            "`cargo bench --bench quick` adds one",
            "--last 2 takes fewer",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn runs_of_other_models_are_counted_apart() {
        let dir = folder(&[("a", "quick", 1), ("b", "quick", 2), ("c", "quick", 3)]);
        for id in ["d", "e"] {
            let mut other = fixtures::complete(id);
            other.models[0].name = "other".into();
            other.save(&dir.path().join(format!("{id}.json"))).expect("saved");
        }
        let runs = select(vec![], 3, dir.path()).expect("selected");
        assert_eq!(ids(&runs), ["a", "b", "c"]);
        let text = select(vec![], 4, dir.path()).expect_err("too few").to_string();
        assert!(text.contains("quick of m (3), quick of other (2)"), "{text}");
    }

    #[test]
    fn one_suite_can_be_asked_for() {
        let dir = folder(&[("a", "quick", 1), ("b", "table", 2)]);
        let of_suite = |suite: &str| {
            let selection = RunSelection {
                runs: vec![],
                last: NonZeroUsize::MIN,
                suite: vec![suite.into()],
                records: Some(dir.path().into()),
            };
            selection.select()
        };
        assert_eq!(ids(&of_suite("quick").expect("selected")), ["a"]);
        let text = of_suite("quik").expect_err("unknown").to_string();
        assert!(
            text.contains("did you mean quick? Available: quick, table"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_compared_is_passed_over_unless_it_is_named() {
        let dir = folder(&[("good", "quick", 1)]);
        let path = |name: &str| dir.path().join(name);
        for (name, edit) in UNFIT {
            let mut record = fixtures::complete(name);
            // Newer than the good one.
            record.started_at = "2026-01-01T02:00:00Z".into();
            edit(&mut record);
            record.save(&path(&format!("{name}.json"))).expect("saved");
        }
        let mut running = fixtures::complete("running");
        running.status = Status::Running;
        running.started_at = "2026-01-01T02:00:00Z".into();
        running.save(&path("running.json")).expect("saved");
        std::fs::write(path("notes.json"), "[]").expect("written");
        // One that another process is about to rename.
        let hidden = fixtures::complete("hidden");
        hidden.save(&path(".tmpX")).expect("saved");
        let runs = select(vec![], 1, dir.path()).expect("selected");
        assert_eq!(ids(&runs), ["good"]);
        let named = |name: &str| select(vec![path(name).shown().to_string()], 1, dir.path());
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
        let under = |name: &str| format!("{}/{name}", dir.path().shown());
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
        for runs in [vec![], vec![format!("{}/*", dir.path().shown())]] {
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
