//! A run of one suite on several models, set up by a bench target or by your own program.

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::base::IS_HOST;
use crate::base::error::{Error, Result};
use crate::base::paths;
use crate::inference::Abilities;
use crate::inference::Request;
use crate::inference::{Failure, LoadSpec};
use crate::inputs::models::{self, Identity, Model};
use crate::inputs::prompts::{OF_SERVER, Prompt, Suite};
use crate::machine::board::{self, Board};
use crate::machine::doctor::{self, Item, ModelFacts, RuntimeFacts};
use crate::machine::sampler::{Sampler, Witness};
use crate::measure::closed_loop;
use crate::measure::recorder::{self, Observer, Plan, Stopped};
use crate::record::phase;
use crate::record::phase::MIN_SAMPLES;
use crate::record::{
    self, Git, ModelRecord, Parameters, PromptRecord, Purpose, RunRecord, SCHEMA_VERSION, ServerParameters,
    Status, SuiteRecord,
};
use crate::runtime::engine::server::{Server, Target};
use crate::runtime::engine::{Engine, Identified, InProcess, Worker};

/// New tokens of each inference unless the prompt or the suite sets them.
const DEFAULT_NEW_TOKENS: u32 = 64;
/// Limit of new tokens for suites whose answers end at an end token.
const DEFAULT_MOST_NEW_TOKENS: u32 = 1024;

/// A run of one suite on several models.
#[derive(Debug, Clone)]
pub struct Run {
    /// The prompts.
    pub suite: Suite,
    /// The models, in this order.
    pub models: Vec<Model>,
    /// The settings.
    pub parameters: Parameters,
    /// Version of an SDK library whose file has none.
    pub trust_sdk_version: Option<String>,
    /// Program of the worker process, unless `parameters.in_process` is set. Its `main` must start with
    /// [`serve_if_worker`](crate::runtime::engine::serve_if_worker).
    pub worker: PathBuf,
    /// A server that runs the models instead; see [`Run::of_server`].
    pub server: Option<Target>,
    /// The user's name for it, one line of at most 100 characters.
    pub label: Option<String>,
    /// Folder of the package whose commit is recorded; absent: none.
    pub package: Option<PathBuf>,
}

impl Run {
    /// A run with the default parameters. It runs in this process, because only a program that calls
    /// `serve_if_worker` can be a worker.
    pub fn new(suite: Suite, models: Vec<Model>) -> Self {
        Self {
            suite,
            models,
            parameters: Parameters {
                max_context: 4096,
                threads: default_threads(),
                cpu_mask: None,
                npu_cores: None,
                embed_flash: None,
                base_domain_id: None,
                settle_s: None,
                timeout_s: 300,
                load_timeout_s: 1800,
                samples: MIN_SAMPLES,
                warm_up: 1,
                in_process: true,
                strict: false,
                server: None,
            },
            trust_sdk_version: None,
            worker: paths::RUNNING.into(),
            server: None,
            label: None,
            package: None,
        }
    }

    /// The same suite on models of a server. With `concurrency`, this number of clients send requests, each one at a
    /// time. The name of the suite, and with it each identifier, shows both.
    #[must_use]
    pub fn of_server(mut self, target: Target, concurrency: Option<u16>) -> Self {
        let clients = concurrency.map_or_else(String::new, |clients| format!("-c{clients}"));
        self.suite.name = format!("{OF_SERVER}{}{clients}", self.suite.name);
        self.parameters.server = Some(ServerParameters {
            url: target.address.to_string(),
            api: target.api,
            manages_models: target.manages_models,
            concurrency,
        });
        // The server decides these.
        self.parameters.threads = None;
        self.parameters.in_process = false;
        self.server = Some(target);
        self
    }

    /// Takes all samples and returns the record, which includes failures: see [`RunRecord::faults`].
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a prompt that does not fit into the context, and for an invalid label.
    pub fn record(&self) -> Result<RunRecord> {
        struct Silent;
        impl Observer for Silent {}
        let mut record = self.begin(&|_| true)?;
        let outcome = self.take(&mut record, &mut Silent);
        record.end(outcome.is_err());
        Ok(record)
    }

