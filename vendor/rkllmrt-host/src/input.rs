//! A run's input and parameters, copied from the client's memory.

use std::ffi::CString;
use std::slice;

use crate::header::{
    RKLLM_INFER_GENERATE, RKLLM_INPUT_EMBED, RKLLM_INPUT_MULTIMODAL, RKLLM_INPUT_PROMPT, RKLLM_INPUT_TOKEN,
    RKLLMInferParam, RKLLMInput,
};
use crate::llama::Token;
use crate::params::{Sampling, copied, token_cap};

#[derive(Debug)]
pub(crate) enum Prompt {
    /// To be wrapped in the chat template.
    Text { role: CString, text: CString },
    /// Taken as they are.
    Tokens(Vec<Token>),
}

/// What a run is to do. It owns its parts: with `rkllm_run_async` the client's memory is gone by then.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) prompt: Prompt,
    /// `None`: as at init.
    pub(crate) sampling: Option<Sampling>,
    /// `None`: as at init.
    pub(crate) max_new_tokens: Option<usize>,
    /// Whether this turn stays in the context.
    pub(crate) keep_history: bool,
}

impl Request {
    /// # Safety
    ///
    /// Both pointers are NULL or point at what the header says they do, all of it unchanged meanwhile.
    pub(crate) unsafe fn read(
        input: *const RKLLMInput,
        params: *const RKLLMInferParam,
    ) -> Result<Self, String> {
        // SAFETY: the caller upholds it; `as_ref` looks at NULL itself.
        let input = unsafe { input.as_ref() }.ok_or("the input is NULL")?;
        // SAFETY: as above.
        let params = unsafe { params.as_ref() }.ok_or("the inference parameters are NULL")?;
        refuse_unsupported(params)?;
        // SAFETY: as above.
        let sampling = unsafe { params.sampling_params.as_ref() }
            .map(Sampling::new)
            .transpose()?;
        Ok(Self {
            // SAFETY: as above.
            prompt: unsafe { prompt(input) }?,
            sampling,
            max_new_tokens: token_cap(params.max_new_tokens),
            keep_history: params.keep_history != 0,
        })
    }
}

fn refuse_unsupported(params: &RKLLMInferParam) -> Result<(), String> {
    let unsupported = if params.mode != RKLLM_INFER_GENERATE {
        format!("inference mode {}", params.mode)
    } else if !params.lora_params.is_null() {
        "lora_params".to_owned()
    } else if !params.prompt_cache_params.is_null() {
        "prompt_cache_params".to_owned()
    } else {
        return Ok(());
    };
    Err(format!(
        "{unsupported} in a run: not supported by the host runtime"
    ))
}

/// # Safety
///
/// As for `Request::read`.
unsafe fn prompt(input: &RKLLMInput) -> Result<Prompt, String> {
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
        RKLLM_INPUT_EMBED => Err("RKLLM_INPUT_EMBED is not supported by the host runtime".to_owned()),
        RKLLM_INPUT_MULTIMODAL => {
            Err("RKLLM_INPUT_MULTIMODAL is not supported by the host runtime".to_owned())
        }
        unknown => Err(format!("input type {unknown} is unknown")),
    }
}
