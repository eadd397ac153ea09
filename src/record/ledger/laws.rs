//! The laws in the order in which they are applied, and the laws on numbers of tokens.

use std::cmp::Ordering;

use super::verdict::{Accepted, Mark, Rejection};
use super::{cache_start, callbacks, ending, statistics, stream};
use crate::base::number::Size as _;
use crate::inference::{Abilities, Inference, LoadSpec, Request, RuntimeStats, Stream};

/// The laws, with what they remember between the runs of one loaded model.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Whether each run must give the requested number of tokens.
    fixed_length: bool,
    /// Whether the runtime can ignore end tokens.
    can_ignore_eos: bool,
    /// Whether prompts vary because the KV cache cannot be cleared.
    varies_prompts: bool,
    max_context: u32,
    /// The model name in requests to a server.
    model: String,
    last_stats: Option<RuntimeStats>,
    late_callbacks: u64,
    fills_at_load: cache_start::FillsAtLoad,
    /// Number of tokens minus `generate_tokens`: first for runs that reached their limit, then for runs that ended
    /// earlier. Absent until a run has shown it.
    uncounted: [Option<usize>; 2],
}

impl Ledger {
    /// The ledger of a model freshly loaded by `spec` into a runtime with these abilities.
    pub fn new(can: Abilities, spec: &LoadSpec) -> Self {
        Self {
            fixed_length: spec.ignore_eos,
            can_ignore_eos: can.ignore_eos,
            varies_prompts: !can.clear_kv_cache,
            max_context: spec.max_context,
            model: spec.model_path.to_string_lossy().into_owned(),
            last_stats: None,
            late_callbacks: 0,
            fills_at_load: None,
            uncounted: [None; 2],
        }
    }

    /// Applies the laws to one inference. `prompt_tokens` is the number of tokens that the prompt's prefill computes,
    /// if known: the number of ids minus a prefix in the KV cache, or what the first run computed.
    ///
    /// # Errors
    /// The first broken law.
    pub fn judge(
        &mut self,
        request: &Request,
        prompt_tokens: Option<u32>,
        inference: &Inference,
    ) -> Result<Accepted, Rejection> {
        let before = self.last_stats;
        // After a run without statistics, a runtime may still report those of an earlier run.
        let given = inference.stats.filter(|stats| !stats.are_zero());
        self.last_stats = given.or(before);
        let late =
            inference.late_callbacks > std::mem::replace(&mut self.late_callbacks, inference.late_callbacks);
        ending::judge(request, inference)?;
        if late {
            return Err(Rejection::LateCallback);
        }
        let phases = inference.phases().ok_or(Rejection::TimeRunsBackwards)?;
        let end_ns = inference.tokens.last().map_or(0, |token| token.at_ns);
        if end_ns > inference.return_ns {
            return Err(Rejection::TimeRunsBackwards);
        }
        let mut marks = Vec::new();
        cache_start::judge(request, prompt_tokens, inference, &mut self.fills_at_load)?;
        let reported = inference.reported_prompt_tokens(&request.input);
        self.judge_count(request, prompt_tokens.or(reported), inference, &mut marks)?;
        stream::judge(
            request,
            prompt_tokens.or(reported),
            &self.model,
            inference,
            &mut marks,
        )?;
        if request.cache_start.is_cold() {
            cache_start::judge_depth(request.depth, inference.kv_cache_before, &mut marks)?;
        }
        callbacks::judge(inference, &mut marks);
        if self.varies_prompts {
            marks.push(Mark::PromptVaried);
        }
        match inference.stats.as_ref().filter(|stats| !stats.are_zero()) {
            Some(stats) => {
                statistics::judge(
                    request,
                    stats,
                    before.as_ref(),
                    prompt_tokens,
                    inference,
                    &phases,
                    &mut marks,
                )?;
                self.judge_generate_tokens(request, stats, inference, &mut marks);
            }
            None if inference.stream.as_ref().is_some_and(Stream::reports_cold_start) => {}
            None => marks.push(Mark::NoStats),
        }
        Ok(Accepted { phases, marks })
    }

    /// `generate_tokens` is the number of tokens or one less. Each runtime counts one way in every cold run, though an
    /// end token may count differently. If the way changes, a token was lost or reported twice.
    fn judge_generate_tokens(
        &mut self,
        request: &Request,
        stats: &RuntimeStats,
        inference: &Inference,
        marks: &mut Vec<Mark>,
    ) {
        let Some(counted) = inference.token_count().tokens else {
            return;
        };
        let by_itself = counted < request.max_new_tokens.size();
        let known = &mut self.uncounted[usize::from(by_itself)];
        let reported = usize::try_from(stats.generate_tokens).ok();
        match reported.and_then(|reported| counted.checked_sub(reported)) {
            Some(way @ 0..=1) if known.is_none_or(|known| known == way) => *known = Some(way),
            _ => marks.push(Mark::GenerateTokens {
                reported: stats.generate_tokens,
                counted,
            }),
        }
    }

    fn judge_count(
        &self,
        request: &Request,
        prompt_tokens: Option<u32>,
        inference: &Inference,
        marks: &mut Vec<Mark>,
    ) -> Result<(), Rejection> {
        let asked = request.max_new_tokens;
        let Some(got) = inference.token_count().tokens else {
            return Ok(());
        };
        match got.cmp(&(asked.size())) {
            Ordering::Equal => {
                if !self.fixed_length {
                    marks.push(Mark::ReachedLimit { limit: asked });
                }
                return Ok(());
            }
            Ordering::Greater if inference.stream.is_some() => {
                marks.push(Mark::LongerThanAsked { asked, got });
                return Ok(());
            }
            Ordering::Greater => return Err(Rejection::TokenCount { asked, got }),
            Ordering::Less => {}
        }
        let of_set_up = inference.set_up.map(|set_up| set_up.prompt_tokens);
        let prompt = of_set_up.or(prompt_tokens).unwrap_or(0);
        let held = request.depth + prompt + u32::try_from(got).unwrap_or(u32::MAX);
        // The last token may have no position in the context.
        if held + 1 >= self.max_context {
            let context = self.max_context;
            return Err(Rejection::ContextFull {
                asked,
                got,
                context,
                held,
            });
        }
        match (self.fixed_length, self.can_ignore_eos) {
            (true, true) => Err(Rejection::TokenCount { asked, got }),
            (true, false) => {
                marks.push(Mark::EndedEarly { asked, got });
                Ok(())
            }
            (false, _) => Ok(()),
        }
    }
}
