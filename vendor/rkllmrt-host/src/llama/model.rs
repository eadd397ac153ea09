//! A loaded model and its vocabulary.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};

use llama_cpp_sys_2 as sys;

use super::{Token, bare, capture_errors, metadata};
use crate::model_file::{self, misled};
use crate::params::path_of;

/// Weights and vocabulary, read only once loaded.
#[derive(Debug)]
pub(crate) struct Model {
    ptr: NonNull<sys::llama_model>,
    vocab: *const sys::llama_vocab,
    n_vocab: Token,
    has_tokenizer: bool,
    has_embedding: bool,
}

// SAFETY: a loaded model is not changed by any function used here, whichever thread calls it.
unsafe impl Send for Model {}

/// Why a model was not loaded.
#[derive(Debug)]
pub(crate) enum NotLoaded {
    /// The file is whole, as far as it goes, and no text can be generated with it.
    Unfit(String),
    /// What llama.cpp said, or would have aborted on.
    Unreadable(String),
}

impl From<String> for NotLoaded {
    fn from(error: String) -> Self {
        Self::Unreadable(error)
    }
}

impl Model {
    /// Loads weights for the CPU, memory-mapped.
    pub(crate) fn load(path: &CStr) -> Result<Self, NotLoaded> {
        let file = metadata::check(path)?;
        if let Some(reason) = misled(&file, path).or_else(|| file.unfit.clone()) {
            return Err(NotLoaded::Unfit(reason));
        }
        model_file::shards(path_of(path), file.shard).map_err(NotLoaded::Unfit)?;
        let has_embedding = file.has_embedding;
        // SAFETY: no condition.
        let mut params = unsafe { sys::llama_model_default_params() };
        params.n_gpu_layers = 0;
        let ptr = if has_embedding {
            let (model, errors) = capture_errors(|| {
                // SAFETY: the path is NUL-terminated, the params are llama.cpp's own defaults.
                unsafe { sys::llama_model_load_from_file(path.as_ptr(), params) }
            });
            NonNull::new(model).ok_or(errors)?
        } else {
            bare::load(path, params)?
        };
        // SAFETY: the model is alive; its vocabulary is a part of it and never NULL.
        let vocab = unsafe { sys::llama_model_get_vocab(ptr.as_ptr()) };
        // SAFETY: the vocabulary is alive as long as the model.
        let n_vocab = unsafe { sys::llama_vocab_n_tokens(vocab) };
        // SAFETY: as above.
        let kind = unsafe { sys::llama_vocab_type(vocab) };
        Ok(Self {
            ptr,
            vocab,
            n_vocab,
            has_tokenizer: kind != sys::LLAMA_VOCAB_TYPE_NONE,
            has_embedding,
        })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::llama_model {
        self.ptr.as_ptr()
    }

    /// Why this model cannot generate text one token after the other, if so.
    pub(crate) fn unsuitable(&self) -> Option<&'static str> {
        let model = self.ptr.as_ptr();
        // SAFETY: the model is alive.
        let encoder = unsafe { sys::llama_model_has_encoder(model) };
        // SAFETY: as above.
        let decoder = unsafe { sys::llama_model_has_decoder(model) };
        // SAFETY: as above.
        let diffusion = unsafe { sys::llama_model_is_diffusion(model) };
        if encoder || !decoder {
            Some("it needs an encoder run")
        } else if diffusion {
            Some("it is a diffusion model")
        } else {
            (self.n_vocab == 0).then_some("its vocabulary is empty")
        }
    }