    /// The record before its first inference, with the benchmarks whose identifiers `selects` accepts.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a prompt that does not fit into the context, and for more CPUs than the process has.
    /// [`Error::Model`] for models with the same name, or with a path that a record cannot hold.
    pub(crate) fn begin(&self, selects: &dyn Fn(&str) -> bool) -> Result<RunRecord> {
        if let Err((name, what)) = record::check_parameters(&self.parameters) {
            return Err(Error::BadParameter(format!("{name}: {what}")));
        }
        if let Some(Err(what)) = self.label.as_deref().map(record::check_label) {
            return Err(Error::BadParameter(format!("label: {what}")));
        }
        self.check()?;
        let mut models = Vec::new();
        for model in &self.models {
            let record = self.model_record(model, selects)?;
            if !record.prompts.is_empty() {
                models.push(record);
            }
        }
        let mut record = RunRecord {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: run_id(&subject(&models, &self.suite.name)),
            started_at: jiff::Timestamp::now().to_string(),
            status: Status::Running,
            label: self.label.clone(),
            git: self.package.as_deref().and_then(Git::of_work_tree),
            purpose: Purpose::Measure,
            filter: None,
            suite: SuiteRecord {
                name: self.suite.name.clone(),
                sha256: self.suite.sha256.clone(),
                ignore_eos: self.suite.ignore_eos,
                sweep: self.suite.sweep,
            },
            parameters: self.parameters.clone(),
            board: Board::read(),
            doctor: Vec::new(),
            sampler: None,
            models,
        };
        self.examine(&mut record);
        Ok(record)
    }

    /// Refuses settings whose faults would show only after the run, or never.
    fn check(&self) -> Result<()> {
        if models::distinct(self.models.clone())?.len() < self.models.len() {
            return Err(Error::Model("one of the models is given twice".into()));
        }
        for model in &self.models {
            paths::check_utf8("the model's path", model.path.as_os_str())?;
        }
        if IS_HOST && self.server.is_none() {
            check_cpus(self.parameters.threads, self.parameters.cpu_mask)?;
        }
        Ok(())
    }

    /// Takes the samples of each model in `record`.
    ///
    /// # Errors
    /// [`Stopped`] if the user or the observer asked for it, or if a model changed.
    pub(crate) fn take(&self, record: &mut RunRecord, observer: &mut dyn Observer) -> Result<(), Stopped> {
        // The machine of a remote server cannot be watched, and this machine does not matter to it.
        let mut sampler = self
            .is_here()
            .then(|| Sampler::start(&record.board, self.parameters.cpu_mask));
        for index in 0..record.models.len() {
            if index > 0 {
                observer.next_model()?;
            }
            let model = &mut record.models[index];
            let mut identity = None;
            if self.server.is_none() {
                match Identity::of(&model.path) {
                    Ok(read) => {
                        (model.bytes, model.sha256) = (read.bytes, read.sha256.clone());
                        identity = Some(read);
                    }
                    Err(error) => {
                        model.load_failure = Some(Failure::refused(error));
                        continue;
                    }
                }
            }
            let plan = self.plan(model);
            let clients = self
                .parameters
                .server
                .as_ref()
                .and_then(|server| server.concurrency);
            let taken = match (clients, self.engine()) {
                (_, Err(failure)) => {
                    model.load_failure = Some(failure);
                    continue;
                }
                (Some(clients), Ok(_)) => {
                    closed_loop::record(clients, &|| self.engine(), &plan, record, index, observer)
                }
                (None, Ok(engine)) => {
                    let mut engine = match &mut identity {
                        Some(identity) => Box::new(Identified::new(engine, identity)),
                        None => engine,
                    };
                    let witness: &mut dyn Witness = match &mut sampler {
                        Some(sampler) => sampler,
                        None => &mut (),
                    };
                    recorder::record(&mut *engine, &plan, record, index, witness, observer)
                }
            };
            record.sampler = sampler.as_ref().map(Sampler::record);
            self.examine(record);
            // The model's file may have changed since the last load.
            if let Some(Err(what)) = identity.as_mut().map(Identity::check) {
                record.models[index].changed.get_or_insert(what);
            }
            taken?;
            if record.models[index].changed.is_some() {
                return Err(Stopped);
            }
        }
        Ok(())
    }

    /// Whether the models run on this machine.
    pub(crate) fn is_here(&self) -> bool {
        self.server
            .as_ref()
            .is_none_or(|target| target.address.is_local())
    }

