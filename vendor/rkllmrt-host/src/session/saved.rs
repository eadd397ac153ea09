//! Prompt caches in files: saving that of a run, and using one that was loaded.

use std::path::Path;

use super::{Session, common_prefix};
use crate::identity::{self, Identity};
use crate::llama::Token;
use crate::log;
use crate::params::path_of;
use crate::prompt_cache::{Draft, PromptCache};

/// A prompt cache that was loaded, until it is released.
#[derive(Debug)]
pub(super) struct Saved {
    tokens: Vec<Token>,
    state: Vec<u8>,
    /// The place of the adapter that it was computed with.
    adapter: Option<usize>,
}

impl Session {
    /// Has later runs begin with what the file holds, where their prompts do.
    pub(crate) fn load_cache(&mut self, path: &Path) -> Result<(), String> {
        let PromptCache {
            weights,
            tokens,
            state,
        } = PromptCache::read(path)?;
        let adapters = (0..self.adapters.len()).map(Some);
        let mut made_with = None;
        for adapter in [None].into_iter().chain(adapters) {
            if self.weights_with(adapter)? == weights {
                made_with = Some(adapter);
                break;
            }
        }
        let shown = path.display();
        let adapter = made_with.ok_or_else(|| {
            format!(
                "the prompt cache {shown} was made by another model, by an adapter that is not loaded, or by another \
                 version of the host runtime"
            )
        })?;
        let window = self.settings.window;
        if tokens.len() > window {
            return Err(format!(
                "the prompt cache {shown} holds {} tokens, which must not exceed max_context[{window}]",
                tokens.len()
            ));
        }
        self.saved = Some(Saved {
            tokens,
            state,
            adapter,
        });
        Ok(())
    }

    /// Ends that. The KV cache is emptied: it may hold what came from the file.
    pub(crate) fn release_cache(&mut self) {
        if self.saved.take().is_some() {
            self.end_pause();
            self.cut(0);
        }
    }

    /// Replaces the KV cache by the loaded one if that has more of `prompt`.
    pub(super) fn restore_saved(&mut self, prompt: &[Token]) {
        let held = common_prefix(&self.cache, prompt);
        let Some(saved) = self
            .saved
            .as_ref()
            .filter(|saved| saved.adapter == self.adapter && common_prefix(&saved.tokens, prompt) > held)
        else {
            return;
        };
        self.cache.clear();
        self.prompt_logits_at = 0;
        match self.context.restore(&saved.state) {
            Ok(()) => self.cache.extend_from_slice(&saved.tokens),
            Err(error) => log::warning(format_args!(
                "the prompt cache cannot be restored, all of the prompt is computed: {error}"
            )),
        }
    }

    /// Saves what the KV cache holds now.
    pub(super) fn save_cache(&mut self, draft: Draft) -> Result<(), String> {
        draft.write(&PromptCache {
            weights: self.weights_with(self.adapter)?,
            tokens: self.cache.clone(),
            state: self.context.state(),
        })
    }

    /// What the model computes with, together with the adapter of this place.
    fn weights_with(&mut self, adapter: Option<usize>) -> Result<Identity, String> {
        let model = match self.model_identity {
            Some(known) => known,
            None => identity::of_model(path_of(&self.settings.model_path))
                .map_err(|error| format!("cannot read the model again: {error}"))?,
        };
        self.model_identity = Some(model);
        let adapter = adapter.and_then(|adapter| self.adapters.get(adapter));
        Ok(identity::of_weights(
            model,
            adapter.map(|adapter| (adapter.identity, adapter.scale)),
        ))
    }
}
