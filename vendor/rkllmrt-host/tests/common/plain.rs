//! llama.cpp alone, one token after the other: what the runtime's answers are compared with.

use std::ffi::CString;
use std::path::Path;
use std::slice;

use llama_cpp_sys_2 as sys;

/// Gives outputs of each token: hidden states and logits.
pub(crate) struct Plain {
    model: *mut sys::llama_model,
    context: *mut sys::llama_context,
}

/// What a token gave.
pub(crate) struct Step {
    pub(crate) hidden: Vec<f32>,
    pub(crate) logits: Vec<f32>,
}

impl Plain {
    pub(crate) fn load(path: &Path) -> Self {
        let path = CString::new(path.to_str().expect("the path is UTF-8")).expect("no NUL");
        // SAFETY: no condition.
        let mut params = unsafe { sys::llama_model_default_params() };
        params.n_gpu_layers = 0;
        // SAFETY: a path that ends in NUL and llama.cpp's own parameters.
        let model = unsafe { sys::llama_model_load_from_file(path.as_ptr(), params) };
        assert!(!model.is_null(), "the model loads");
        // SAFETY: no condition.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = 512;
        params.n_threads = 1;
        params.embeddings = true;
        // SAFETY: the model is alive.
        let context = unsafe { sys::llama_init_from_model(model, params) };
        assert!(!context.is_null(), "the context is made");
        Self { model, context }
    }

    pub(crate) fn n_vocab(&self) -> i32 {
        // SAFETY: the model is alive.
        let vocab = unsafe { sys::llama_model_get_vocab(self.model) };
        // SAFETY: the vocabulary is alive with its model.
        unsafe { sys::llama_vocab_n_tokens(vocab) }
    }

    /// Computes a token behind those before.
    pub(crate) fn step(&mut self, mut token: i32) -> Step {
        // SAFETY: one token, alive until the decode below is over.
        let batch = unsafe { sys::llama_batch_get_one(&raw mut token, 1) };
        // SAFETY: the context is alive, the batch was just made.
        assert_eq!(unsafe { sys::llama_decode(self.context, batch) }, 0);
        // SAFETY: the context is alive and gives embeddings.
        let hidden = unsafe { sys::llama_get_embeddings_ith(self.context, -1) };
        // SAFETY: the model is alive.
        let n_embd = unsafe { sys::llama_model_n_embd(self.model) };
        // SAFETY: the context is alive.
        let logits = unsafe { sys::llama_get_logits_ith(self.context, -1) };
        let copied = |values, length: i32| {
            // SAFETY: a row is as long as this.
            unsafe { slice::from_raw_parts(values, usize::try_from(length).unwrap()) }.to_vec()
        };
        Step {
            hidden: copied(hidden, n_embd),
            logits: copied(logits, self.n_vocab()),
        }
    }

    /// The tokens that these samplers, which the call takes over, choose behind a prompt.
    pub(crate) fn sampled(
        &mut self,
        prompt: &[i32],
        samplers: &[*mut sys::llama_sampler],
        n_tokens: usize,
    ) -> Vec<i32> {
        // SAFETY: no condition.
        let params = unsafe { sys::llama_sampler_chain_default_params() };
        // SAFETY: llama.cpp's own parameters.
        let chain = unsafe { sys::llama_sampler_chain_init(params) };
        for &sampler in samplers {
            // SAFETY: both are alive; the chain takes over the sampler.
            unsafe { sys::llama_sampler_chain_add(chain, sampler) };
        }
        for &token in prompt {
            self.step(token);
        }
        let mut tokens = Vec::new();
        while tokens.len() < n_tokens {
            // SAFETY: both are alive, and the last token has logits.
            tokens.push(unsafe { sys::llama_sampler_sample(chain, self.context, -1) });
            self.step(tokens[tokens.len() - 1]);
        }
        // SAFETY: made above and freed only here.
        unsafe { sys::llama_sampler_free(chain) };
        tokens
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // SAFETY: made by llama.cpp and freed only here.
        unsafe { sys::llama_free(self.context) };
        // SAFETY: as above; nothing uses the model any more.
        unsafe { sys::llama_model_free(self.model) };
    }
}

/// The place of the highest value.
pub(crate) fn argmax(values: &[f32]) -> i32 {
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let place = values.iter().position(|value| value.total_cmp(&highest).is_eq());
    i32::try_from(place.expect("values")).unwrap()
}

/// The root mean square of the differences between two lists of values.
#[track_caller]
pub(crate) fn distance(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let squares = one.iter().zip(other).map(|(one, other)| (one - other).powi(2));
    let length = f32::from(u16::try_from(one.len()).expect("short lists"));
    (squares.sum::<f32>() / length).sqrt()
}