    /// Examines the machine of `record` with the known facts about the models, of which there are more after loading.
    fn examine(&self, record: &mut RunRecord) {
        if self.is_here() {
            record.doctor = examined(record, IS_HOST);
        }
    }

    fn engine(&self) -> std::result::Result<Box<dyn Engine>, Failure> {
        Ok(match &self.server {
            Some(target) => {
                let of_run = self.parameters.server.as_ref();
                let clients = of_run.and_then(|server| server.concurrency).unwrap_or(1);
                let server = Server::new(target.clone()).map_err(Failure::refused)?;
                Box::new(server.shared(clients > 1))
            }
            None if self.parameters.in_process => Box::new(InProcess::new()),
            None => Box::new(Worker::of_executable(&self.worker)),
        })
    }

    /// The plan to load one model of a record and run its prompts.
    pub(crate) fn plan(&self, model: &ModelRecord) -> Plan {
        let request = |prompt: &PromptRecord| Request {
            input: prompt.input.clone(),
            max_new_tokens: prompt.max_new_tokens,
            sampling: prompt.sampling,
            depth: prompt.depth,
            cache_start: prompt.cache_start.clone(),
            deadline: Duration::from_secs(self.parameters.timeout_s),
        };
        Plan {
            // The recorder sets length and sampling from the requests.
            spec: LoadSpec {
                max_context: self.parameters.max_context,
                ignore_eos: self.suite.ignore_eos,
                threads: self.parameters.threads,
                cpu_mask: self.parameters.cpu_mask,
                npu_cores: self.parameters.npu_cores,
                embed_flash: self.parameters.embed_flash,
                base_domain_id: self.parameters.base_domain_id,
                trust_sdk_version: self.trust_sdk_version.clone(),
                deadline: Duration::from_secs(self.parameters.load_timeout_s),
                ..LoadSpec::new(&model.path)
            },
            requests: model.prompts.iter().map(request).collect(),
            warm_up: self.parameters.warm_up,
            samples: self.parameters.samples,
            strict: self.parameters.strict,
        }
    }

    fn model_record(&self, model: &Model, selects: &dyn Fn(&str) -> bool) -> Result<ModelRecord> {
        let phases = phase::planned_phases(&self.parameters, Abilities::of_header());
        let wanted = |prompt: &&Prompt| {
            phases.iter().any(|phase| {
                selects(&phase::identifier(
                    &model.name,
                    &self.suite.name,
                    *phase,
                    &prompt.id,
                ))
            })
        };
        let prompts = self.suite.prompts.iter().filter(wanted);
        Ok(ModelRecord {
            name: model.name.clone(),
            path: model.path.clone(),
            bytes: 0,
            sha256: String::new(),
            random_weights: model.random_weights,
            loaded: None,
            load_failure: None,
            unload_failure: None,
            changed: None,
            warnings: Vec::new(),
            prompts: prompts
                .map(|prompt| self.prompt_record(prompt))
                .collect::<Result<_>>()?,
        })
    }

    fn prompt_record(&self, prompt: &Prompt) -> Result<PromptRecord> {
        let max_new_tokens = prompt.max_new_tokens.unwrap_or(if self.suite.ignore_eos {
            DEFAULT_NEW_TOKENS
        } else {
            DEFAULT_MOST_NEW_TOKENS
        });
        // The length of a text is known only after its first run. It has at least one token.
        let prompt_tokens = prompt.input.token_count();
        let prefix = prompt.cache_start.prefix();
        let in_cache = prefix.and_then(|(prefix, _)| prefix.token_count()).unwrap_or(0);
        let least =
            u64::from(prompt.depth) + u64::from(prompt_tokens.unwrap_or(1)) + u64::from(max_new_tokens);
        if least > u64::from(self.parameters.max_context) {
            return Err(Error::BadParameter(format!(
                "prompt {}: a context of {} tokens has no room for {}{} and {max_new_tokens} new tokens: increase \
                 --max-context, or reduce the number of new tokens",
                prompt.id,
                self.parameters.max_context,
                if prompt.depth > 0 {
                    format!("a depth of {}, ", prompt.depth)
                } else {
                    String::new()
                },
                prompt_tokens.map_or_else(
                    || "a prompt".to_owned(),
                    |tokens| format!("a prompt of {tokens} tokens")
                ),
            )));
        }
        Ok(PromptRecord {
            id: prompt.id.clone(),
            name: prompt.name.clone(),
            input: prompt.input.clone(),
            max_new_tokens,
            sampling: prompt.sampling,
            depth: prompt.depth,
            cache_start: prompt.cache_start.clone(),
            checks: prompt.checks.clone(),
            // With a depth, prefill may compute one token more; the first run shows the number.
            prompt_tokens: prompt_tokens
                .filter(|_| prompt.depth == 0)
                .map(|tokens| tokens - in_cache),
            warm_up: Vec::new(),
            samples: Vec::new(),
            rejected: Vec::new(),
            failures: Vec::new(),
            given_up: None,
        })
    }
}

