//! Criterion's part of a run: its input, whether it saved its results, and its output.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::process::{self, Ended, Output, Task};
use super::verdicts;
use crate::base::atomic;
use crate::base::console::width;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::paths;
use crate::bench::criterion::replay;
use crate::bench::options::{Mode, Options, PORT_VARIABLE};
use crate::bench::progress::Working;
use crate::record::RunRecord;
use crate::record::phase;
use crate::record::phase::{MIN_SAMPLES, QUICK_SAMPLES};
use crate::report::criterion_folder;
use crate::report::{pages, terminal};

/// Default confidence level of criterion's intervals.
const CONFIDENCE_LEVEL: f64 = 0.95;

/// The outcome of criterion's part.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub(crate) ended: Ended,
    /// Its output, for people.
    pub(crate) text: String,
    /// The lines that name its report and the charts; empty where there are none.
    pub(crate) page: String,
    /// An error if it did not save its results.
    pub(crate) kept: Result<()>,
}

impl Statistics {
    /// Starts criterion's replay of `record`, except with `--record-only`.
    pub(crate) fn of_run(options: &Options, record: &RunRecord, selects: &dyn Fn(&str) -> bool) -> Self {
        let of_none = |ended, kept| Self {
            ended,
            text: String::new(),
            page: String::new(),
            kept,
        };
        if options.records_only() {
            return of_none(Ended::Well, Ok(()));
        }
        Self::of_replay(options, record, selects).unwrap_or_else(|error| of_none(Ended::Badly, Err(error)))
    }

    fn of_replay(options: &Options, record: &RunRecord, selects: &dyn Fn(&str) -> bool) -> Result<Self> {
        let replayed = replayable(record, fewest(options));
        if options.mode() == Mode::Test {
            let task = Task::replay(replayed, options.criterion.quick);
            let (ended, _) = process::start(options, &task, Output::PassedOn)?;
            return Ok(Self {
                ended,
                text: String::new(),
                page: String::new(),
                kept: Ok(()),
            });
        }
        let start = now_of(&paths::criterion_home());
        let task = Task::replay(replayed, options.criterion.quick);
        let (ended, output) = with_progress(options, &task)?;
        let caution = terminal::caution(record);
        let mut statistics = Self::new(options, ended, text(options, &output, caution.as_deref()), record);
        // Under cargo-criterion, which stores the results instead, criterion prints nothing.
        let others_keep = is_port_named() && verdicts::raw(&output).is_empty();
        let keeps = !options.criterion.discard_baseline && !others_keep;
        if let (Task::Replay { record, .. }, Ended::Well, true) = (&task, ended, keeps) {
            let kept = check_kept(record, selects, start).and_then(|()| sync_saved(options, record, selects));
            statistics.kept = kept.and(statistics.kept);
        }
        Ok(statistics)
    }

    /// Starts criterion's comparison of saved results.
    pub(crate) fn of_saved(options: &Options, record: &RunRecord) -> Result<Self> {
        let (ended, output) = with_progress(options, &Task::replay(record.clone(), false))?;
        let mut statistics = Self::new(options, ended, text(options, &output, None), record);
        statistics.text += &statistics.page;
        Ok(statistics)
    }

    /// Writes the pages beside criterion's too, where it made some of `record`.
    fn new(options: &Options, ended: Ended, text: String, record: &RunRecord) -> Self {
        let mut statistics = Self {
            ended,
            text,
            page: String::new(),
            kept: Ok(()),
        };
        if ended == Ended::Well && !is_port_named() {
            let home = paths::criterion_home();
            match pages::write(&home, record) {
                Ok(charts) => {
                    let line = |page: PathBuf| format!("charts: {}\n", page.shown());
                    statistics.page = charts.into_iter().map(line).collect();
                }
                Err(error) => statistics.kept = Err(error),
            }
            if !options.criterion.noplot {
                let index = home.join("report/index.html");
                let line = format!("report: {}\n", index.shown());
                statistics.page += &line;
            }
        }
        statistics
    }
}

fn is_port_named() -> bool {
    std::env::var_os(PORT_VARIABLE).is_some()
}

fn with_progress(options: &Options, task: &Task) -> Result<(Ended, String)> {
    let _working = Working::on("criterion: statistics and plots");
    process::start(options, task, Output::Kept)
}

/// The part of criterion's output that is shown: its verdicts, or its own text with `--verbose`.
fn text(options: &Options, output: &str, caution: Option<&str>) -> String {
    let is_bencher = options.criterion.output_format.as_deref() == Some("bencher");
    let compared = verdicts::compared(output);
    if options.criterion.verbose
        || is_bencher
        || (options.criterion.quiet && options.criterion.load_baseline.is_some())
    {
        let caution = caution.filter(|_| compared.iter().any(|benchmark| benchmark.change.is_some()));
        let caution = caution.map(|line| format!("{line}\n")).unwrap_or_default();
        caution + &verdicts::raw(output)
    } else if options.criterion.quiet || compared.is_empty() {
        String::new()
    } else {
        let level = options.criterion.confidence_level.unwrap_or(CONFIDENCE_LEVEL);
        terminal::changes(&compared, &against(options), level, caution, width())
    }
}

