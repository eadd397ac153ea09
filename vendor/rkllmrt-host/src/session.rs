//! One loaded model at work: the KV cache, the conversation, runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::cpu::Unpin;
use crate::delivery::{Delivery, Reply};
use crate::generation::{Generation, Tally};
use crate::input::{Prompt, Request};
use crate::llama::{ComputeError, Context, Model, ThreadPool, Token};
use crate::log;
use crate::params::Settings;
use crate::sampler::Sampler;
#[cfg(feature = "slowdown")]
use crate::slowdown::Slowdown;
use crate::template::Template;
use crate::text::TextDecoder;

/// Why a run stopped short of an answer.
enum Stop {
    Aborted,
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
    template: Template,
    abort: Arc<AtomicBool>,
    /// The tokens whose positions the KV cache holds, in order.
    cache: Vec<Token>,
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
    pub(crate) fn open(settings: Settings, abort: Arc<AtomicBool>) -> Result<Self, String> {
        #[cfg(feature = "slowdown")]
        let slowdown = Slowdown::of_environment()?;
        let path = settings.model_path.to_string_lossy().into_owned();
        log::info(format_args!("loading the model {path}"));
        let model = Model::load(&settings.model_path).map_err(|error| {
            format!("cannot load {path}: {error}; a file that was cut off or damaged must be copied again")
        })?;
        if let Some(reason) = model.unsuitable() {
            return Err(format!("cannot use {path}: {reason}"));
        }
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
        let context = Context::new(model, pool, n_ctx, threads.count, Arc::clone(&abort))
            .map_err(|error| format!("no context of {window} tokens for {path}: {error}"))?;
        Ok(Self {
            context,
            settings,
            template,
            abort,
            cache: Vec::with_capacity(window),
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
            self.template.system_tokens(self.context.model())?
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

    /// Runs a request, or goes on with the paused one if there is `None`. The callback has heard of the end (or the
    /// error) when this returns, except after an abort or a pause, which it asked for itself.
    pub(crate) fn run(&mut self, request: Option<&Request>, delivery: &mut Delivery) -> Result<(), String> {
        let start = Instant::now();
        let unpin = self.settings.threads.mask.map(|_| Unpin::later());
        let result = self.generate(start, request, delivery);
        self.context.pool().rest();
        drop(unpin);
        match result {
            Ok(()) | Err(Stop::Aborted) => Ok(()),
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
            (None, Some(request)) => self.begin(start, request)?,
            (None, None) => return Err(Stop::Failed("there is no paused run to go on with".to_owned())),
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
                return Err(stop);
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
        let prompt = self.prompt(&request.prompt)?;
        let sampling = request.sampling.unwrap_or(self.settings.sampling);
        let mut sampler = Sampler::new(&sampling, self.context.model().n_vocab(), &prompt)?;
        let reused = self.reuse(&prompt);
        let tally = if reused < prompt.len() {
            self.prefill(&prompt, reused)?;
            Tally::after_prefill(start, prompt.len() - reused)
        } else {
            Tally::without_prefill(start)
        };
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

    /// The whole context of a run: the conversation so far and the new prompt.
    fn prompt(&self, prompt: &Prompt) -> Result<Vec<Token>, String> {
        let model = self.context.model();
        let new = match prompt {
            Prompt::Text { role, text } => {
                self.template.tokens(model, role, text, self.history.is_empty())?
            }
            Prompt::Tokens(tokens) => tokens.clone(),
        };
        if new.is_empty() {
            return Err("the prompt is empty".to_owned());
        }
        let n_vocab = model.n_vocab();
        if let Some(token) = new.iter().find(|token| !(0..n_vocab).contains(*token)) {
            return Err(format!(
                "token id {token} is not in the model's vocabulary of {n_vocab}"
            ));
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

    /// Brings the cache down to what it shares with `prompt` and says how much that is. The whole prompt only counts
    /// when the logits behind it were kept.
    fn reuse(&mut self, prompt: &[Token]) -> usize {
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
        let result = self.context.compute(&prompt[reused..]);
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
            if reply == Reply::Pause {
                return Ok(Rest::Paused);
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
        self.context.compute_one(generation.last)?;
        self.cache.push(generation.last);
        let token = generation.sampler.choose(self.context.logits());
        #[cfg(feature = "slowdown")]
        self.slowdown.after_step(start);
        token
            .map(Some)
            .ok_or_else(|| Stop::Failed("the model gave no logits".to_owned()))
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

fn common_prefix(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
