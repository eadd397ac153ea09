//! Runs that give what the model has for each token of a prompt, and no reply.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Session, Stop, common_prefix};
use crate::delivery::Delivery;
use crate::generation::Tally;
use crate::header::RKLLMPerfStat;
use crate::input::Request;
use crate::llama::{Entries, Output, Token};
use crate::rows::is_row;

/// Such a run is logged by Rockchip's runtime with one generated token, in no time.
const GENERATED: i32 = 1;

impl Session {
    /// The client gets a callback without output first, as from Rockchip's runtime, then one with all of it.
    pub(super) fn give_outputs(
        &mut self,
        start: Instant,
        request: &Request,
        output: Output,
        delivery: &mut Delivery,
    ) -> Result<(), Stop> {
        let (prompt, draft) = self.prepare(request).map_err(Stop::Refused)?;
        // What was kept of a token has no output any more: all of this prompt is computed, behind the turns before.
        let before = self.history.len();
        self.cut(common_prefix(&self.cache, &prompt[..before]));
        let reused = self.cache.len();
        let rows = self.compute_prompt(&prompt, before, output)?;
        let perf = RKLLMPerfStat {
            generate_tokens: GENERATED,
            ..Tally::after_prefill(start, prompt.len() - reused).perf()
        };
        if let Some(draft) = draft {
            self.save_cache(draft)?;
        }
        delivery.nothing();
        self.stop_if_aborted()?;
        delivery.outputs(output, &rows, self.context.output_width(output));
        self.stop_if_aborted()?;
        drop(rows);
        if request.keep_history {
            self.history.clone_from(&self.cache);
        }
        delivery.finish(perf);
        Ok(())
    }

    /// Computes what the cache lacks of `prompt`, with outputs from `before` on.
    fn compute_prompt(&mut self, prompt: &[Token], before: usize, output: Output) -> Result<Vec<f32>, Stop> {
        let mut rows = Vec::new();
        let held = self.cache.len();
        self.prompt_logits_at = 0;
        let computed = self
            .compute(&prompt[held..before])
            .and_then(|()| self.compute_with_outputs(&prompt[before..], output, &mut rows));
        let held = if computed.is_ok() {
            prompt.len()
        } else {
            self.context.positions().min(prompt.len())
        };
        self.cache.clear();
        self.cache.extend_from_slice(&prompt[..held]);
        computed.map(|()| rows)
    }

    fn compute_with_outputs(
        &mut self,
        ids: &[Token],
        output: Output,
        rows: &mut Vec<f32>,
    ) -> Result<(), Stop> {
        for part in ids.chunk_by(|one, other| is_row(*one) == is_row(*other)) {
            match self.embeddings(part)? {
                Some(embeddings) => {
                    self.context
                        .compute_outputs(Entries::Rows(&embeddings), output, rows)?;
                }
                None => self
                    .context
                    .compute_outputs(Entries::Tokens(part), output, rows)?,
            }
        }
        Ok(())
    }

    fn stop_if_aborted(&self) -> Result<(), Stop> {
        if self.abort.load(Ordering::Relaxed) {
            Err(Stop::Aborted)
        } else {
            Ok(())
        }
    }
}