/// The results that criterion compares with. With `--save-baseline` they are the earlier results of that name.
fn against(options: &Options) -> String {
    let named = [
        &options.criterion.baseline,
        &options.criterion.baseline_lenient,
        &options.criterion.save_baseline,
    ];
    match named.into_iter().flatten().find(|name| *name != "base") {
        Some(name) => format!("baseline {name}"),
        None => "the last run".into(),
    }
}

/// The identifiers, as criterion lists them.
pub(crate) fn list(record: &RunRecord, selects: &dyn Fn(&str) -> bool) -> String {
    let line = |(id, _)| format!("{id}: benchmark\n");
    benchmarks(record, selects).into_iter().map(line).collect()
}

/// The selected benchmarks of a record: identifier, and criterion's folder.
fn benchmarks(record: &RunRecord, selects: &dyn Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let home = paths::criterion_home();
    let suite = &record.suite.name;
    let place = |benchmark: replay::Benchmark| {
        let (model, phase, prompt) = (&benchmark.model.name, benchmark.phase, &benchmark.prompt.id);
        let folder = home.join(criterion_folder::folder(model, suite, phase, prompt));
        (phase::identifier(model, suite, phase, prompt), folder)
    };
    replay::benchmarks(record, selects)
        .into_iter()
        .map(place)
        .collect()
}

/// The time by the clock that stamps files in `folder`; the clock of a file server may differ from this machine's.
fn now_of(folder: &Path) -> SystemTime {
    let of_file = || -> std::io::Result<SystemTime> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::tempfile_in(folder)?;
        file.write_all(b"now")?;
        file.metadata()?.modified()
    };
    // If no file can be created, criterion's files are missing too. The kernel's file clock ticks a few times slower.
    of_file().unwrap_or_else(|_| SystemTime::now() - Duration::from_millis(50))
}

/// Whether criterion saved its results: it ignores failures to write files.
fn check_kept(record: &RunRecord, selects: &dyn Fn(&str) -> bool, start: SystemTime) -> Result<()> {
    for (id, folder) in benchmarks(record, selects) {
        let path = folder.join("new/estimates.json");
        let is_new = path
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| at >= start);
        let text = std::fs::read(&path).unwrap_or_default();
        if !is_new || serde_json::from_slice::<serde_json::Value>(&text).is_err() {
            return Err(Error::NotKept { id, path });
        }
    }
    Ok(())
}

/// Syncs the results of `--save-baseline` to storage, because criterion syncs nothing.
fn sync_saved(options: &Options, record: &RunRecord, selects: &dyn Fn(&str) -> bool) -> Result<()> {
    let Some(name) = &options.criterion.save_baseline else {
        return Ok(());
    };
    let home = paths::criterion_home();
    benchmarks(record, selects)
        .iter()
        .try_for_each(|(_, folder)| atomic::sync_files(&folder.join(name), &home))
}

/// Rejects a missing baseline now, because criterion notices it only after the measurement.
pub(crate) fn check_baselines(
    options: &Options,
    record: &RunRecord,
    selects: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let home = paths::criterion_home();
    let compared = options.criterion.baseline.as_ref().map(|name| {
        let remedy =
            format!("save one with --save-baseline {name}, or compare where there is one with --baseline-lenient {name}");
        (name, "estimates.json", remedy)
    });
    let loaded = options.criterion.load_baseline.as_ref();
    let loaded = loaded.map(|name| (name, "sample.json", "--save-baseline saves one".to_owned()));
    for (name, file, remedy) in compared.into_iter().chain(loaded) {
        let all = benchmarks(record, selects);
        if let Some((id, _)) = all
            .iter()
            .find(|(_, folder)| !folder.join(name).join(file).is_file())
        {
            return Err(Error::BadParameter(format!(
                "there is no baseline {name:?} of {id} in {}: {remedy}",
                home.shown()
            )));
        }
    }
    Ok(())
}

/// Minimum number of samples of a prompt that criterion accepts.
fn fewest(options: &Options) -> usize {
    match options.mode() {
        Mode::Test => 1,
        _ if options.criterion.quick => QUICK_SAMPLES,
        _ => MIN_SAMPLES,
    }
}

/// The part of a record that criterion can replay: prompts with at least `fewest` samples.
fn replayable(record: &RunRecord, fewest: usize) -> RunRecord {
    let mut record = record.clone();
    for model in &mut record.models {
        model.prompts.retain(|prompt| prompt.samples.len() >= fewest);
    }
    record
}
