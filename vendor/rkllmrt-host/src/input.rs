//! A run's input and parameters, copied from the client's memory.

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::slice;

use crate::header::{
    RKLLM_INFER_GENERATE, RKLLM_INFER_GET_LAST_HIDDEN_LAYER, RKLLM_INFER_GET_LOGITS, RKLLM_INPUT_EMBED,
    RKLLM_INPUT_MULTIMODAL, RKLLM_INPUT_PROMPT, RKLLM_INPUT_TOKEN, RKLLMInferParam, RKLLMInput,
};
use crate::llama::{Output, Token};
use crate::params::{Sampling, copied, path_of, token_cap};

/// Where a prompt's cache is saved when the client names no file; Rockchip's own name.
const PROMPT_CACHE: &CStr = c"./prompt_cache.bin";

#[derive(Debug)]
pub(crate) enum Prompt {
    /// To be wrapped in the chat template.
    Text { role: CString, text: CString },
    /// Taken as they are.
    Tokens(Vec<Token>),
    /// Embeddings of the model's width, one after the other.
    Rows(Vec<f32>),
}

/// What a run gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Generate,
    /// What the model has for each token of the prompt, and no reply.
    Outputs(Output),
}

/// What a run is to do. It owns its parts: with `rkllm_run_async` the client's memory is gone by then.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) prompt: Prompt,
    pub(crate) mode: Mode,
    /// The name of the adapter to use.
    pub(crate) adapter: Option<CString>,
    /// Where to save the cache of the prompt.
    pub(crate) save_cache: Option<PathBuf>,
    /// `None`: as at init.
    pub(crate) sampling: Option<Sampling>,
    /// `None`: as at init.
    pub(crate) max_new_tokens: Option<usize>,
    /// Whether this turn stays in the context.
    pub(crate) keep_history: bool,
}

impl Request {
    /// `width` is that of the model's embeddings.
    ///
    /// # Safety
    ///
    /// Both pointers are NULL or point at what the header says they do, all of it unchanged meanwhile.
    pub(crate) unsafe fn read(
        input: *const RKLLMInput,
        params: *const RKLLMInferParam,
        width: usize,
    ) -> Result<Self, String> {
        // SAFETY: the caller upholds it; `as_ref` looks at NULL itself.
        let input = unsafe { input.as_ref() }.ok_or("the input is NULL")?;
        // SAFETY: as above.
        let params = unsafe { params.as_ref() }.ok_or("the inference parameters are NULL")?;
        // SAFETY: as above.
        let sampling = unsafe { params.sampling_params.as_ref() }
            .map(Sampling::new)
            .transpose()?;
        Ok(Self {
            // SAFETY: as above.
            prompt: unsafe { prompt(input, width) }?,
            mode: match params.mode {
                RKLLM_INFER_GENERATE => Mode::Generate,
                RKLLM_INFER_GET_LAST_HIDDEN_LAYER => Mode::Outputs(Output::Hidden),
                RKLLM_INFER_GET_LOGITS => Mode::Outputs(Output::Logits),
                unknown => return Err(format!("inference mode {unknown} is unknown")),
            },
            // SAFETY: as above.
            adapter: unsafe { adapter(params) }?,
            // SAFETY: as above.
            save_cache: unsafe { save_cache(params) },
            sampling,
            max_new_tokens: token_cap(params.max_new_tokens),
            keep_history: params.keep_history != 0,
        })
    }
}

/// # Safety
///
/// As for `Request::read`.
unsafe fn adapter(params: &RKLLMInferParam) -> Result<Option<CString>, String> {
    // SAFETY: the caller upholds it; `as_ref` looks at NULL itself.
    let Some(lora) = (unsafe { params.lora_params.as_ref() }) else {
        return Ok(None);
    };
    // SAFETY: the caller upholds it.
    match unsafe { copied(lora.lora_adapter_name) } {
        Some(name) => Ok(Some(name)),
        None => Err("lora_adapter_name is NULL".to_owned()),
    }
}

/// # Safety
///
/// As for `Request::read`.
unsafe fn save_cache(params: &RKLLMInferParam) -> Option<PathBuf> {
    // SAFETY: the caller upholds it; `as_ref` looks at NULL itself.
    let cache = unsafe { params.prompt_cache_params.as_ref() }?;
    if cache.save_prompt_cache == 0 {
        return None;
    }
    // SAFETY: the caller upholds it.
    let path = unsafe { copied(cache.prompt_cache_path) }.unwrap_or_else(|| PROMPT_CACHE.to_owned());
    Some(path_of(&path).to_owned())
}

/// # Safety
///
/// As for `Request::read`.
unsafe fn prompt(input: &RKLLMInput, width: usize) -> Result<Prompt, String> {
    match input.input_type {
        RKLLM_INPUT_PROMPT => {
            // SAFETY: the input's type says which member of the union is in use.
            let text = unsafe { input.__bindgen_anon_1.prompt_input };
            // SAFETY: the caller upholds it.
            let text = unsafe { copied(text) }.ok_or("prompt_input is NULL")?;
            // SAFETY: the caller upholds it.
            let role = unsafe { copied(input.role) }.unwrap_or_else(|| c"user".to_owned());
            Ok(Prompt::Text { role, text })
        }
        RKLLM_INPUT_TOKEN => {
            // SAFETY: the input's type says which member of the union is in use.
            let tokens = unsafe { input.__bindgen_anon_1.token_input };
            if tokens.input_ids.is_null() {
                return Err("token_input.input_ids is NULL".to_owned());
            }
            if i32::try_from(tokens.n_tokens).is_err() {
                return Err(format!(
                    "token_input.n_tokens is {}, which is too many",
                    tokens.n_tokens
                ));
            }
            // SAFETY: not NULL; the caller vouches for the length.
            let ids = unsafe { slice::from_raw_parts(tokens.input_ids, tokens.n_tokens) };
            Ok(Prompt::Tokens(ids.to_vec()))
        }
        RKLLM_INPUT_EMBED => {
            // SAFETY: the input's type says which member of the union is in use.
            let embed = unsafe { input.__bindgen_anon_1.embed_input };
            if embed.embed.is_null() {
                return Err("embed_input.embed is NULL".to_owned());
            }
            let length = i32::try_from(embed.n_tokens)
                .ok()
                .and_then(|_| embed.n_tokens.checked_mul(width))
                .ok_or_else(|| format!("embed_input.n_tokens is {}, which is too many", embed.n_tokens))?;
            // SAFETY: not NULL; the caller vouches for the length, of which the model's width is a part.
            let values = unsafe { slice::from_raw_parts(embed.embed, length) };
            if values.iter().any(|value| !value.is_finite()) {
                return Err("embed_input.embed has a value that is not finite".to_owned());
            }
            Ok(Prompt::Rows(values.to_vec()))
        }
        RKLLM_INPUT_MULTIMODAL => {
            Err("RKLLM_INPUT_MULTIMODAL is not supported by the host runtime".to_owned())
        }
        unknown => Err(format!("input type {unknown} is unknown")),
    }
}
