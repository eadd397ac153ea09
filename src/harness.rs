//! A bench target from its start to its exit code.
//!
//! One executable plays three parts, told apart by how it is started: the parent, which reads the options, records
//! and reports; the worker, which runs the model; and criterion's process, which replays the record.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser as _;
use sha2::{Digest as _, Sha256};

use crate::board::Board;
use crate::engine::{Engine, Failure, InProcess, LoadSpec, Loaded, Worker, serve_if_worker};
use crate::error::{Error, Result};
use crate::inference::{Input, Request};
use crate::models::{self, Model};
use crate::options::{Mode, Options};
use crate::paths;
use crate::progress::Progress;
use crate::prompts::Suite;
use crate::record::{
    Faults, ModelRecord, Parameters, PromptRecord, RunRecord, SCHEMA_VERSION, Status, SuiteRecord,
};
use crate::recorder::{self, Observer, Outcome, Plan, Round, Stopped};
use crate::replay::{self, MIN_SAMPLES, Phase};
use crate::report::terminal::{self, TimeSpent};
use crate::signals;

/// Names the record that criterion's process is to replay.
const REPLAY_VARIABLE: &str = "RKLLM_BENCH_REPLAY";

/// How long a model may take to load: reading gigabytes from an SD card takes minutes.
pub(crate) const LOAD_DEADLINE: Duration = Duration::from_mins(30);

/// Exit codes, as `--help` lists them.
mod exit {
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 64;
    pub(super) const INTERNAL: u8 = 70;
    pub(super) const SIGNAL: u8 = 128;
}

/// The body of a bench target's `main`; [`main!`](crate::main) calls it. `suite` names a suite that comes with
/// rkllm-bench, or a JSON file relative to `base`, the folder of the target's package.
pub fn bench_main(suite: &str, base: &str) -> ExitCode {
    if let Some(code) = serve_if_worker() {
        return code;
    }
    if let Some(path) = std::env::var_os(REPLAY_VARIABLE) {
        return replay_main(Path::new(&path));
    }
    // A copied executable runs where the folder it was built in does not exist.
    let base = if Path::new(base).is_dir() { base } else { "." };
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(exit::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(&options, suite, Path::new(base)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(code_of(&error))
        }
    }
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::BadParameter(_) | Error::Suite { .. } | Error::Model(_) => exit::USAGE,
        _ => exit::INTERNAL,
    }
}

fn replay_main(path: &Path) -> ExitCode {
    match RunRecord::load(path) {
        Ok(record) => {
            replay::replay(&record);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(exit::INTERNAL)
        }
    }
}

fn run(options: &Options, suite: &str, base: &Path) -> Result<ExitCode> {
    let start = Instant::now();
    let suite = Suite::find(suite, base)?;
    let mode = options.mode();
    let parameters = options.parameters(suite.max_new_tokens)?;
    let selects = options.selects()?;
    let models = find_models(options, base)?;
    let mut record = RunRecord {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: run_id(&suite.name),
        started_at: jiff::Timestamp::now().to_string(),
        status: Status::Running,
        suite: SuiteRecord {
            name: suite.name.clone(),
            sha256: suite.sha256.clone(),
        },
        parameters,
        board: Board::read(),
        models: models
            .iter()
            .map(|model| model_record(model, &suite, &*selects))
            .collect(),
    };
    record.models.retain(|model| !model.prompts.is_empty());
    if let Some(baseline) = options.baseline.as_ref().filter(|_| mode != Mode::List) {
        check_baseline(baseline, &record, &*selects)?;
    }
    if matches!(mode, Mode::List | Mode::LoadBaseline) {
        return criterion(options, &record);
    }
    measure(options, mode, record, start)
}

/// Records, replays, reports.
fn measure(options: &Options, mode: Mode, mut record: RunRecord, start: Instant) -> Result<ExitCode> {
    signals::listen().map_err(|error| Error::Worker(format!("no signal handlers: {error}")))?;
    let folder = options.output.clone().unwrap_or_else(paths::runs_dir);
    let mut file = RecordFile {
        path: folder.join(format!("{}.json", record.run_id)),
        trouble: None,
    };
    let stopped = record_all(options, &mut record, &mut file).is_err();
    record.status = if stopped {
        Status::Stopped
    } else {
        Status::Complete
    };
    file.save(&record);
    if stopped {
        let signal = signals::stop_signal().unwrap_or_default();
        eprintln!("\nstopped; what was recorded is in {}", file.path.display());
        return file
            .trouble
            .map_or(Ok(ExitCode::from(exit::SIGNAL + signal)), Err);
    }
    let before_criterion = Instant::now();
    let fewest = if mode == Mode::Test { 1 } else { MIN_SAMPLES };
    let code = criterion(options, &replayable(&record, fewest))?;
    let criterion_took = before_criterion.elapsed();
    if mode == Mode::Bench {
        print_figures(
            &record,
            &file.path,
            TimeSpent::of_record(&record, criterion_took, start.elapsed()),
        );
    }
    let faults = record.faults();
    if faults != Faults::default() {
        print_faults(&record);
    }
    match file.trouble {
        Some(error) => Err(error),
        None if faults.are_fatal() => Ok(ExitCode::from(exit::FAILED)),
        None => Ok(code),
    }
}

