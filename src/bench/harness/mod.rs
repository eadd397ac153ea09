//! A bench target from its start to its exit code.
//!
//! One executable has three roles, depending on how it is started. The parent reads the options, records and reports.
//! The worker runs the model. Criterion's process replays the record or runs the model under the profiler.

mod saving;
mod server;
mod suite;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;

use self::saving::{RecordFile, Saving};
use self::suite::suite_of;
use crate::analysis::concurrency::{Level, levels};
use crate::base::console::{self, print, say};
use crate::base::error::{Error, Result};
use crate::base::exit;
use crate::base::foreign::Shown as _;
use crate::base::layout::folded_to;
use crate::base::lock;
use crate::base::paths;
use crate::base::signals;
use crate::bench::criterion::process::{Ended, Output, Task};
use crate::bench::criterion::statistics::Statistics;
use crate::bench::criterion::{process, statistics};
use crate::bench::options::{Mode, Options};
use crate::bench::progress::Progress;
use crate::inputs::models;
use crate::measure::run::Run;
use crate::measure::settle::Settler;
use crate::measure::turns::Participant;
use crate::record::keeper;
use crate::record::{Faults, RunRecord, Status};
use crate::report;
use crate::report::result::Format;
use crate::report::terminal::{self, TimeSpent};
use crate::report::{ModelReport, benchmark};
use crate::runtime::engine::serve_if_worker;

/// The body of a bench target's `main`; [`main!`](crate::main) calls it. `suite` names a built-in suite, or
/// a JSON file relative to `base`, the folder of the target's package.
pub fn bench_main(suite: &str, base: &str) -> ExitCode {
    start(&Subject::Runtime { suite }, base)
}

/// The body of the `main` of the bench target `server`; [`server_main!`](crate::server_main!) calls it. `base` is the
/// folder of the target's package.
pub fn server_main(base: &str) -> ExitCode {
    start(&Subject::Server, base)
}

/// What a bench target measures.
enum Subject<'a> {
    /// The linked runtime, with a suite.
    Runtime { suite: &'a str },
    /// A server, with the suite that the options name.
    Server,
}

fn start(subject: &Subject, base: &str) -> ExitCode {
    if let Some(code) = serve_if_worker() {
        return code;
    }
    let outcome = match Task::of_this_process() {
        Some(task) => task.and_then(Task::run).map(|()| ExitCode::SUCCESS),
        None => match signals::listen()
            .and_then(|()| paths::check_surroundings().map(|()| Options::try_parse()))
        {
            Ok(Ok(options)) => {
                console::set_colour(options.criterion.color);
                parent(&options, subject, Path::new(base))
            }
            Ok(Err(error)) => return exit::finish(exit::of_arguments(&error)),
            Err(error) => Err(error),
        },
    };
    exit::of_outcome(outcome)
}

fn parent(options: &Options, subject: &Subject, package: &Path) -> Result<ExitCode> {
    let format = options.result_format();
    if format != Format::Text {
        console::reserve_stdout();
    }
    // The build folder of a copied executable does not exist. The source revision is then unknown, because the current
    // folder may be another checkout.
    let package = Some(package).filter(|folder| folder.is_dir());
    let base = package.unwrap_or(".".as_ref());
    let mut runs = match (subject, options.server.target()?) {
        (Subject::Runtime { suite }, None) => vec![set_up(options, suite, base)?],
        (Subject::Runtime { .. }, Some(_)) => {
            return Err(Error::BadParameter(
                "--url (or RKLLM_BENCH_URL): this target calls the runtime directly; a server is measured by\n  cargo bench \
                 --bench server -- --url <URL>"
                    .into(),
            ));
        }
        (Subject::Server, Some(target)) => server::set_up(options, target, base)?,
        (Subject::Server, None) => {
            say("server: no --url, so there is nothing to do; --url http://board:8080 names a server");
            return Ok(ExitCode::SUCCESS);
        }
    };
    for run in &mut runs {
        run.label.clone_from(&options.run.label);
        run.package = package.map(Path::to_owned);
    }
    let mut measured = Vec::new();
    let outcome = all_runs(options, &runs, &mut measured);
    // A stopped run has no result; its record has the samples until then.
    if !measured.is_empty()
        && measured.iter().all(RunRecord::is_complete)
        && let Some(document) = format.render(&measured)
    {
        console::deliver(document.as_bytes());
    }
    outcome
}

