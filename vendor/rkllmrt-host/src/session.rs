//! One loaded model at work: the KV cache, the conversation, runs.

mod outputs;
mod saved;

use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::adapters::Adapters;
use crate::callbacks::Callbacks;
use crate::cpu::Unpin;
use crate::delivery::{Delivery, Reply};
use crate::generation::{Generation, Tally};
use crate::identity::Identity;
use crate::input::{Mode, Prompt, Request};
use crate::llama::{ComputeError, Context, Entries, Model, NotLoaded, ThreadPool, Token, warnings_of};
use crate::log;
use crate::params::Settings;
use crate::prompt_cache::Draft;
use crate::rows::{Rows, is_row};
use crate::sampler::Sampler;
#[cfg(feature = "slowdown")]
use crate::slowdown::Slowdown;
use crate::template::{Template, Tokenizer};
use crate::text::TextDecoder;
use crate::tools::Tools;

/// Why a run stopped short of an answer.
enum Stop {
    Aborted,
    /// Before anything was computed.
    Refused(String),
    Failed(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl From<ComputeError> for Stop {
    fn from(error: ComputeError) -> Self {
        match error {
            ComputeError::Aborted => Self::Aborted,
            ComputeError::Failed(message) => Self::Failed(message),
        }
    }
}

/// How a reply came to rest.
enum Rest {
    Finished,
    Paused,
}

#[derive(Debug)]
pub(crate) struct Session {
    context: Context,
    settings: Settings,
    callbacks: Callbacks,
    template: Template,
    adapters: Adapters,
    /// The place of the adapter that is in use; what the KV cache holds was computed with it.
    adapter: Option<usize>,
    abort: Arc<AtomicBool>,
    /// The tokens whose positions the KV cache holds, in order; embeddings by the ids that `rows` gave them.
    cache: Vec<Token>,
    rows: Rows,
    saved: Option<saved::Saved>,
    /// Of the model's file, once something had to know.
    model_identity: Option<Identity>,
    /// The turns that stay in the context. Its last token is not in the cache: it ended a reply and was never
    /// computed.
    history: Vec<Token>,
    /// The logits behind the last prompt, so that a repeated one needs nothing computed.
    prompt_logits: Vec<f32>,
    /// The length of that prompt; 0: none, or it has left the cache.
    prompt_logits_at: usize,
    paused: Option<Generation>,
    #[cfg(feature = "slowdown")]
    slowdown: Slowdown,
}

impl Session {
    /// Loads the model. The file has been looked at and the CPU checked.
    pub(crate) fn open(
        settings: Settings,
        callbacks: Callbacks,
        abort: Arc<AtomicBool>,
    ) -> Result<Self, String> {
        #[cfg(feature = "slowdown")]
        let slowdown = Slowdown::of_environment()?;
        let path = settings.model_path.to_string_lossy().into_owned();
        log::info(format_args!("loading the model {path}"));
        let (model, warnings) = warnings_of(|| Model::load(&settings.model_path));
        let model = model.map_err(|error| match error {
            NotLoaded::Unfit(reason) => format!("cannot use {path}: {reason}"),
            NotLoaded::Unreadable(error) => {
                format!(
                    "cannot load {path}: {error}; a file that was cut off or damaged must be copied again"
                )
            }
        })?;
        pass_on(warnings);
        if let Some(reason) = model.unsuitable() {
            return Err(format!("cannot use {path}: {reason}"));
        }
        let callbacks = callbacks
            .for_model(&model)
            .map_err(|reason| format!("cannot use {path}: {reason}"))?;
        let (limit, window) = (model.context_limit(), settings.window);
        // Rockchip's words, by which clients know this failure. The limit itself is allowed, here as there.
        if limit.unsigned_abs() < u32::try_from(window).unwrap_or(u32::MAX) {
            return Err(format!(
                "max_context[{window}] must be less than the model's max_context_limit[{limit}]"
            ));
        }
        log::info(format_args!(
            "model: {} (to llama.cpp: {}), {} parameters, max_context_limit: {limit}, max_context_len: {window}",
            model.name(),
            model.description(),
            model.n_parameters()
        ));
        let template = Template::of_model(&model);
        let threads = settings.threads;
        let pool = ThreadPool::new(threads).ok_or("ggml made no thread pool")?;
        let n_ctx = u32::try_from(window).unwrap_or(u32::MAX);
        let (context, warnings) =
            warnings_of(|| Context::new(model, pool, n_ctx, threads.count, Arc::clone(&abort)));
        let context =
            context.map_err(|error| format!("no context of {window} tokens for {path}: {error}"))?;
        pass_on(warnings);
        Ok(Self {
            context,
            settings,
            callbacks,
            template,
            adapters: Adapters::default(),
            adapter: None,
            abort,
            cache: Vec::with_capacity(window),
            rows: Rows::default(),
            saved: None,
            model_identity: None,
            history: Vec::new(),
            prompt_logits: Vec::new(),
            prompt_logits_at: 0,
            paused: None,
            #[cfg(feature = "slowdown")]
            slowdown,
        })
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Positions held in the KV cache.
    pub(crate) fn cached(&self) -> usize {
        self.cache.len()
    }

    /// How many values an embedding of the input has.
    pub(crate) fn embedding_width(&self) -> usize {
        self.context.model().input_width()
    }

    /// Ends a pause: the reply is dropped, as after an abort.
    pub(crate) fn end_pause(&mut self) {
        if let Some(generation) = self.paused.take() {
            self.cut(generation.prompt_len);
        }
    }

    /// Empties the cache and the conversation, but for the system prompt if that is to stay.
    pub(crate) fn clear(&mut self, keep_system_prompt: bool) -> Result<(), String> {
        self.paused = None;
        self.history.clear();
        let system = if keep_system_prompt {
            self.template.system_tokens(self.tokenizer())?
        } else {
            Vec::new()
        };
        self.cut(common_prefix(&system, &self.cache));
        Ok(())
    }

    pub(crate) fn set_template(&mut self, template: Template) -> Result<(), String> {
        self.template = template;
        self.clear(false)
    }

    /// Puts functions into the system prompt. Empties the cache and the conversation, as another template does.
    pub(crate) fn set_tools(&mut self, tools: Tools) -> Result<(), String> {
        self.template.set_tools(tools)?;
        self.clear(false)
    }

    /// Loads an adapter, for the runs that name it.
    pub(crate) fn load_adapter(&mut self, name: CString, path: &CStr, scale: f32) -> Result<(), String> {
        self.adapters.load(self.context.model(), name, path, scale)
    }

    /// Runs a request, or goes on with the paused one if there is `None`. The callback has heard of the end when this
    /// returns, an abort's too, or of the error. Not after a pause, nor of a request that was refused: its caller gets
    /// that as the call's own status, unless the call has returned by then.
    pub(crate) fn run(&mut self, request: Option<&Request>, delivery: &mut Delivery) -> Result<(), String> {
        let start = Instant::now();
        let unpin = self.settings.threads.mask.map(|_| Unpin::later());
        let result = self.generate(start, request, delivery);
        self.context.pool().rest();
        drop(unpin);
        let result = result.and_then(|()| {
            delivery
                .thrown()
                .map_or(Ok(()), |thrown| Err(Stop::Failed(thrown)))
        });
        match result {
            Ok(()) => Ok(()),
            Err(Stop::Aborted) => {
                delivery.finish(Tally::without_prefill(start).perf());
                Ok(())
            }
            Err(Stop::Refused(message)) => {
                if delivery.call_has_returned() {
                    delivery.error();
                }
                Err(message)
            }
            Err(Stop::Failed(message)) => {
                delivery.error();
                Err(message)
            }
        }
    }

    fn generate(
        &mut self,
        start: Instant,
        request: Option<&Request>,
        delivery: &mut Delivery,
    ) -> Result<(), Stop> {
        let (mut generation, mut tally, first) = match (self.paused.take(), request) {
            (Some(generation), _) => (generation, Tally::without_prefill(start), None),
            (None, Some(request)) => match request.mode {
                Mode::Generate => self.begin(start, request)?,
                Mode::Outputs(output) => return self.give_outputs(start, request, output, delivery),
            },
            (None, None) => return Err(Stop::Refused("there is no paused run to go on with".to_owned())),
        };
        let rest = self.proceed(&mut generation, &mut tally, first, delivery);
        match rest {
            Ok(Rest::Paused) => self.paused = Some(generation),
            Ok(Rest::Finished) => {
                if generation.keep_history {
                    self.history.clone_from(&self.cache);
                    self.history.push(generation.last);
                } else {
                    self.cut(generation.prompt_len);
                }
                delivery.finish(tally.perf());
            }
            Err(stop) => {
                self.cut(generation.prompt_len);
                let Stop::Aborted = stop else { return Err(stop) };
                delivery.finish(tally.perf());
            }
        }
        Ok(())
    }

    /// Prefill, up to the choice of the first token.
    fn begin(
        &mut self,
        start: Instant,
        request: &Request,
    ) -> Result<(Generation, Tally, Option<Token>), Stop> {
        let (prompt, draft) = self.prepare(request).map_err(Stop::Refused)?;
        let sampling = request.sampling.unwrap_or(self.settings.sampling);
        let mut sampler =
            Sampler::new(&sampling, self.context.model().n_vocab(), &prompt).map_err(Stop::Refused)?;
        let reused = self.reuse(&prompt);
        let tally = if reused < prompt.len() {
            self.prefill(&prompt, reused)?;
            Tally::after_prefill(start, prompt.len() - reused)
        } else {
            Tally::without_prefill(start)
        };
        if let Some(draft) = draft {
            self.save_cache(draft)?;
        }
        let first = sampler
            .choose(&self.prompt_logits)
            .ok_or_else(|| "the model gave no logits".to_owned())?;
        let generation = Generation {
            sampler,
            decoder: TextDecoder::new(),
            last: first,
            remaining: request.max_new_tokens.or(self.settings.max_new_tokens),
            prompt_len: prompt.len(),
            keep_history: request.keep_history,
        };
        Ok((generation, tally, Some(first)))
    }

    /// What must be right before anything is computed: the context, the adapter, the place of a file to save.
    fn prepare(&mut self, request: &Request) -> Result<(Vec<Token>, Option<Draft>), String> {
        self.use_adapter(request.adapter.as_deref())?;
        let prompt = self.prompt(&request.prompt)?;
        let draft = request.save_cache.as_deref().map(Draft::create).transpose()?;
        if draft.is_some() && prompt.iter().copied().any(is_row) {
            return Err("the cache of a prompt of embeddings cannot be saved".to_owned());
        }
        Ok((prompt, draft))
    }

    /// The whole context of a run: the conversation so far and the new prompt.
    fn prompt(&mut self, prompt: &Prompt) -> Result<Vec<Token>, String> {
        if !self.cache.iter().chain(&self.history).copied().any(is_row) {
            self.rows.forget();
        }
        let new = match prompt {
            Prompt::Text { role, text } => {
                self.template
                    .tokens(self.tokenizer(), role, text, self.history.is_empty())?
            }
            Prompt::Tokens(tokens) => tokens.clone(),
            Prompt::Rows(values) => {
                let rows = values.chunks_exact(self.embedding_width());
                rows.map(|row| self.rows.id_of(row)).collect()
            }
        };
        if new.is_empty() {
            return Err("the prompt is empty".to_owned());
        }
        if !matches!(prompt, Prompt::Rows(_)) {
            self.context.model().check_tokens(&new)?;
        }
        let whole = [self.history.as_slice(), &new].concat();
        let window = self.settings.window;
        if whole.len() > window {
            return Err(format!(
                "prompt[{}] must not exceed max_context[{window}]",
                whole.len()
            ));
        }
        Ok(whole)
    }

    fn tokenizer(&self) -> Tokenizer<'_> {
        Tokenizer {
            model: self.context.model(),
            callbacks: &self.callbacks,
            window: self.settings.window,
        }
    }

    /// Brings the cache down to what it shares with `prompt` and says how much that is. The whole prompt only counts
    /// when the logits behind it were kept.
    fn reuse(&mut self, prompt: &[Token]) -> usize {
        self.restore_saved(prompt);
        let mut keep = common_prefix(&self.cache, prompt);
        if keep == prompt.len() && self.prompt_logits_at != keep {
            keep -= 1;
        }
        self.cut(keep);
        self.cache.len()
    }

    /// Computes `prompt` from `reused` on and keeps the logits behind it.
    ///
    /// Never inlined: a profile of the calling thread is to tell prefill from decode by the names on its stacks.
    #[inline(never)]
    fn prefill(&mut self, prompt: &[Token], reused: usize) -> Result<(), Stop> {
        #[cfg(feature = "slowdown")]
        let start = Instant::now();
        self.prompt_logits_at = 0;
        let result = self.compute(&prompt[reused..]);
        let held = if result.is_ok() {
            prompt.len()
        } else {
            self.context.positions().min(prompt.len())
        };
        self.cache.clear();
        self.cache.extend_from_slice(&prompt[..held]);
        result?;
        self.prompt_logits.clear();
        self.prompt_logits.extend_from_slice(self.context.logits());
        self.prompt_logits_at = prompt.len();
        #[cfg(feature = "slowdown")]
        self.slowdown.after_prefill(start);
        Ok(())
    }

    /// Computes tokens and embeddings behind those in the cache, which is not told.
    fn compute(&mut self, ids: &[Token]) -> Result<(), Stop> {
        for part in ids.chunk_by(|one, other| is_row(*one) == is_row(*other)) {
            match self.embeddings(part)? {
                Some(rows) => self.context.compute(Entries::Rows(&rows))?,
                None => self.context.compute(Entries::Tokens(part))?,
            }
        }
        Ok(())
    }

    /// What goes into the model for ids of one kind; `None`: the tokens themselves.
    fn embeddings(&self, ids: &[Token]) -> Result<Option<Vec<f32>>, String> {
        if ids.first().copied().is_some_and(is_row) {
            return Ok(Some(self.rows.values(ids)));
        }
        if self.callbacks.embeds() {
            return self.callbacks.embed(ids, self.embedding_width()).map(Some);
        }
        Ok(None)
    }

    /// Delivers token after token until the reply comes to rest. `next` is chosen already; without it the reply goes
    /// on behind `generation.last`.
    fn proceed(
        &mut self,
        generation: &mut Generation,
        tally: &mut Tally,
        mut next: Option<Token>,
        delivery: &mut Delivery,
    ) -> Result<Rest, Stop> {
        loop {
            let token = match next.take() {
                Some(token) => token,
                None => match self.decode(generation)? {
                    Some(token) => token,
                    None => return Ok(Rest::Finished),
                },
            };
            generation.last = token;
            generation.remaining = generation.remaining.map(|remaining| remaining.saturating_sub(1));
            let (model, special) = (self.context.model(), !self.settings.skip_special);
            let text = generation
                .decoder
                .feed(|out| model.push_piece(token, special, out));
            tally.count();
            let reply = delivery.token(token, text);
            if self.abort.load(Ordering::Relaxed) {
                return Err(Stop::Aborted);
            }
            match reply {
                Reply::GoOn => {}
                Reply::Pause => return Ok(Rest::Paused),
                Reply::Thrown => return Err(Stop::Failed(delivery.thrown().unwrap_or_default())),
            }
        }
    }

    /// Computes the token delivered last and chooses the next; `None`: the reply ends here.
    ///
    /// Never inlined, for the same reason as `prefill`.
    #[inline(never)]
    fn decode(&mut self, generation: &mut Generation) -> Result<Option<Token>, Stop> {
        let ended = !self.settings.ignore_end && self.context.model().ends_reply(generation.last);
        if ended || generation.remaining == Some(0) || self.cache.len() == self.settings.window {
            return Ok(None);
        }
        #[cfg(feature = "slowdown")]
        let start = Instant::now();
        if self.callbacks.embeds() {
            self.compute(&[generation.last])?;
        } else {
            self.context.compute_one(generation.last)?;
        }
        self.cache.push(generation.last);
        let token = generation.sampler.choose(self.context.logits());
        #[cfg(feature = "slowdown")]
        self.slowdown.after_step(start);
        token
            .map(Some)
            .ok_or_else(|| Stop::Failed("the model gave no logits".to_owned()))
    }

    /// Has the adapter of this name take part, or none. What was computed with another one is no longer true.
    fn use_adapter(&mut self, name: Option<&CStr>) -> Result<(), String> {
        let wanted = name
            .map(|name| {
                self.adapters
                    .position(name)
                    .ok_or_else(|| format!("no adapter of the name {} is loaded", name.to_string_lossy()))
            })
            .transpose()?;
        if wanted != self.adapter {
            self.cut(0);
            let loaded = wanted.and_then(|wanted| self.adapters.get(wanted));
            self.context
                .use_adapter(loaded.map(|loaded| (&loaded.adapter, loaded.scale)));
            self.adapter = wanted;
        }
        Ok(())
    }

    /// Drops what the cache holds from `keep` on; all of it with a model that cannot forget in part.
    fn cut(&mut self, keep: usize) {
        if keep < self.cache.len() {
            if keep > 0 && self.context.truncate(keep) {
                self.cache.truncate(keep);
            } else {
                self.context.clear();
                self.cache.clear();
            }
        }
        if self.prompt_logits_at > self.cache.len() {
            self.prompt_logits_at = 0;
        }
    }
}

/// What llama.cpp warned of may change what the model says, or how fast.
fn pass_on(warnings: Vec<String>) {
    for warning in warnings {
        log::warning(format_args!("llama.cpp: {warning}"));
    }
}

fn common_prefix(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
