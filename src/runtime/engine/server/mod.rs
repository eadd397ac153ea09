//! A server over HTTP, with the streaming API of `OpenAI`.
//!
//! What is measured here holds the network and all that the server does around its runtime. Stamps are taken when a read of the
//! response's body returns; what a chunk holds is looked at afterwards.

pub(crate) mod answer;
mod body;
mod complaint;
mod http;
mod manage;
mod stray;
mod wire;

use crate::base::number;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};

use self::body::Dialect;
use self::http::{Client, Fault};
use super::varied::varied;
use super::{Engine, Failure, FailureKind, LoadSpec, Loaded, Runtime};
use crate::base::error::Result as CrateResult;
use crate::base::foreign::{self, Shown as _};
use crate::base::signals;
use crate::inference::{
    Abilities, Api, Finish, Inference, Input, Request, ServerIdentity, Stream, is_same_model,
};

pub use self::http::{API_KEY, Address};
pub use self::manage::Models;

/// How often a wait looks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(20);
/// How long a connection may take to come free after an answer.
const TIDYING: Duration = Duration::from_millis(200);
/// Bytes of a stream for each new token, at most: a chunk with its log-probabilities has about a thousand.
const MOST_BYTES_A_TOKEN: u64 = 16 << 10;
/// Bytes of a stream beside those.
const MOST_BYTES_BESIDE: u64 = 1 << 20;
/// New tokens of the requests that find out what a server is like.
const PROBE_TOKENS: u32 = 4;

/// The page of the server that `api` means.
const fn path_of(api: Api) -> &'static str {
    match api {
        Api::Chat => "/v1/chat/completions",
        Api::Completions => "/v1/completions",
    }
}

/// Which server is to run the models, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub address: Address,
    /// Where text goes.
    pub api: Api,
    /// Whether models are loaded and unloaded, where the server can do that.
    pub manages_models: bool,
}

/// Runs models by a server.
#[derive(Debug)]
pub struct Server {
    client: Client,
    target: Target,
    model: Option<Model>,
    /// How it is to be asked.
    dialect: Dialect,
    /// Whether other clients of the run are served at the same time.
    shared: bool,
    /// Requests made.
    requests: usize,
}

#[derive(Debug)]
struct Model {
    name: String,
    /// What the server calls it in its answers, where that is another name.
    answers_as: Option<String>,
    ignore_eos: bool,
    /// Whether each prompt is to begin in another way.
    varies: bool,
    /// Whether it was loaded for this run.
    is_ours: bool,
}

/// An inference, and what the server calls itself.
struct Seen {
    inference: Inference,
    software: Option<String>,
}