/// Makes the requested runs, adds their records to `measured`, and returns the worst exit code. A stop ends all runs.
fn all_runs(options: &Options, runs: &[Run], measured: &mut Vec<RunRecord>) -> Result<ExitCode> {
    let mut worst = ExitCode::SUCCESS;
    for (done, run) in runs.iter().enumerate() {
        if signals::is_stopped() {
            say(of_not_started(&runs[done..]));
            return Ok(worst);
        }
        let code = one_run(options, run, measured)?;
        if code != ExitCode::SUCCESS {
            worst = code;
        }
    }
    let levels: Vec<Level> = measured.iter().flat_map(levels).collect();
    if !levels.is_empty() {
        print(&format!(
            "\n{}",
            report::concurrency::text(&levels, console::width())
        ));
    }
    Ok(worst)
}

/// The message about runs that did not start because of a stop.
fn of_not_started(runs: &[Run]) -> String {
    let names: Vec<&str> = runs.iter().map(|run| run.suite.name.as_str()).collect();
    format!("stopped; not started: {}", names.join(", "))
}

/// How long a test waits for another run. nextest runs several tests at once, each in its own process.
const TEST_PATIENCE: Duration = Duration::from_mins(10);

/// Makes one run, adds its record to `measured` if it measured anything, and returns its exit code.
fn one_run(options: &Options, run: &Run, measured: &mut Vec<RunRecord>) -> Result<ExitCode> {
    let mode = options.mode();
    let selects = options.selects()?;
    let mut record = run.begin(&*selects)?;
    record.purpose = options.purpose();
    record.filter = options.filter_as_regex();
    if mode == Mode::List {
        print(&statistics::list(&record, &*selects));
        return Ok(ExitCode::SUCCESS);
    }
    if record.models.is_empty() {
        return nothing_matches(options, run);
    }
    statistics::check_baselines(options, &record, &*selects)?;
    let patience = match mode {
        Mode::Test => TEST_PATIENCE,
        _ => Duration::ZERO,
    };
    let locks = lock::take_all(patience);
    if signals::is_stopped() {
        say("stopped; nothing was recorded");
        return Ok(ExitCode::SUCCESS); // the caller returns the signal's code
    }
    let _locks = locks?;
    match mode {
        Mode::LoadBaseline => {
            let statistics = Statistics::of_saved(options, &record)?;
            print(&statistics.text);
            statistics.kept.map(|()| statistics.ended.code())
        }
        Mode::Profile => {
            let plans = record.models.iter().map(|model| run.plan(model)).collect();
            let task = Task::Profile { record, plans };
            let (ended, _) = process::start(options, &task, Output::PassedOn)?;
            Ok(ended.code())
        }
        _ => {
            let outcome = measure(options, run, &mut record, &*selects);
            measured.push(record);
            outcome
        }
    }
}

/// The end of a run without matching benchmarks. For `cargo bench` this is an error. `cargo test` passes one filter to
/// all test targets, most of which have no match.
fn nothing_matches(options: &Options, run: &Run) -> Result<ExitCode> {
    let suite = &run.suite.name;
    let message = format!(
        "{suite}: no identifier <model>/{suite}/<phase>/<prompt> matches the filter {:?}; --list shows them",
        options.filter.as_deref().unwrap_or_default()
    );
    if options.is_of_cargo_test() || options.cargo.ignored {
        say(message);
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Error::BadParameter(message))
    }
}

/// The requested run.
fn set_up(options: &Options, suite: &str, base: &Path) -> Result<Run> {
    let parameters = options.parameters()?;
    let suite = suite_of(options, suite, base)?;
    let place = options.models_place();
    let built_in_alone = place.is_none() && options.run.model.is_empty();
    let found = models::select_with_skipped(place.as_deref(), base, &options.run.model)?;
    for skipped in &found.skipped {
        say(format_args!("skipped {skipped}"));
    }
    let models = found.models;
    if built_in_alone && models.iter().all(|model| model.random_weights) {
        say(format_args!(
            "no model in {}/: running the built-in tiny one, with random weights. scripts/fetch-model gets a real one.",
            models::DEFAULT_DIR
        ));
    }
    Ok(Run {
        parameters,
        trust_sdk_version: options.run.trust_sdk_version.clone(),
        ..Run::new(suite, models)
    })
}

