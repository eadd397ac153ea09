//! The client's callbacks that stand in for what a model's file does not carry: tokenizer and embedding layer.

use std::ffi::{CString, c_void};

use crate::client_call::{self, EmbedFunction, TokenizerFunction};
use crate::header::RKLLMCallback;
use crate::llama::{Model, Token};

/// What the client gave at init.
#[derive(Debug)]
pub(crate) struct Callbacks {
    tokenizer: Option<(TokenizerFunction, *mut c_void)>,
    embed: Option<(EmbedFunction, *mut c_void)>,
}

// SAFETY: the user data is passed back and never looked at. That callbacks may come from a thread of the runtime is
// what a client agrees to by rkllm_run_async.
unsafe impl Send for Callbacks {}

impl Callbacks {
    pub(crate) fn new(callback: &RKLLMCallback) -> Self {
        Self {
            tokenizer: callback
                .tokenizer_callback
                .map(|function| (function, callback.tokenizer_userdata)),
            embed: callback
                .embed_callback
                .map(|function| (function, callback.embed_userdata)),
        }
    }

    /// Drops those that this model has no use for; refuses one that lacks what no callback stands in for.
    pub(crate) fn for_model(mut self, model: &Model) -> Result<Self, String> {
        if model.has_tokenizer() {
            self.tokenizer = None;
        } else if self.tokenizer.is_none() {
            return Err("it carries no tokenizer and tokenizer_callback is NULL".to_owned());
        }
        if model.has_embedding() {
            self.embed = None;
        } else if self.embed.is_none() {
            return Err("it carries no embedding layer and embed_callback is NULL".to_owned());
        }
        Ok(self)
    }

    /// The tokens of `text`, at most `room`: by the model's tokenizer, else by the client's.
    pub(crate) fn tokenize(&self, model: &Model, text: &str, room: usize) -> Result<Vec<Token>, String> {
        let Some((function, userdata)) = self.tokenizer else {
            return model.tokenize(text);
        };
        let length =
            i32::try_from(text.len()).map_err(|_| format!("a prompt of {} bytes is too long", text.len()))?;
        // Clients may rely on the NUL as on the length.
        let text = CString::new(text).map_err(|error| error.to_string())?;
        let mut tokens: Vec<Token> = vec![0; room];
        let n_max = i32::try_from(room).unwrap_or(i32::MAX);
        // SAFETY: the client vouched for function and user data at init; text and tokens are as long as told.
        let count =
            unsafe { client_call::tokenizer(function, userdata, &text, length, tokens.as_mut_ptr(), n_max) }?;
        match usize::try_from(count) {
            Ok(count) if count <= room => {
                tokens.truncate(count);
                Ok(tokens)
            }
            Ok(count) => Err(format!(
                "tokenizer_callback gave {count} tokens, and there was room for {room}"
            )),
            Err(_) => Err(format!("tokenizer_callback failed with {count}")),
        }
    }

    /// Whether tokens must be turned into embeddings by `embed`.
    pub(crate) fn embeds(&self) -> bool {
        self.embed.is_some()
    }

    /// The client's embeddings of tokens, one row of `width` after the other.
    pub(crate) fn embed(&self, tokens: &[Token], width: usize) -> Result<Vec<f32>, String> {
        let Some((function, userdata)) = self.embed else {
            return Err("there is no embed_callback".to_owned());
        };
        let (mut tokens, mut rows) = (tokens.to_vec(), vec![0.0_f32; tokens.len() * width]);
        let (n_tokens, length) = (tokens.len() as u64, size_of_val(&rows[..]) as u64);
        let (ids, buffer) = (tokens.as_mut_ptr(), rows.as_mut_ptr().cast());
        // SAFETY: the client vouched for function and user data at init; both arrays are as long as told.
        let status = unsafe { client_call::embed(function, userdata, (ids, n_tokens), (buffer, length)) }?;
        if status == 0 {
            Ok(rows)
        } else {
            Err(format!("embed_callback failed with {status}"))
        }
    }
}