/// Criterion would notice a missing baseline only after everything has been measured.
fn check_baseline(baseline: &str, record: &RunRecord, selects: &dyn Fn(&str) -> bool) -> Result<()> {
    let home = paths::criterion_home();
    for model in &record.models {
        for prompt in &model.prompts {
            for phase in Phase::ALL {
                let id = replay::identifier(&model.name, &record.suite.name, phase, &prompt.id);
                let folder = home.join(replay::folder(&model.name, &record.suite.name, phase, &prompt.id));
                if selects(&id) && !folder.join(baseline).join("estimates.json").is_file() {
                    return Err(Error::BadParameter(format!(
                        "there is no baseline {baseline:?} of {id} in {}: make one with --save-baseline {baseline}, \
                         or compare where there is one with --baseline-lenient {baseline}",
                        home.display()
                    )));
                }
            }
        }
    }
    Ok(())
}

fn find_models(options: &Options, base: &Path) -> Result<Vec<Model>> {
    let place = options.models_place(base);
    if options.models.is_none() && !place.exists() && options.model.is_none() {
        return Ok(vec![fallback()?]);
    }
    let found = models::find(&place, options.model.as_deref())?;
    if found.is_empty() && options.models.is_none() {
        Ok(vec![fallback()?])
    } else {
        some(found, &place)
    }
}

fn some(found: Vec<Model>, place: &Path) -> Result<Vec<Model>> {
    if found.is_empty() {
        return Err(Error::Model(format!(
            "{} holds no .{} model (--models)",
            place.display(),
            models::extension()
        )));
    }
    Ok(found)
}

/// What runs where no model is at hand.
#[cfg(feature = "host")]
fn fallback() -> Result<Model> {
    let model = models::built_in_tiny(&paths::cache_dir())?;
    eprintln!(
        "no model in {}/: running the built-in tiny one, with random weights. scripts/fetch-model gets a real one.",
        models::DEFAULT_DIR
    );
    Ok(model)
}

#[cfg(not(feature = "host"))]
fn fallback() -> Result<Model> {
    Err(Error::Model(format!(
        "no .{} model in {}/: put one there, or name its file or folder with --models",
        models::extension(),
        models::DEFAULT_DIR
    )))
}

fn run_id(suite: &str) -> String {
    let now = jiff::Timestamp::now();
    let seed = format!("{} {}", now.as_nanosecond(), std::process::id());
    let digest = Sha256::digest(seed.as_bytes());
    let nonce = hex::encode(&digest[..3]);
    format!("{}-{suite}-{nonce}", now.strftime("%Y%m%dT%H%M%SZ"))
}

fn model_record(model: &Model, suite: &Suite, selects: &dyn Fn(&str) -> bool) -> ModelRecord {
    let wanted = |prompt: &str| {
        Phase::ALL
            .iter()
            .any(|phase| selects(&replay::identifier(&model.name, &suite.name, *phase, prompt)))
    };
    let prompts = suite
        .prompts
        .iter()
        .filter(|prompt| wanted(&prompt.id))
        .map(|prompt| PromptRecord {
            id: prompt.id.clone(),
            name: prompt.name.clone(),
            input: Input::Text(prompt.prompt.clone()),
            prompt_tokens: None,
            warm_up: Vec::new(),
            samples: Vec::new(),
            rejected: Vec::new(),
            failures: Vec::new(),
            given_up: None,
        });
    ModelRecord {
        name: model.name.clone(),
        path: model.path.clone(),
        bytes: 0,
        sha256: String::new(),
        random_weights: model.random_weights,
        loaded: None,
        load_failure: None,
        prompts: prompts.collect(),
    }
}

fn record_all(options: &Options, record: &mut RunRecord, file: &mut RecordFile) -> Result<(), Stopped> {
    let each = record.parameters.warm_up + record.parameters.samples;
    let inferences = record.models.iter().map(|model| model.prompts.len() * each).sum();
    let mut progress = Progress::new(inferences);
    for index in 0..record.models.len() {
        let mut model = record.models[index].clone();
        match models::measure(&model.path) {
            Ok((bytes, sha256)) => (model.bytes, model.sha256) = (bytes, sha256),
            Err(error) => {
                record.models[index].load_failure = Some(Failure::refused(error));
                continue;
            }
        }
        let plan = plan_of(options, &record.parameters, &model);
        let mut engine: Box<dyn Engine> = if options.in_process {
            Box::new(InProcess::new())
        } else {
            Box::new(Worker::of_this_executable())
        };
        let mut observer = Saving {
            record,
            index,
            file,
            progress: &mut progress,
        };
        let outcome = recorder::record(&mut *engine, &plan, &mut model, &mut observer);
        record.models[index] = model;
        outcome?;
    }
    Ok(())
}

