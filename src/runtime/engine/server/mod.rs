//! A server over HTTP with the streaming API of `OpenAI`.
//!
//! The times include the network and everything that the server does around its runtime. Stamps are taken when a read
//! of the response's body returns. Chunks are parsed after that.

pub(crate) mod answer;
mod body;
mod complaint;
mod exchange;
mod http;
mod manage;
mod stray;
mod target;
mod waiting;
mod wire;

use std::time::Instant;

use self::body::Dialect;
use self::exchange::{
    MOST_BYTES_A_TOKEN, MOST_BYTES_BESIDE, Seen, answered_as, cold_tokens, now_ns, path_of, stream, trouble,
};
use self::http::{Client, Fault};
use self::waiting::{apart, tidied, wait};
use super::varied::varied;
use super::{Engine, Failure, FailureKind, LoadSpec, Loaded, Runtime};
use crate::base::error::Result as CrateResult;
use crate::base::foreign::{self, Shown as _};
use crate::base::signals;
use crate::inference::{Abilities, Api, Inference, Input, Request, ServerIdentity, is_same_model};

pub use self::http::{API_KEY, Address};
pub use self::manage::Models;
pub use self::target::Target;

/// New tokens of the requests that probe a server.
const PROBE_TOKENS: u32 = 4;

/// An engine that sends requests to a server.
#[derive(Debug)]
pub struct Server {
    client: Client,
    target: Target,
    model: Option<Model>,
    /// Which fields of requests the server accepts.
    dialect: Dialect,
    /// Whether the run has other clients at the same time.
    shared: bool,
    /// Number of requests so far.
    requests: usize,
}

#[derive(Debug)]
struct Model {
    name: String,
    /// The server's name of the model in answers, if it is different.
    answers_as: Option<String>,
    ignore_eos: bool,
    /// Whether each prompt must start differently, because the server reuses its cache.
    varies: bool,
    /// Whether this run loaded the model.
    is_ours: bool,
}

impl Server {
    /// An engine for the server in `target`. Sends nothing yet.
    ///
    /// # Errors
    /// [`Error::BadParameter`](crate::Error::BadParameter) when the key in [`API_KEY`] is not text.
    pub fn new(target: Target) -> CrateResult<Self> {
        Ok(Self {
            client: Client::new(target.address.clone())?,
            target,
            model: None,
            dialect: Dialect::default(),
            shared: false,
            requests: 0,
        })
    }

    /// Marks it as one of several clients of a run.
    #[must_use]
    pub const fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// The server's models.
    ///
    /// # Errors
    /// Why the server does not list them.
    pub fn models(&self) -> Result<Models, Failure> {
        let client = self.client.clone();
        apart(move || manage::models(&client))?
    }

    /// The command with which a user loads a model.
    pub fn load_command(&self, model: &str) -> String {
        manage::command(&self.client, model)
    }

    /// Asks the server to load the model, if the server can do that and the model is not loaded. Returns whether it
    /// did.
    fn load_if_absent(&self, name: &str, spec: &LoadSpec) -> Result<bool, Failure> {
        let client = self.client.clone();
        let Some(loaded) = apart(move || manage::loaded(&client))?? else {
            return Ok(false);
        };
        if loaded.iter().any(|loaded| is_same_model(loaded, name)) {
            return Ok(false);
        }
        if !self.target.manages_models {
            return Err(self.not_loaded(name, &loaded));
        }
        let (client, model, spec) = (self.client.clone(), name.to_owned(), spec.clone());
        apart(move || manage::load(&client, &model, &spec, &signals::is_stopped))??;
        Ok(true)
    }

    fn not_loaded(&self, name: &str, loaded: &[String]) -> Failure {
        let instead = match loaded {
            [] => "no model is".to_owned(),
            names => format!("{} is", foreign::list(names)),
        };
        Failure::refused(format!(
            "{} is not loaded on the server ({instead}): leave out --no-load, or load it with\n  {}",
            name.shown(),
            self.load_command(name)
        ))
    }

    /// Makes two small requests with the same text. After them the server is ready, the connection is open, and it is
    /// known whether the server computes a repeated prompt again.
    fn probe(&mut self, spec: &LoadSpec) -> Result<Option<String>, Failure> {
        let end = Instant::now() + spec.deadline;
        // No earlier run has left this text in the server's cache.
        let nonce = now_ns() % 1_000_000;
        let text = format!(
            "{nonce} is the number of this test. Count from one to ten, in words, and say nothing else."
        );
        let request = Request {
            deadline: spec.deadline,
            ..Request::new(Input::Text(text), PROBE_TOKENS)
        };
        let mut computed = Vec::new();
        let mut software = None;
        for _ in 0..2 {
            let seen = self.ask_until_ready(&request, end)?;
            let inference = &seen.inference;
            if let Some(why) = trouble(inference) {
                return Err(Failure::refused(format!("a first short request: {why}")));
            }
            self.refuse_another_model(inference)?;
            computed.push(cold_tokens(inference, &request.input));
            software = seen.software;
        }
        if let Some(model) = &mut self.model {
            model.varies = computed[0].is_none() || computed[0] != computed[1];
        }
        Ok(software)
    }