/// The doctor's findings for a run. The runtime computes on the CPU if `is_host`, otherwise on an NPU.
fn examined(record: &RunRecord, is_host: bool) -> Vec<Item> {
    let runtime = RuntimeFacts {
        is_host,
        cpu_mask: record.parameters.cpu_mask,
    };
    let models: Vec<ModelFacts> = record.models.iter().map(facts_of_model).collect();
    let mut board = record.board.clone();
    // The runtime may know the version of the driver, which otherwise only root can read.
    let mut reported = record.models.iter().filter_map(driver_of_model);
    board.npu.driver = board.npu.driver.or_else(|| reported.next());
    doctor::examine(&board, &models, runtime)
}

/// The facts about a model from its runtime, or from its file's name.
fn facts_of_model(model: &ModelRecord) -> ModelFacts {
    let named = ModelFacts::of_file(&model.name, &model.path);
    let loaded = model.loaded.as_ref().and_then(|loaded| loaded.npu_cores);
    ModelFacts {
        npu_cores: loaded.or(named.npu_cores),
        ..named
    }
}

fn driver_of_model(model: &ModelRecord) -> Option<String> {
    let line = model.loaded.as_ref()?.runtime.version_line()?;
    line.driver.clone()
}

/// Default number of CPU threads of the runtime. On the host, one core stays free: with a thread on every core, one
/// busy process made decode 4 to 36 times slower (measured on two cores).
pub(crate) fn default_threads() -> Option<u8> {
    let threads = u8::try_from(board::cores().saturating_sub(1)).unwrap_or(127);
    IS_HOST.then_some(threads.clamp(1, 127))
}

/// Refuses threads and CPUs that the process does not have. The host runtime would use fewer, and the record would be
/// wrong.
fn check_cpus(threads: Option<u8>, mask: Option<u32>) -> Result<()> {
    let threads = u32::from(threads.unwrap_or(1));
    if let Some(mask) = mask {
        let allowed = board::allowed_cpus().unwrap_or(mask);
        if mask & !allowed != 0 {
            return Err(Error::BadParameter(format!(
                "--cpu-mask {mask:#x} names CPUs that this process may not use; it may use {allowed:#x}"
            )));
        }
        if threads > mask.count_ones() {
            return Err(Error::BadParameter(format!(
                "--threads {threads}: more than the CPUs of --cpu-mask {mask:#x}, which are {}",
                mask.count_ones()
            )));
        }
    }
    let cores = board::cores();
    if usize::try_from(threads).is_ok_and(|threads| threads > cores) {
        return Err(Error::BadParameter(format!(
            "{threads} threads: this process may use {cores} cores"
        )));
    }
    Ok(())
}

/// The part of a run's name that describes it: its models and its suite.
fn subject(models: &[ModelRecord], suite: &str) -> String {
    let models = match models {
        [] => String::new(),
        [only] => paths::name_part(&only.name) + "-",
        [first, rest @ ..] => format!("{}+{}-", paths::name_part(&first.name), rest.len()),
    };
    models + &paths::name_part(suite)
}

