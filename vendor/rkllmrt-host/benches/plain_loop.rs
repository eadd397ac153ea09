//! What the C API costs: decode through it against a plain llama.cpp loop with an argmax, in one process.
//!
//! Where the memory of a loaded model happens to lie moves a token's time by a few percent, which is more than the
//! API costs. So both sides are loaded afresh a number of times, and take turns at being loaded first. After each
//! loading, short rounds of the two take turns as well, so that drift falls on both alike; a round is one prompt and a
//! fixed number of tokens, greedy. A loading gives the ratio of the medians of the time a token; the figure is the
//! median of these ratios with its 95 % confidence interval, the goal 1.01 at most. The control is the same with a second plain loop in place of the API:
//! what it shows beside 1 is the noise, and a figure closer to 1 than that says nothing.
//!
//!     cargo bench --workspace --bench plain_loop [-- <model.gguf>|tiny [threads [loadings [rounds]]]]
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
        .filter(|name| name != "tiny")
        .map_or_else(|| common::tiny().to_owned(), PathBuf::from);
    let mut number = |default: usize| args.next().map_or(default, |arg| arg.parse().expect("a number"));
    let (threads, loadings, rounds) = (number(1), number(24), number(25));
    let threads = i8::try_from(threads).expect("few threads");

    println!(
        "{}, {threads} threads, {loadings} loadings of {rounds} rounds",
        model.display()
    );
    let api = || -> Round {
        let client = client(&model, threads);
        Box::new(move |prompt| through_the_api(&client, prompt))
    };
    let plain = || -> Round {
        let mut plain = Plain::load(&model, i32::from(threads));
        Box::new(move |prompt| plain.round(prompt))
    };
    // The two comparisons alternate as well: the machine may change during a long run.
    let (mut figure, mut control) = (Vec::new(), Vec::new());
    for loading in 0..loadings {
        figure.push(compare(&api, &plain, loading % 2 == 0, rounds));
        control.push(compare(&plain, &plain, loading % 2 == 0, rounds));
    }
    report("C API", figure);
    report("control", control);
}

/// One side, loaded: runs a prompt and gives the tokens with the gaps between them.
type Round = Box<dyn FnMut(&[i32]) -> (Vec<i32>, Vec<Duration>)>;

/// Loads two sides and runs them in turn: the median of the time a token for each.
fn compare(
    one: &dyn Fn() -> Round,
    other: &dyn Fn() -> Round,
    one_first: bool,
    rounds: usize,
) -> (Duration, Duration) {
    let prompt: Vec<i32> = (0..N_PROMPT).map(|index| 300 + index).collect();
    let early = one_first.then(one);
    let mut other = other();
    let mut one = early.unwrap_or_else(one);
    let (mut one_times, mut other_times) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let early = (round % 2 == 0).then(|| one(&prompt));
        let (other_tokens, other_gaps) = other(&prompt);
        let (one_tokens, one_gaps) = early.unwrap_or_else(|| one(&prompt));
        assert_eq!(one_tokens, other_tokens, "both sides generate the same");
        // The first round warms up caches and page tables on both sides.
        if round > 0 {
            one_times.extend(one_gaps);
            other_times.extend(other_gaps);
        }
    }
    (median(one_times), median(other_times))
}

fn report(name: &str, pairs: Vec<(Duration, Duration)>) {
    let mut ratios: Vec<f64> = pairs
        .iter()
        .map(|(one, other)| one.as_secs_f64() / other.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: usize| ratios[(ratios.len() - 1) * share / 4];
    let (one, other): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let interval = interval_of_median(&ratios).map_or_else(
        || "too few loadings for an interval".to_owned(),
        |(low, high)| format!("95 % interval {low:.4} to {high:.4}"),
    );
    println!(
        "{name:<8} {:>9.2?} a token, plain loop {:>9.2?}, ratio {:.4} ({interval}, quartiles {:.4} and {:.4})",
        median(one),
        median(other),
        at(2),
        at(1),
        at(3)
    );
}

/// A confidence interval of the median of at least 95 %, whatever the distribution: the kth lowest and the kth highest
/// value, with the largest k for which at most 2.5 % of the binomial distribution of as many fair coins lies below it.
/// `None` below six values, of which not even the extremes are enough.
fn interval_of_median(sorted: &[f64]) -> Option<(f64, f64)> {
    let count = f64::from(u32::try_from(sorted.len()).expect("few loadings"));
    let (mut ways, mut below, mut rank) = (0.5_f64.powf(count), 0.0, 0);
    while below + ways <= 0.025 {
        below += ways;
        ways *= (count - f64::from(rank)) / f64::from(rank + 1);
        rank += 1;
    }
    let rank = usize::try_from(rank).ok()?.checked_sub(1)?;
    Some((sorted[rank], sorted[sorted.len() - 1 - rank]))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
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