    /// Refuses an answer by another model. A server with one model answers with that model, whatever the request
    /// names. A server that lists the requested name may use another name in answers.
    fn refuse_another_model(&mut self, inference: &Inference) -> Result<(), Failure> {
        let asked = self
            .model
            .as_ref()
            .map(|model| model.name.clone())
            .unwrap_or_default();
        let Some(answered) = answered_as(inference).filter(|answered| !answered.eq_ignore_ascii_case(&asked))
        else {
            return Ok(());
        };
        let Models { available, loaded } = self.models().unwrap_or_default();
        let listed: Vec<String> = available.into_iter().chain(loaded.unwrap_or_default()).collect();
        let is_listed = |name: &str| listed.iter().any(|listed| listed.eq_ignore_ascii_case(name));
        // A longer name is the full name, unless the list has both.
        if is_same_model(&answered, &asked) && !(is_listed(&asked) && is_listed(&answered)) {
            return Ok(());
        }
        if is_listed(&asked) && !is_listed(&answered) {
            return self.take_name(answered);
        }
        let instead = if is_listed(&answered) || listed.is_empty() {
            // Advise this name only if the server accepts it.
            if !self.takes(&answered) {
                return self.take_name(answered);
            }
            format!("name that one with --model, as in --model {}", answered.shown())
        } else {
            format!("name one that it lists with --model: {}", foreign::list(&listed))
        };
        Err(Failure::refused(format!(
            "{} answered with the model {} instead of {}: {instead}",
            self.target.address,
            answered.shown(),
            asked.shown()
        )))
    }

    /// Accepts this name of the model in answers from now on.
    #[expect(clippy::unnecessary_wraps, reason = "callers return its result")]
    fn take_name(&mut self, answered: String) -> Result<(), Failure> {
        if let Some(model) = &mut self.model {
            model.answers_as = Some(answered);
        }
        Ok(())
    }

    /// Whether the server answers a request for this model name.
    fn takes(&mut self, name: &str) -> bool {
        let Some(model) = &mut self.model else {
            return false;
        };
        let asked = std::mem::replace(&mut model.name, name.to_owned());
        let request = Request {
            deadline: manage::PAGE,
            ..Request::new(Input::Text("Say one word.".into()), PROBE_TOKENS)
        };
        let outcome = self.ask(&request);
        if let Some(model) = &mut self.model {
            model.name = asked;
        }
        matches!(outcome, Ok(Ok(seen)) if trouble(&seen.inference).is_none())
    }

    /// Reports an answer by another model than after loading, because another client has loaded one.
    fn another_model(&self, inference: &Inference) -> Option<String> {
        let model = self.model.as_ref()?;
        let answered = answered_as(inference)?;
        let is_known = is_same_model(&answered, &model.name) || model.answers_as.as_ref() == Some(&answered);
        (!is_known).then(|| {
            format!(
                "the model {answered} answered instead of {}: another client may have loaded it meanwhile",
                model.name
            )
        })
    }

    /// Repeats a request while the server answers 503, which means that it is still loading.
    fn ask_until_ready(&mut self, request: &Request, end: Instant) -> Result<Seen, Failure> {
        loop {
            match self.ask(request)? {
                Err(Fault::Status(503, _)) if Instant::now() < end => wait(manage::LOOK)?,
                Err(fault) => return Err(self.failure(&fault)),
                Ok(seen) => return Ok(seen),
            }
        }
    }

