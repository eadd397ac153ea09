//! A chain of llama.cpp's samplers.

use std::ptr::NonNull;
use std::slice;

use llama_cpp_sys_2 as sys;

use super::Token;

/// By how many of the likeliest tokens mirostat 1 estimates the distribution: the paper's m, and llama.cpp's.
const MIROSTAT_M: i32 = 100;

/// One sampler of a chain.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Link {
    Penalties {
        n_vocab: i32,
        last_n: i32,
        repeat: f32,
        frequency: f32,
        presence: f32,
    },
    TopK(i32),
    TopP(f32),
    Temperature(f32),
    /// Mirostat 1 (Basu et al., "Mirostat: a neural text decoding algorithm that directly controls perplexity", ICLR
    /// 2021), which draws by itself: `tau` is the wanted surprise in bits a token, `eta` how fast it is approached.
    Mirostat1 {
        n_vocab: i32,
        seed: u32,
        tau: f32,
        eta: f32,
    },
    /// Mirostat 2, of the same paper.
    Mirostat2 {
        seed: u32,
        tau: f32,
        eta: f32,
    },
    /// Draws by probability.
    Draw {
        seed: u32,
    },
    /// Takes the likeliest.
    Greedy,
}

/// Samplers in the order they were given, and the array they work on.
#[derive(Debug)]
pub(crate) struct Chain {
    ptr: NonNull<sys::llama_sampler>,
    candidates: Vec<sys::llama_token_data>,
}

// SAFETY: a sampler is bound to no thread, only to one at a time, which `&mut` sees to.
unsafe impl Send for Chain {}

impl Chain {
    pub(crate) fn new(links: &[Link]) -> Option<Self> {
        // SAFETY: no condition.
        let chain =
            unsafe { sys::llama_sampler_chain_init(sys::llama_sampler_chain_params { no_perf: true }) };
        let chain = Self {
            ptr: NonNull::new(chain)?,
            candidates: Vec::new(),
        };
        for link in links {
            let sampler = NonNull::new(link.make())?;
            // SAFETY: both are alive; the chain takes over the sampler.
            unsafe { sys::llama_sampler_chain_add(chain.ptr.as_ptr(), sampler.as_ptr()) };
        }
        Some(chain)
    }

    /// Chooses a token by its logits.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Option<Token> {
        self.candidates.clear();
        self.candidates
            .extend(
                (0..)
                    .zip(logits)
                    .map(|(id, &logit)| sys::llama_token_data { id, logit, p: 0.0 }),
            );
        let mut array = sys::llama_token_data_array {
            data: self.candidates.as_mut_ptr(),
            size: self.candidates.len(),
            selected: -1,
            sorted: false,
        };
        // SAFETY: the chain is alive; the array describes `candidates`, which nobody else touches meanwhile.
        unsafe { sys::llama_sampler_apply(self.ptr.as_ptr(), &raw mut array) };
        let selected = usize::try_from(array.selected)
            .ok()
            .filter(|&selected| selected < array.size)?;
        // SAFETY: the samplers leave `size` entries at `data`, in our memory or in theirs, alive until the next call.
        let candidates = unsafe { slice::from_raw_parts(array.data, array.size) };
        candidates.get(selected).map(|candidate| candidate.id)
    }

    /// Tells the samplers that look back which token came.
    pub(crate) fn accept(&mut self, token: Token) {
        // SAFETY: the chain is alive; the callers pass ids of the vocabulary.
        unsafe { sys::llama_sampler_accept(self.ptr.as_ptr(), token) };
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: made by llama_sampler_chain_init and freed only here, with all its samplers.
        unsafe { sys::llama_sampler_free(self.ptr.as_ptr()) };
    }
}

impl Link {
    fn make(self) -> *mut sys::llama_sampler {
        match self {
            Link::Penalties {
                n_vocab,
                last_n,
                repeat,
                frequency,
                presence,
            } => {
                // SAFETY: the values are finite and `repeat` is above 0: `Sampling::new` checks that.
                unsafe { sys::llama_sampler_init_penalties(n_vocab, last_n, repeat, frequency, presence) }
            }
            // SAFETY: no condition.
            Link::TopK(k) => unsafe { sys::llama_sampler_init_top_k(k) },
            // SAFETY: no condition.
            Link::TopP(p) => unsafe { sys::llama_sampler_init_top_p(p, 1) },
            // SAFETY: no condition.
            Link::Temperature(temperature) => unsafe { sys::llama_sampler_init_temp(temperature) },
            Link::Mirostat1 {
                n_vocab,
                seed,
                tau,
                eta,
            } => {
                // SAFETY: no condition.
                unsafe { sys::llama_sampler_init_mirostat(n_vocab, seed, tau, eta, MIROSTAT_M) }
            }
            // SAFETY: no condition.
            Link::Mirostat2 { seed, tau, eta } => unsafe {
                sys::llama_sampler_init_mirostat_v2(seed, tau, eta)
            },
            // SAFETY: no condition.
            Link::Draw { seed } => unsafe { sys::llama_sampler_init_dist(seed) },
            // SAFETY: no condition.
            Link::Greedy => unsafe { sys::llama_sampler_init_greedy() },
        }
    }
}
