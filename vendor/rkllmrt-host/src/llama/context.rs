//! A context: the model at work, with its KV cache.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_sys_2 as sys;

use super::{Model, ThreadPool, Token, capture_errors};

/// Why tokens were not computed.
#[derive(Debug)]
pub(crate) enum ComputeError {
    /// The abort flag was seen.
    Aborted,
    /// llama.cpp's words and status.
    Failed(String),
}

/// One sequence. Fields are dropped in this order, as llama.cpp needs it.
#[derive(Debug)]
pub(crate) struct Context {
    ptr: Raw,
    pool: ThreadPool,
    model: Model,
    /// Read by llama.cpp through a pointer while a graph is computed.
    _abort: Arc<AtomicBool>,
    /// One flag a token of a batch, all 0 but while a batch wants logits of its last token.
    outputs: Vec<i8>,
}

#[derive(Debug)]
struct Raw(NonNull<sys::llama_context>);

// SAFETY: a llama context is bound to no thread, only to one at a time, which `&mut` sees to.
unsafe impl Send for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: made by llama_init_from_model and freed only here.
        unsafe { sys::llama_free(self.0.as_ptr()) };
    }
}

impl Context {
    /// A context of `n_ctx` positions, with llama.cpp's defaults for all that shapes speed (batches of 2048, of 512
    /// physically; flash attention where it fits). `abort` set makes a computation under way stop.
    pub(crate) fn new(
        model: Model,
        pool: ThreadPool,
        n_ctx: u32,
        n_threads: i32,
        abort: Arc<AtomicBool>,
    ) -> Result<Self, String> {
        // SAFETY: no condition.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = n_ctx;
        params.n_threads = n_threads;
        params.n_threads_batch = n_threads;
        params.abort_callback = Some(is_set);
        params.abort_callback_data = Arc::as_ptr(&abort).cast_mut().cast();
        let (context, errors) = capture_errors(|| {
            // SAFETY: the model is alive and outlives the context, as does the flag: both are fields of `Context`.
            unsafe { sys::llama_init_from_model(model.as_ptr(), params) }
        });
        let ptr = Raw(NonNull::new(context).ok_or(errors)?);
        // SAFETY: context and pool are alive; the pool is a field dropped after the context.
        unsafe { sys::llama_attach_threadpool(ptr.0.as_ptr(), pool.as_ptr(), pool.as_ptr()) };
        // Less than asked for when the context is shorter.
        // SAFETY: the context is alive.
        let n_batch = unsafe { sys::llama_n_batch(ptr.0.as_ptr()) };
        let outputs = vec![0; n_batch as usize];
        Ok(Self {
            ptr,
            pool,
            model,
            _abort: abort,
            outputs,
        })
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn pool(&mut self) -> &mut ThreadPool {
        &mut self.pool
    }

    /// Computes one token behind those in the cache; its logits are the last.
    pub(crate) fn compute_one(&mut self, token: Token) -> Result<(), ComputeError> {
        self.compute_batch(&[token], true)
    }

    /// Computes tokens behind those in the cache, with logits of the last one only. What was done before a failure
    /// stays in the cache: see `positions`.
    pub(crate) fn compute(&mut self, tokens: &[Token]) -> Result<(), ComputeError> {
        let n_batch = self.outputs.len();
        let n_batches = tokens.len().div_ceil(n_batch);
        for (index, batch) in tokens.chunks(n_batch).enumerate() {
            self.compute_batch(batch, index + 1 == n_batches)?;
        }
        Ok(())
    }

    fn compute_batch(&mut self, tokens: &[Token], logits: bool) -> Result<(), ComputeError> {
        let n_vocab = self.model.n_vocab();
        if let Some(token) = tokens.iter().find(|token| !(0..n_vocab).contains(*token)) {
            return Err(ComputeError::Failed(format!(
                "token {token} is not of this model (0 to {})",
                n_vocab - 1
            )));
        }
        let last = tokens.len().saturating_sub(1);
        self.outputs[last] = i8::from(logits);
        let batch = sys::llama_batch {
            n_tokens: i32::try_from(tokens.len()).unwrap_or(i32::MAX),
            token: tokens.as_ptr().cast_mut(),
            embd: ptr::null_mut(),
            pos: ptr::null_mut(),
            n_seq_id: ptr::null_mut(),
            seq_id: ptr::null_mut(),
            logits: self.outputs.as_mut_ptr(),
        };
        let (status, errors) = capture_errors(|| {
            // SAFETY: the context is alive and ours alone; ids are in range; both arrays have `n_tokens` entries,
            // which llama.cpp only reads; without positions and sequences it counts on in sequence 0.
            unsafe { sys::llama_decode(self.ptr.0.as_ptr(), batch) }
        });
        self.outputs[last] = 0;
        match status {
            0 => Ok(()),
            2 => Err(ComputeError::Aborted),
            1 => Err(ComputeError::Failed("no room in the KV cache".to_owned())),
            status => Err(ComputeError::Failed(format!(
                "llama.cpp failed with {status}: {errors}"
            ))),
        }
    }

    /// Logits of the last token computed, one for each id of the vocabulary; empty if there are none.
    pub(crate) fn logits(&mut self) -> &[f32] {
        // SAFETY: the context is alive; -1 asks for the last row, NULL comes back if there is none.
        let row = unsafe { sys::llama_get_logits_ith(self.ptr.0.as_ptr(), -1) };
        if row.is_null() {
            return &[];
        }
        // SAFETY: a row has an entry for each token of the vocabulary and stays until the next computation, which
        // needs `&mut self` again.
        unsafe { slice::from_raw_parts(row, self.model.n_vocab().unsigned_abs() as usize) }
    }

    /// How many positions the KV cache holds.
    pub(crate) fn positions(&self) -> usize {
        // SAFETY: the memory is alive with its context.
        let last = unsafe { sys::llama_memory_seq_pos_max(self.memory(), 0) };
        usize::try_from(last + 1).unwrap_or(0)
    }

    /// Drops all positions from `keep` on. False: this kind of model cannot forget in part, and nothing was dropped.
    #[must_use]
    pub(crate) fn truncate(&mut self, keep: usize) -> bool {
        let keep = i32::try_from(keep).unwrap_or(i32::MAX);
        // SAFETY: the memory is alive with its context, which is ours alone.
        unsafe { sys::llama_memory_seq_rm(self.memory(), 0, keep, -1) }
    }

    /// Drops all positions.
    pub(crate) fn clear(&mut self) {
        // SAFETY: as for `truncate`. The cells' bytes may stay: nothing attends to them.
        unsafe { sys::llama_memory_clear(self.memory(), false) };
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: the context is alive.
        unsafe { sys::llama_get_memory(self.ptr.0.as_ptr()) }
    }
}

/// llama.cpp's abort callback: asked after each node of a graph.
unsafe extern "C" fn is_set(flag: *mut c_void) -> bool {
    // SAFETY: `Context::new` passed a flag that its `Arc` keeps alive for as long as the context.
    let flag = unsafe { &*flag.cast::<AtomicBool>() };
    flag.load(Ordering::Relaxed)
}