    /// Makes one request. If the server refuses a field by name, repeats the request without it.
    fn ask(&mut self, request: &Request) -> Result<Result<Seen, Fault>, Failure> {
        let Some(model) = &self.model else {
            return Err(Failure {
                kind: FailureKind::Lost,
                ..Failure::refused("no model is loaded")
            });
        };
        let mut request = request.clone();
        if model.varies {
            request.input = varied(&request.input, self.requests);
        }
        self.requests += 1;
        let api = match request.input {
            Input::Text(_) => self.target.api,
            Input::Tokens(_) => Api::Completions,
        };
        loop {
            let body = self.dialect.body(api, &model.name, &request, model.ignore_eos);
            let client = self.client.clone();
            let most_bytes = MOST_BYTES_BESIDE + u64::from(request.max_new_tokens) * MOST_BYTES_A_TOKEN;
            let deadline = request.deadline;
            let outcome = tidied(move |answered| {
                stream(&client, path_of(api), &body, deadline, most_bytes, answered);
            })?;
            match outcome {
                Err(Fault::Status(status, words)) => {
                    let is_of_the_request = [200, 400, 422, 501].contains(&status);
                    if !is_of_the_request || !self.dialect.learn(&words) {
                        return Ok(Err(Fault::Status(status, words)));
                    }
                }
                Ok(mut seen) => {
                    if let Some(stream) = &mut seen.inference.stream {
                        stream.left_out = self.dialect.left_out();
                        stream.shared = self.shared;
                    }
                    return Ok(Ok(seen));
                }
                outcome => return Ok(outcome),
            }
        }
    }

    /// The failure for a refused request. If the model is not loaded, it has the command that loads it.
    fn failure(&self, fault: &Fault) -> Failure {
        let name = self
            .model
            .as_ref()
            .map(|model| model.name.as_str())
            .unwrap_or_default();
        if let Fault::Status(..) = fault {
            let Models { available, loaded } = self.models().unwrap_or_default();
            if let Some(loaded) =
                loaded.filter(|loaded| !loaded.iter().any(|loaded| is_same_model(loaded, name)))
            {
                let hint = self.not_loaded(name, &loaded);
                return Failure::refused(format!("{fault}; {hint}"));
            }
            if !available.is_empty() && !available.iter().any(|listed| is_same_model(listed, name)) {
                return Failure::refused(format!(
                    "{fault}; the server does not list {}: name one that it lists with --model: {}",
                    name.shown(),
                    foreign::list(&available)
                ));
            }
        }
        Failure::refused(fault)
    }
}

impl Engine for Server {
    fn load(&mut self, spec: &LoadSpec) -> Result<Loaded, Failure> {
        let start = Instant::now();
        let name = spec.model_path.to_string_lossy().into_owned();
        self.model = None;
        let is_ours = self.load_if_absent(&name, spec)?;
        self.model = Some(Model {
            name,
            answers_as: None,
            ignore_eos: spec.ignore_eos,
            varies: false,
            is_ours,
        });
        let software = match self.probe(spec) {
            Ok(software) => software,
            Err(failure) => {
                let _ = self.unload(); // report the first failure
                return Err(failure);
            }
        };
        let varies = self.model.as_ref().is_some_and(|model| model.varies);
        Ok(Loaded {
            load_ns: u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            npu_cores: None,
            toolkit: None,
            runtime: Runtime::Server(ServerIdentity {
                url: self.target.address.to_string(),
                software,
                api: self.target.api,
                is_local: self.target.address.is_local(),
                abilities: abilities(varies),
            }),
            peak_rss_bytes: None,
        })
    }

    fn infer(&mut self, request: &Request) -> Result<Inference, Failure> {
        if request.depth > 0 {
            return Err(Failure::refused(format!(
                "a depth of {}: the contents of a server's KV cache cannot be set; leave out --depth",
                request.depth
            )));
        }
        if !request.cache_start.is_cold() {
            return Err(Failure::refused(format!(
                "{}: the contents of a server's KV cache cannot be set, so only cold prompts can be measured: leave \
                 out this prompt",
                request.cache_start.name()
            )));
        }
        match self.ask(request)? {
            Ok(Seen { mut inference, .. }) => {
                inference.refusal = inference
                    .refusal
                    .take()
                    .or_else(|| self.another_model(&inference));
                Ok(inference)
            }
            Err(fault) => Err(self.failure(&fault)),
        }
    }

    /// Unloads the model if this run loaded it.
    fn unload(&mut self) -> Result<(), Failure> {
        let Some(model) = self.model.take().filter(|model| model.is_ours) else {
            return Ok(());
        };
        let client = self.client.clone();
        apart(move || manage::unload(&client, &model.name))?
    }
}

/// The known abilities of a server.
const fn abilities(varies: bool) -> Abilities {
    Abilities {
        perf: false,
        clear_kv_cache: !varies,
        kv_cache_size: false,
        chat_template: false,
        // Requests ask for it, but a server may ignore that.
        ignore_eos: false,
        keep_history: false,
        new_tokens_per_run: true,
        sampling_per_run: true,
        cpu_choice: false,
        embed_flash: false,
        prompt_cache: false,
    }
}