/// Records, replays to criterion except with `--record-only`, and reports.
fn measure(
    options: &Options,
    run: &Run,
    record: &mut RunRecord,
    selects: &dyn Fn(&str) -> bool,
) -> Result<ExitCode> {
    let start = Instant::now();
    let mut part = Participant::take()?;
    let mut file = RecordFile::new(options.records_folder().join(format!("{}.json", record.run_id)));
    file.save(record);
    let verdict = verdict_on_board(run, record);
    if options.mode() == Mode::Bench {
        say(&verdict);
    }
    let bound = record.parameters.settle_s.map(Duration::from_secs);
    let mut settler = bound.map(|bound| Settler::new(&record.board, bound));
    let mut observer = Saving {
        file: &mut file,
        part: &mut part,
        settler: settler.as_mut(),
        progress: Progress::of(record),
    };
    let stopped = run.take(record, &mut observer).is_err();
    drop(observer);
    record.end(stopped);
    file.save(record);
    let by_now = verdict_on_board(run, record);
    if options.mode() == Mode::Bench && by_now != verdict {
        say(format_args!("after loading, {by_now}"));
    }
    if record.status == Status::Changed && signals::stop_signal().is_none() {
        return changed_early(record, file);
    }
    if stopped {
        return stopped_early(file, part);
    }
    let waited = TimeSpent {
        waiting: part.waited(),
        settling: settler.map_or(Duration::ZERO, |settler| settler.waited()),
        ..TimeSpent::default()
    };
    conclude(options, record, file, selects, start, waited)
}

/// Shows the recorded figures, gives them to criterion except with `--record-only`, and prints the paths of all files.
fn conclude(
    options: &Options,
    record: &RunRecord,
    file: RecordFile,
    selects: &dyn Fn(&str) -> bool,
    start: Instant,
    waited: TimeSpent,
) -> Result<ExitCode> {
    let measures = options.mode() == Mode::Bench;
    // The result comes before criterion's part, because that takes a while and may be stopped.
    let reports = if measures {
        let models = report::models(record);
        print(&format!("\n{}", terminal::figures(&models, console::width())));
        write_reports(options, &models)
    } else {
        Ok(Vec::new())
    };
    let before_criterion = Instant::now();
    let statistics = Statistics::of_run(options, record, selects);
    if measures {
        let spent = TimeSpent {
            waiting: waited.waiting,
            settling: waited.settling,
            ..TimeSpent::of_record(record, before_criterion.elapsed(), start.elapsed())
        };
        let gap = if statistics.text.is_empty() { "" } else { "\n" };
        let width = console::width();
        print(&format!(
            "{}{gap}{}record: {}\n{}{}",
            statistics.text,
            terminal::files(reports.as_deref().unwrap_or_default(), width),
            file.path().shown(),
            statistics.page,
            folded_to(width, &spent.to_string())
        ));
    }
    let faults = record.faults();
    if faults != Faults::default() {
        say(terminal::faults(record));
    }
    let path = file.path().to_owned();
    let trouble = file.trouble();
    if signals::is_stopped() && trouble.is_none() {
        say(keeper::stopped_after(&path));
    }
    match (trouble, statistics.ended) {
        (Some(error), _) => Err(error),
        (None, Ended::Stopped(_)) => Ok(statistics.ended.code()),
        (None, _) if faults.are_fatal() => Ok(ExitCode::from(exit::FAILED)),
        (None, ended) => reports.and(statistics.kept).map(|()| ended.code()),
    }
}

/// Whether the machine is fit to measure on, from the doctor's findings in the record.
fn verdict_on_board(run: &Run, record: &RunRecord) -> String {
    if run.is_here() {
        report::doctor::line(&record.doctor)
    } else {
        "board: unknown; the server runs on another machine".into()
    }
}

/// The end of a run that was stopped before its last sample.
fn stopped_early(file: RecordFile, part: Participant) -> Result<ExitCode> {
    let path = file.path().to_owned();
    let unwritten = file.trouble();
    if unwritten.is_none() {
        say(keeper::stopped(&path));
    }
    let signal = signals::stop_signal().unwrap_or_default();
    match part.trouble().or(unwritten) {
        Some(error) => Err(error),
        None => Ok(ExitCode::from(signals::SIGNAL + signal)),
    }
}

/// The end of a run whose model file changed: only its record is written.
fn changed_early(record: &RunRecord, file: RecordFile) -> Result<ExitCode> {
    say(format_args!(
        "\n{}\nrecord: {}",
        terminal::faults(record),
        file.path().shown()
    ));
    match file.trouble() {
        Some(error) => Err(error),
        None => Ok(ExitCode::from(exit::FAILED)),
    }
}

/// Writes the reports for people, except with `--record-only`.
fn write_reports(options: &Options, models: &[ModelReport]) -> Result<Vec<benchmark::Files>> {
    if options.records_only() {
        return Ok(Vec::new());
    }
    benchmark::write(models, &options.reports_folder())
}