/// A unique name of a run: the time in UTC, its subject, a nonce.
pub(crate) fn run_id(subject: &str) -> String {
    let now = jiff::Timestamp::now();
    let seed = format!("{} {}", now.as_nanosecond(), std::process::id());
    let digest = Sha256::digest(seed.as_bytes());
    let nonce = hex::encode(&digest[..3]);
    format!("{}-{subject}-{nonce}", now.strftime("%Y%m%dT%H%M%SZ"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::VersionLine;
    use crate::machine::board::fake::Fake;
    use crate::machine::doctor::Verdict;
    use crate::record::fixtures;
    use crate::runtime::engine::scripted;

    /// The findings that are bad or unknown.
    fn faults(record: &RunRecord) -> Vec<String> {
        let items = examined(record, false).into_iter();
        items
            .filter(|item| matches!(item.verdict, Verdict::Bad | Verdict::Unknown))
            .map(|item| item.found)
            .collect()
    }

    #[test]
    fn what_a_record_could_not_hold_or_tell_apart_is_refused_first() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;

        let model = |name: &str, path: &OsStr| Model {
            name: name.into(),
            path: path.into(),
            random_weights: false,
        };
        let suite = Suite::find("quick", "".as_ref()).expect("built in");
        let refusal = |models: Vec<Model>| {
            let run = Run::new(suite.clone(), models);
            run.begin(&|_| true).expect_err("refused").to_string()
        };
        let (one, other) = (OsStr::new("a b.gguf"), OsStr::new("a-b.gguf"));
        let text = refusal(vec![model("a-b", one), model("a-b", other)]);
        assert!(text.contains("a b.gguf and a-b.gguf"), "{text}");
        let text = refusal(vec![model("a", one), model("a", one)]);
        assert!(text.contains("twice"), "{text}");
        let text = refusal(vec![model("m", OsStr::from_bytes(b"m\xff.gguf"))]);
        assert!(
            text.contains("m\u{fffd}.gguf") && text.contains("UTF-8"),
            "{text}"
        );
    }

    #[test]
    fn cpus_that_are_not_there_are_refused() {
        let text = |threads, mask| check_cpus(threads, mask).err().map(|error| error.to_string());
        assert_eq!(text(Some(1), None), None);
        assert_eq!(text(None, board::allowed_cpus()), None);
        assert!(text(Some(127), None).expect("refused").contains("127 threads"));
        let none_of_ours = board::allowed_cpus().map(|allowed| !allowed);
        assert!(text(None, none_of_ours).expect("refused").contains("may not use"));
        let one = board::allowed_cpus().map(|allowed| 1 << allowed.trailing_zeros());
        assert!(
            text(Some(2), one)
                .expect("refused")
                .contains("more than the CPUs")
        );
    }

    #[test]
    fn a_run_is_named_by_its_models_and_its_suite() {
        let models = |names: &[&str]| {
            let model = |name: &&str| fixtures::model(name);
            names.iter().map(model).collect::<Vec<_>>()
        };
        for (names, expected) in [
            (&["m"][..], "m-quick"),
            (&["a", "b", "c"], "a+2-quick"),
            (&["org/model:tag"], "org-model-tag-cbf3088b73e4-quick"),
            (&[], "quick"),
        ] {
            assert_eq!(subject(&models(names), "quick"), expected);
        }
        let id = run_id(&subject(&models(&[&"m".repeat(300)]), &"s".repeat(300)));
        assert!(id.len() < 200, "{id}");
        assert_ne!(run_id("m-quick"), run_id("m-quick"));
    }

    #[test]
    fn what_loading_told_of_model_and_driver_is_judged() {
        let mut fake = Fake::rk3588();
        fake.remove("sys/kernel/debug");
        let mut record = RunRecord {
            board: Board::read_below(fake.written().path()),
            ..fixtures::complete("one")
        };
        let of_loaded = |record: &mut RunRecord, npu_cores, driver: Option<&str>| {
            let loaded = record.models[0].loaded.as_mut().expect("loaded");
            loaded.npu_cores = npu_cores;
            scripted::library(loaded).version_line = Some(VersionLine {
                runtime: "1.3.0".into(),
                driver: driver.map(str::to_owned),
                platform: Some("RK3588".into()),
            });
            faults(record)
        };
        assert_eq!(of_loaded(&mut record, None, None), ["driver version unknown"]);
        assert_eq!(of_loaded(&mut record, Some(3), Some("0.9.8")), [""; 0]);
        assert_eq!(
            of_loaded(&mut record, Some(1), Some("0.9.6")),
            ["driver 0.9.6", "m is for 1 of 3 NPU cores"]
        );
        // The file's name counts only if the runtime reports nothing.
        record.models[0].path = "m-3core.rkllm".into();
        assert_eq!(of_loaded(&mut record, None, Some("0.9.8")), [""; 0]);
        assert_eq!(
            of_loaded(&mut record, Some(2), Some("0.9.8")),
            ["m is for 2 of 3 NPU cores"]
        );
    }
}