    /// The longest context the model was made for, in tokens.
    pub(crate) fn context_limit(&self) -> i32 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_ctx_train(self.ptr.as_ptr()) }
    }

    /// What the file says the model is called; empty if it does not.
    pub(crate) fn name(&self) -> String {
        text_of(|text, room| {
            // SAFETY: the key ends in NUL and the buffer is as long as told; llama.cpp terminates what it writes.
            unsafe { sys::llama_model_meta_val_str(self.ptr.as_ptr(), c"general.name".as_ptr(), text, room) };
        })
    }

    /// Architecture, size class and quantisation, in llama.cpp's words.
    pub(crate) fn description(&self) -> String {
        text_of(|text, room| {
            // SAFETY: the buffer is as long as told; llama.cpp terminates what it writes.
            unsafe { sys::llama_model_desc(self.ptr.as_ptr(), text, room) };
        })
    }

    pub(crate) fn n_parameters(&self) -> u64 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_params(self.ptr.as_ptr()) }
    }

    /// The chat template the file carries.
    pub(crate) fn chat_template(&self) -> Option<CString> {
        // SAFETY: the model is alive; NULL asks for the default template.
        let template = unsafe { sys::llama_model_chat_template(self.ptr.as_ptr(), ptr::null()) };
        // SAFETY: not NULL, so a NUL-terminated string that belongs to the model.
        (!template.is_null()).then(|| unsafe { CStr::from_ptr(template) }.to_owned())
    }

    /// How many ids the vocabulary has; they start at 0.
    pub(crate) fn n_vocab(&self) -> Token {
        self.n_vocab
    }

    /// How many values an embedding has that takes a token's place in the input.
    pub(crate) fn input_width(&self) -> usize {
        // SAFETY: the model is alive.
        let width = unsafe { sys::llama_model_n_embd_inp(self.ptr.as_ptr()) };
        width.unsigned_abs() as usize
    }

    /// How many values a hidden state of the last layer has.
    pub(super) fn output_width(&self) -> usize {
        // SAFETY: the model is alive.
        let width = unsafe { sys::llama_model_n_embd_out(self.ptr.as_ptr()) };
        width.unsigned_abs() as usize
    }

    /// Refuses an id that is not of the vocabulary.
    pub(crate) fn check_tokens(&self, tokens: &[Token]) -> Result<(), String> {
        let n_vocab = self.n_vocab;
        match tokens.iter().find(|token| !(0..n_vocab).contains(*token)) {
            Some(token) => Err(format!(
                "token id {token} is not in the model's vocabulary of {n_vocab}"
            )),
            None => Ok(()),
        }
    }

    /// Whether the file carries a tokenizer. Without one there is no text, neither in nor out.
    pub(crate) fn has_tokenizer(&self) -> bool {
        self.has_tokenizer
    }

    /// Whether the file carries an embedding layer. Without one every token goes in as its embedding.
    pub(crate) fn has_embedding(&self) -> bool {
        self.has_embedding
    }

    /// The token to begin text with, where the vocabulary asks for one.
    pub(crate) fn leading_token(&self) -> Option<Token> {
        // SAFETY: the vocabulary is alive as long as the model.
        let wanted = unsafe { sys::llama_vocab_get_add_bos(self.vocab) };
        // SAFETY: as above.
        let token = unsafe { sys::llama_vocab_bos(self.vocab) };
        (wanted && token >= 0).then_some(token)
    }

    /// Whether a reply ends with this token.
    pub(crate) fn ends_reply(&self, token: Token) -> bool {
        // SAFETY: the vocabulary is alive; any id is looked up in a set.
        unsafe { sys::llama_vocab_is_eog(self.vocab, token) }
    }

    /// Adds the bytes of a token to `out`; none for a special one, unless `special`.
    pub(crate) fn push_piece(&self, token: Token, special: bool, out: &mut Vec<u8>) {
        if !(0..self.n_vocab).contains(&token) || !self.has_tokenizer() {
            return;
        }
        loop {
            let room = out.spare_capacity_mut();
            let length = i32::try_from(room.len()).unwrap_or(i32::MAX);
            let start = room.as_mut_ptr().cast::<c_char>();
            // SAFETY: the id was checked above; `length` bytes are ours from `start` on.
            let written = unsafe { sys::llama_token_to_piece(self.vocab, token, start, length, 0, special) };
            if let Ok(written) = usize::try_from(written) {
                // SAFETY: llama.cpp has initialised that many bytes, no more than the room it was given.
                unsafe { out.set_len(out.len() + written) };
                return;
            }
            out.reserve(written.unsigned_abs() as usize);
        }
    }

    /// The tokens of `text`, in which special tokens may be spelt out. Nothing is put before or behind it. Only for a
    /// model with a tokenizer.
    pub(crate) fn tokenize(&self, text: &str) -> Result<Vec<Token>, String> {
        let length =
            i32::try_from(text.len()).map_err(|_| format!("a prompt of {} bytes is too long", text.len()))?;
        // No token is shorter than a byte, and a tokenizer may put one space in front.
        let mut tokens: Vec<Token> = vec![0; text.len() + 2];
        loop {
            let room = i32::try_from(tokens.len()).unwrap_or(i32::MAX);
            let start = tokens.as_mut_ptr();
            // SAFETY: text and tokens are as long as told.
            let count = unsafe {
                let text = text.as_ptr().cast::<c_char>();
                sys::llama_tokenize(self.vocab, text, length, start, room, false, true)
            };
            match count {
                0.. => {
                    tokens.truncate(count.unsigned_abs() as usize);
                    return Ok(tokens);
                }
                i32::MIN => return Err(format!("a prompt of {} bytes is too long", text.len())),
                short => tokens.resize(short.unsigned_abs() as usize, 0),
            }
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: made by llama.cpp and freed only here; `Context` drops its llama context first.
        unsafe { sys::llama_model_free(self.ptr.as_ptr()) };
    }
}

/// The text that `write` puts into a buffer of the size it is told.
fn text_of(write: impl FnOnce(*mut c_char, usize)) -> String {
    let mut text = [0_u8; 256];
    write(text.as_mut_ptr().cast(), text.len());
    CStr::from_bytes_until_nul(&text)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Puts messages, each a role and what it says, into a chat template. `None`: llama.cpp does not know the template; it
/// recognises the common ones and has no interpreter for others.
pub(crate) fn apply_chat_template(
    template: &CStr,
    messages: &[(&CStr, &CStr)],
    open_reply: bool,
) -> Option<String> {
    let chat: Vec<_> = messages
        .iter()
        .map(|(role, content)| sys::llama_chat_message {
            role: role.as_ptr(),
            content: content.as_ptr(),
        })
        .collect();
    let length: usize = messages.iter().map(|(_, content)| content.to_bytes().len()).sum();
    let mut text: Vec<u8> = vec![0; length * 2 + 1024];
    loop {
        let room = i32::try_from(text.len()).ok()?;
        let start = text.as_mut_ptr().cast::<c_char>();
        let (template, chat, n_messages) = (template.as_ptr(), chat.as_ptr(), chat.len());
        // SAFETY: NUL-terminated strings, as many messages and a buffer as long as told.
        let length =
            unsafe { sys::llama_chat_apply_template(template, chat, n_messages, open_reply, start, room) };
        let length = usize::try_from(length).ok()?;
        if length <= text.len() {
            text.truncate(length);
            return String::from_utf8(text).ok();
        }
        text.resize(length, 0);
    }
}