impl Server {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::BadParameter`](crate::Error::BadParameter) when the key in [`API_KEY`] is no text.
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

    /// As one of several clients of a run.
    #[must_use]
    pub const fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// The server's models.
    ///
    /// # Errors
    /// Why the server does not tell.
    pub fn models(&self) -> Result<Models, Failure> {
        let client = self.client.clone();
        apart(move || manage::models(&client))?
    }

    /// What a user types to have a model loaded by hand.
    pub fn load_command(&self, model: &str) -> String {
        manage::command(&self.client, model)
    }

    /// Has the model loaded, where the server can be asked to and it is not; whether it was.
    fn have_loaded(&self, name: &str, spec: &LoadSpec) -> Result<bool, Failure> {
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
            "{} is not loaded on the server ({instead}): leave --no-load out, or load it with\n  {}",
            name.shown(),
            self.load_command(name)
        ))
    }

    /// Makes two small requests of the same text: the server is ready then, the connection open, and it is known whether the
    /// server computes a repeated prompt again.
    fn probe(&mut self, spec: &LoadSpec) -> Result<Option<String>, Failure> {
        let end = Instant::now() + spec.deadline;
        // No run before this one has left these words in the server's cache.
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

    /// A server with one model answers with that, whatever is asked for. One that lists the wanted name may have another for it.
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
        // A longer name is the whole one, unless the list has both.
        if is_same_model(&answered, &asked) && !(is_listed(&asked) && is_listed(&answered)) {
            return Ok(());
        }
        if is_listed(&asked) && !is_listed(&answered) {
            return self.take_name(answered);
        }
        let instead = if is_listed(&answered) || listed.is_empty() {
            // The name is good advice only where the server takes it.
            if !self.takes(&answered) {
                return self.take_name(answered);
            }
            format!("name that one with --model, as in --model {}", answered.shown())
        } else {
            format!("name one that it lists with --model: {}", foreign::list(&listed))
        };
        Err(Failure::refused(format!(
            "{} answered by the model {} where {} was asked for: {instead}",
            self.target.address,
            answered.shown(),
            asked.shown()
        )))
    }

    /// From now on this is the model's name in answers.
    #[expect(clippy::unnecessary_wraps, reason = "the end of what may be refused")]
    fn take_name(&mut self, answered: String) -> Result<(), Failure> {
        if let Some(model) = &mut self.model {
            model.answers_as = Some(answered);
        }
        Ok(())
    }

    /// Whether the server answers a request for a model of this name.
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

    /// An answer by another model than the load's first ones: somebody else has had it loaded.
    fn another_model(&self, inference: &Inference) -> Option<String> {
        let model = self.model.as_ref()?;
        let answered = answered_as(inference)?;
        let is_known = is_same_model(&answered, &model.name) || model.answers_as.as_ref() == Some(&answered);
        (!is_known).then(|| {
            format!(
                "the model {answered} answered where {} was asked for: another client may have had it loaded meanwhile",
                model.name
            )
        })
    }

    /// A server that is still loading says 503.
    fn ask_until_ready(&mut self, request: &Request, end: Instant) -> Result<Seen, Failure> {
        loop {
            match self.ask(request)? {
                Err(Fault::Status(503, _)) if Instant::now() < end => wait(manage::LOOK)?,
                Err(fault) => return Err(self.failure(&fault)),
                Ok(seen) => return Ok(seen),
            }
        }
    }

    /// One request. A field that the server refuses by its name is left out, and asked again without.
    fn ask(&mut self, request: &Request) -> Result<Result<Seen, Fault>, Failure> {
        let Some(model) = &self.model else {
            return Err(Failure {
                kind: FailureKind::Lost,
                ..Failure::refused("no model is chosen")
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

    /// A refused request, with what loads the model where that is the matter.
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
        let is_ours = self.have_loaded(&name, spec)?;
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
                let _ = self.unload(); // the first failure is the one to tell of
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
                "a depth of {}: a server cannot be told what its KV cache is to hold; leave --depth out",
                request.depth
            )));
        }
        if !request.cache_start.is_cold() {
            return Err(Failure::refused(format!(
                "{}: a server cannot be told what its KV cache is to hold, so only cold prompts can be measured: leave this \
                 one out",
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

    /// A model that was loaded before the run stays.
    fn unload(&mut self) -> Result<(), Failure> {
        let Some(model) = self.model.take().filter(|model| model.is_ours) else {
            return Ok(());
        };
        let client = self.client.clone();
        apart(move || manage::unload(&client, &model.name))?
    }
}

/// What a server can be told, as far as that is known.
const fn abilities(varies: bool) -> Abilities {
    Abilities {
        perf: false,
        clear_kv_cache: !varies,
        kv_cache_size: false,
        chat_template: false,
        // It is asked to, but need not know how.
        ignore_eos: false,
        keep_history: false,
        new_tokens_per_run: true,
        sampling_per_run: true,
        cpu_choice: false,
        embed_flash: false,
        prompt_cache: false,
    }
}

/// The model that a server says it answered with.
fn answered_as(inference: &Inference) -> Option<String> {
    inference.stream.as_ref()?.model.clone()
}

/// Why an answer is none.
fn trouble(inference: &Inference) -> Option<String> {
    if inference.aborted {
        return Some("no answer in the time that loading may take (--load-timeout)".into());
    }
    inference.refusal.clone().or_else(|| {
        let fields = inference
            .stream
            .as_ref()
            .and_then(|stream| stream.unread.as_ref());
        let unread =
            fields.map(|unread| format!(" in a field that is read, but {}", unread.fields.join(", ")));
        inference
            .tokens
            .is_empty()
            .then(|| format!("its answer held no text{}", unread.unwrap_or_default()))
    })
}

/// Tokens of the prompt, where the server tells that it computed all of them.
fn cold_tokens(inference: &Inference, input: &Input) -> Option<u32> {
    let prompt = inference.reported_prompt_tokens(input)?;
    let cached = inference
        .stream
        .as_ref()?
        .usage
        .and_then(|usage| usage.cached_tokens);
    let stats = inference.stats.filter(|stats| !stats.are_zero());
    let is_cold = match (stats, cached) {
        (_, Some(cached)) if cached > 0 => false,
        (Some(stats), _) => u32::try_from(stats.prefill_tokens).is_ok_and(|computed| computed >= prompt),
        (None, cached) => cached.is_some(),
    };
    is_cold.then_some(prompt)
}

/// One request and its answer, given to `answered` as soon as it is there. Reads on to the body's end, which frees the connection
/// for the next request.
fn stream(
    client: &Client,
    path: &str,
    body: &Map<String, Value>,
    deadline: Duration,
    most_bytes: u64,
    answered: impl FnOnce(Result<Seen, Fault>),
) {
    let mut call_ns = now_ns();
    let mut response = client.stream(path, body, deadline);
    if let Err(Fault::Closed(_)) = response {
        call_ns = now_ns();
        response = client.stream(path, body, deadline);
    }
    let response = match response {
        Ok(response) => response,
        Err(Fault::TimedOut) => {
            return answered(Ok(Seen {
                inference: timed_out(call_ns),
                software: None,
            }));
        }
        Err(fault) => return answered(Err(fault)),
    };
    let response_ns = now_ns();
    let software = response.headers().get("server");
    let software = software.map(|name| crate::base::json::clip(&String::from_utf8_lossy(name.as_bytes())));
    let mut body = response.into_body().into_reader();
    let answer = answer::read(&mut body, most_bytes, now_ns);
    let is_whole = answer.finish == Finish::Finished;
    answered(Ok(Seen {
        inference: inference_of(call_ns, response_ns, answer),
        software,
    }));
    if is_whole {
        // Whatever it is: the next request then has a connection of its own.
        let _ = std::io::copy(
            &mut std::io::Read::take(body, MOST_BYTES_BESIDE),
            &mut std::io::sink(),
        );
    }
}

/// More memory than any board or server has, bytes: a server that tells more tells something else.
const MOST_MEMORY_BYTES: u64 = 1 << 50;

fn inference_of(call_ns: u64, response_ns: u64, answer: answer::Answer) -> Inference {
    // The runtime tells megabytes of 10^6 or 2^20, which is unconfirmed: rounded, they differ by 5 %.
    let memory = answer.stats.map(|stats| f64::from(stats.memory_usage_mb) * 1e6);
    let peak_rss_bytes = memory
        .and_then(number::whole)
        .filter(|bytes| (1..=MOST_MEMORY_BYTES).contains(bytes));
    Inference {
        call_ns,
        return_ns: answer.end_ns,
        tokens: answer.tokens,
        overflow: 0,
        text: answer.text,
        finish: answer.finish,
        aborted: answer.timed_out,
        refusal: answer.complaint,
        stats: answer.stats,
        set_up: None,
        kv_cache_before: None,
        kv_cache_after: None,
        late_callbacks: 0,
        split_characters: 0,
        other_thread: 0,
        peak_rss_bytes,
        stream: Some(Stream {
            response_ns,
            usage: answer.usage,
            finish_reason: answer.finish_reason,
            model: answer.model,
            pieces: answer.pieces,
            unread: answer.unread,
            ..Stream::default()
        }),
    }
}

/// A request to which no response came in its time.
fn timed_out(call_ns: u64) -> Inference {
    let end_ns = now_ns();
    let nothing = answer::Answer {
        timed_out: true,
        end_ns,
        ..answer::Answer::default()
    };
    inference_of(call_ns, end_ns, nothing)
}

/// `CLOCK_MONOTONIC`, the clock of every other stamp.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Waits, unless the user asks to stop.
fn wait(time: Duration) -> Result<(), Failure> {
    if signals::is_stopped() {
        return Err(Failure::stopped());
    }
    std::thread::sleep(time);
    Ok(())
}

/// Does what blocks in a thread of its own, so that the user can stop the run meanwhile. The thread then ends by its deadline.
fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    received(&started(move |give| give(work()))?)
}

/// As [`apart`], but what is given is only the first half of the work: the rest is waited for, for a moment.
fn tidied<T: Send + 'static>(work: impl FnOnce(Box<dyn FnOnce(T)>) + Send + 'static) -> Result<T, Failure> {
    let results = started(work)?;
    let outcome = received(&results)?;
    // Nothing more is sent: the sender's end is what is waited for.
    let _ = results.recv_timeout(TIDYING);
    Ok(outcome)
}

fn started<T: Send + 'static>(
    work: impl FnOnce(Box<dyn FnOnce(T)>) + Send + 'static,
) -> Result<Receiver<T>, Failure> {
    let (sender, results) = channel();
    std::thread::Builder::new()
        .name("request".into())
        .spawn(move || {
            let ended = sender.clone();
            work(Box::new(move |result| {
                let _ = sender.send(result); // nobody may wait for it any more
            }));
            drop(ended);
        })
        .map_err(|error| Failure::refused(format!("no thread for a request: {error}")))?;
    Ok(results)
}

/// Without a deadline of its own: each request has one, connecting and reading included, and the thread ends by it.
fn received<T>(results: &Receiver<T>) -> Result<T, Failure> {
    loop {
        match results.recv_timeout(TICK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) if signals::is_stopped() => {
                return Err(Failure::stopped());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::refused("the thread of a request ended without a result"));
            }
        }
    }
}