fn plan_of(options: &Options, parameters: &Parameters, model: &ModelRecord) -> Plan {
    let request = |prompt: &PromptRecord| Request {
        input: prompt.input.clone(),
        max_new_tokens: parameters.max_new_tokens,
        deadline: options.deadline(),
    };
    Plan {
        spec: LoadSpec {
            model_path: model.path.clone(),
            max_context: parameters.max_context,
            max_new_tokens: parameters.max_new_tokens,
            threads: parameters.threads,
            cpu_mask: parameters.cpu_mask,
            trust_sdk_version: options.trust_sdk_version.clone(),
            deadline: LOAD_DEADLINE,
        },
        requests: model.prompts.iter().map(request).collect(),
        warm_up: parameters.warm_up,
        samples: parameters.samples,
    }
}

/// Where the record goes. A failure to write is kept for the end: what is measured goes on being measured and shown.
struct RecordFile {
    path: PathBuf,
    trouble: Option<Error>,
}

impl RecordFile {
    fn save(&mut self, record: &RunRecord) {
        if let Err(error) = record.save(&self.path) {
            self.trouble.get_or_insert(error);
        }
    }
}

/// Saves the record after each inference, so that nothing measured is lost, and passes all on.
struct Saving<'a> {
    record: &'a mut RunRecord,
    index: usize,
    file: &'a mut RecordFile,
    progress: &'a mut Progress,
}

impl Observer for Saving<'_> {
    fn loaded(&mut self, model: &ModelRecord, loaded: &Loaded) {
        self.progress.loaded(model, loaded);
    }

    fn begins(&mut self, model: &ModelRecord, prompt: usize, round: Round) {
        self.progress.begins(model, prompt, round);
    }

    fn ended(&mut self, model: &ModelRecord, prompt: usize, outcome: Outcome<'_>) {
        self.progress.ended(model, prompt, outcome);
        self.record.models[self.index].clone_from(model);
        self.file.save(self.record);
    }
}

/// What criterion can replay: prompts with at least `fewest` samples.
fn replayable(record: &RunRecord, fewest: usize) -> RunRecord {
    let mut record = record.clone();
    for model in &mut record.models {
        model.prompts.retain(|prompt| prompt.samples.len() >= fewest);
    }
    record
}

/// Runs criterion's process on `record` and gives its exit code.
fn criterion(options: &Options, record: &RunRecord) -> Result<ExitCode> {
    let spoken =
        |what: &str, error: std::io::Error| Error::Worker(format!("criterion's process, {what}: {error}"));
    let dir = tempfile::tempdir().map_err(|error| spoken("no temporary folder", error))?;
    let path = dir.path().join("replay.json");
    record.save(&path)?;
    let status = Command::new("/proc/self/exe")
        .args(options.criterion_arguments())
        .env(REPLAY_VARIABLE, &path)
        .env("CRITERION_HOME", paths::criterion_home())
        .status()
        .map_err(|error| spoken("not started", error))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    })
}

/// Prints the figures. A reader that has left, as `head` does, is no error.
fn print_figures(record: &RunRecord, path: &Path, spent: TimeSpent) {
    let figures = terminal::figures(record);
    let report = paths::criterion_home().join("report/index.html");
    let text = format!(
        "\n{figures}record: {}\nreport: {}\n{spent}\n",
        path.display(),
        report.display()
    );
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Says on stderr what went wrong, each cause once, and counts it.
fn print_faults(record: &RunRecord) {
    for model in &record.models {
        if let Some(failure) = &model.load_failure {
            eprintln!("{}: {failure}", model.name);
        }
        for prompt in &model.prompts {
            for (cause, count) in causes(prompt) {
                eprintln!("{} {}: {count} x {cause}", model.name, prompt.id);
            }
            if let Some(why) = &prompt.given_up {
                eprintln!(
                    "{} {}: given up with {} samples ({MIN_SAMPLES} are needed for criterion): {why}",
                    model.name,
                    prompt.id,
                    prompt.samples.len()
                );
            }
        }
    }
    eprintln!("{}", record.faults());
}

/// The different causes of a prompt's faults, in the order they came first, with their counts.
fn causes(prompt: &PromptRecord) -> Vec<(String, usize)> {
    let mut causes: Vec<(String, usize)> = Vec::new();
    let failures = prompt.failures.iter().map(ToString::to_string);
    let rejections = prompt
        .rejected
        .iter()
        .map(|rejected| format!("rejected: {}", rejected.reason));
    for cause in failures.chain(rejections) {
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, count)) => *count += 1,
            None => causes.push((cause, 1)),
        }
    }
    causes
}
