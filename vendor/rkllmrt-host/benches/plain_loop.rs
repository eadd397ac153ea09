//! What the C API costs: decode through it against a plain llama.cpp loop with an argmax, in one process.
//!
//! Short rounds of the two take turns, and turns at going first, so that drift falls on both alike; each round is one
//! prompt and a fixed number of tokens, greedy. The figure is the ratio of the medians of the time a token, over all
//! tokens of all rounds; the goal is 1.01 at most. On a machine that does other work as well, look at the fastest
//! tenth.
//!
//!     cargo bench --workspace --bench plain_loop [-- <model.gguf> [threads [rounds]]]
#![expect(unsafe_code, reason = "both sides are C APIs")]
#![expect(clippy::expect_used, reason = "a benchmark stops at what it did not expect")]
#![expect(clippy::print_stdout, reason = "its figure is what it is for")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::env;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Client, header::RKLLMParam, infer_param, token_input};
use llama_cpp_sys_2 as sys;

const N_PROMPT: i32 = 8;
const N_TOKENS: i32 = 16;
const WINDOW: i32 = 512;

fn main() {
    let mut args = env::args().skip(1).filter(|arg| arg != "--bench");
    let model = args
        .next()
        .map_or_else(|| common::tiny().to_owned(), PathBuf::from);
    let threads: i8 = args
        .next()
        .map_or(1, |arg| arg.parse().expect("a number of threads"));
    let rounds: usize = args
        .next()
        .map_or(200, |arg| arg.parse().expect("a number of rounds"));
    let prompt: Vec<i32> = (0..N_PROMPT).map(|index| 300 + index).collect();

    let client = client(&model, threads);
    let mut plain = Plain::load(&model, i32::from(threads));
    let (mut by_api, mut by_loop) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let early = (round % 2 == 0).then(|| through_the_api(&client, &prompt));
        let (loop_tokens, loop_times) = plain.round(&prompt);
        let (api_tokens, api_times) = early.unwrap_or_else(|| through_the_api(&client, &prompt));
        assert_eq!(api_tokens, loop_tokens, "both sides generate the same");
        // The first round warms up caches and page tables on both sides.
        if round > 0 {
            by_api.extend(api_times);
            by_loop.extend(loop_times);
        }
    }
    println!(
        "{}: {} tokens a side, {threads} threads",
        model.display(),
        by_api.len()
    );
    by_api.sort_unstable();
    by_loop.sort_unstable();
    // The fastest tenth is what the machine gives when nothing else runs on it.
    for (name, share) in [("median", 2), ("fastest tenth", 10)] {
        let (api, plain) = (by_api[by_api.len() / share], by_loop[by_loop.len() / share]);
        let ratio = api.as_secs_f64() / plain.as_secs_f64();
        println!("{name:<13}  C API {api:>9.2?}  plain loop {plain:>9.2?}  ratio {ratio:.4}");
    }
}

/// The gaps between moments.
fn gaps(stamps: &[Instant]) -> Vec<Duration> {
    stamps.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn client(model: &Path, threads: i8) -> Client {
    let mut param = RKLLMParam {
        max_new_tokens: N_TOKENS,
        max_context_len: WINDOW,
        ..common::greedy()
    };
    param.extend_param.enabled_cpus_num = threads;
    Client::load(model, &param)
}

fn through_the_api(client: &Client, prompt: &[i32]) -> (Vec<i32>, Vec<Duration>) {
    let mut stamps = Vec::with_capacity(N_TOKENS as usize + 1);
    client.clear(0);
    let (status, events) = client.call(&token_input(prompt), &infer_param(), |_| {
        stamps.push(Instant::now());
        0
    });
    assert_eq!(status, 0, "rkllm_run");
    stamps.pop(); // FINISH
    let tokens = events[..events.len() - 1]
        .iter()
        .map(|event| event.token)
        .collect();
    (tokens, gaps(&stamps))
}

/// As cheap as the runtime's own: a slower one here would hide what the API costs.
fn argmax(logits: &[f32]) -> i32 {
    let (blocks, rest) = logits.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let highest = lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |high, &value| high.max(value));
    let index = logits
        .iter()
        .position(|value| value.to_bits() == highest.to_bits());
    i32::try_from(index.expect("logits")).expect("an id")
}

/// llama.cpp as its own programs use it: a thread pool with the default parameters, batches by
/// `llama_batch_get_one`.
struct Plain {
    model: *mut sys::llama_model,
    context: *mut sys::llama_context,
    pool: *mut sys::ggml_threadpool,
    n_vocab: usize,
}

impl Plain {
    fn load(path: &Path, threads: i32) -> Self {
        let path = CString::new(path.to_str().expect("the path is UTF-8")).expect("the path holds no NUL");
        // SAFETY: no condition.
        let mut params = unsafe { sys::llama_model_default_params() };
        params.n_gpu_layers = 0;
        // SAFETY: a path that ends in NUL and llama.cpp's own parameters.
        let model = unsafe { sys::llama_model_load_from_file(path.as_ptr(), params) };
        assert!(!model.is_null(), "the model loads");
        // SAFETY: no condition.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = WINDOW.unsigned_abs();
        params.n_threads = threads;
        params.n_threads_batch = threads;
        // SAFETY: the model is alive.
        let context = unsafe { sys::llama_init_from_model(model, params) };
        assert!(!context.is_null(), "the context is made");
        // SAFETY: no condition.
        let mut params = unsafe { sys::ggml_threadpool_params_default(threads) };
        // SAFETY: ggml reads the parameters during the call.
        let pool = unsafe { sys::ggml_threadpool_new(&raw mut params) };
        // SAFETY: both are alive; `drop` frees the context first.
        unsafe { sys::llama_attach_threadpool(context, pool, pool) };
        // SAFETY: the model is alive.
        let vocab = unsafe { sys::llama_model_get_vocab(model) };
        // SAFETY: the vocabulary is alive with its model.
        let n_vocab = unsafe { sys::llama_vocab_n_tokens(vocab) };
        Self {
            model,
            context,
            pool,
            n_vocab: usize::try_from(n_vocab).expect("a vocabulary"),
        }
    }

    fn decode(&mut self, tokens: &mut [i32]) -> i32 {
        let count = i32::try_from(tokens.len()).expect("few tokens");
        // SAFETY: the tokens are as many as told and live until the decode below is over.
        let batch = unsafe { sys::llama_batch_get_one(tokens.as_mut_ptr(), count) };
        // SAFETY: the context is alive, the batch was just made.
        let status = unsafe { sys::llama_decode(self.context, batch) };
        assert_eq!(status, 0, "llama_decode");
        // SAFETY: the context is alive; -1 asks for the last row.
        let logits = unsafe { sys::llama_get_logits_ith(self.context, -1) };
        // SAFETY: a row has an entry for each token of the vocabulary.
        let logits = unsafe { std::slice::from_raw_parts(logits, self.n_vocab) };
        argmax(logits)
    }

    fn round(&mut self, prompt: &[i32]) -> (Vec<i32>, Vec<Duration>) {
        // SAFETY: the context is alive.
        let memory = unsafe { sys::llama_get_memory(self.context) };
        // SAFETY: the memory is alive with its context.
        unsafe { sys::llama_memory_clear(memory, false) };
        let mut tokens = Vec::with_capacity(N_TOKENS as usize);
        let mut stamps = Vec::with_capacity(N_TOKENS as usize);
        let mut next = self.decode(&mut prompt.to_vec());
        loop {
            stamps.push(Instant::now());
            tokens.push(next);
            if tokens.len() == N_TOKENS as usize {
                return (tokens, gaps(&stamps));
            }
            next = self.decode(&mut [next]);
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // SAFETY: made by llama.cpp and freed only here.
        unsafe { sys::llama_free(self.context) };
        // SAFETY: as above; nothing uses the pool any more.
        unsafe { sys::ggml_threadpool_free(self.pool) };
        // SAFETY: as above; nothing uses the model any more.
        unsafe { sys::llama_model_free(self.model) };
    }
}
