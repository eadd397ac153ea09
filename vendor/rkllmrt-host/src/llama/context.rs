//! A context: the model at work, with its KV cache.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_sys_2 as sys;

use super::{Adapter, Model, ThreadPool, Token, capture_errors};

/// How many tokens are computed at a time when each has an output: llama.cpp keeps room for all outputs of a batch, and
/// a row of logits is as long as the vocabulary.
const OUTPUT_BATCH: usize = 64;

/// Why tokens were not computed.
#[derive(Debug)]
pub(crate) enum ComputeError {
    /// The abort flag was seen.
    Aborted,
    /// llama.cpp's words and status.
    Failed(String),
}

/// What positions are computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entries<'a> {
    Tokens(&'a [Token]),
    /// Embeddings, one row of the model's input width after the other.
    Rows(&'a [f32]),
}

/// What a model gives for a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The last layer's hidden state, behind the final norm: what the output matrix takes.
    Hidden,
    Logits,
}

/// Which entries of a batch have outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    None,
    Last,
    All,
}

/// One sequence. Fields are dropped in this order, as llama.cpp needs it.
#[derive(Debug)]
pub(crate) struct Context {
    ptr: Raw,
    pool: ThreadPool,
    model: Model,
    /// Read by llama.cpp through a pointer while a graph is computed.
    _abort: Arc<AtomicBool>,
    /// One flag an entry of a batch, all 0 but while a batch wants outputs.
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
        self.compute_batch(Entries::Tokens(&[token]), Wanted::Last)
    }

    /// Computes entries behind those in the cache, with logits of the last one only. What was done before a failure
    /// stays in the cache: see `positions`.
    pub(crate) fn compute(&mut self, entries: Entries<'_>) -> Result<(), ComputeError> {
        let batches = self.batches(entries, self.outputs.len());
        let n_batches = batches.len();
        for (index, batch) in batches.into_iter().enumerate() {
            let last = index + 1 == n_batches;
            self.compute_batch(batch, if last { Wanted::Last } else { Wanted::None })?;
        }
        Ok(())
    }

    /// Computes entries behind those in the cache and adds to `out` what comes of each, a row after the other.
    pub(crate) fn compute_outputs(
        &mut self,
        entries: Entries<'_>,
        output: Output,
        out: &mut Vec<f32>,
    ) -> Result<(), ComputeError> {
        self.give_hidden_states(output == Output::Hidden);
        let batches = self.batches(entries, self.outputs.len().min(OUTPUT_BATCH));
        let computed = batches.into_iter().try_for_each(|batch| {
            self.compute_batch(batch, Wanted::All)?;
            (0..self.n_entries(batch)).try_for_each(|index| {
                out.extend_from_slice(self.output(output, index)?);
                Ok(())
            })
        });
        self.give_hidden_states(false);
        computed
    }

    /// How wide a row of this output is.
    pub(crate) fn output_width(&self, output: Output) -> usize {
        match output {
            Output::Hidden => self.model.output_width(),
            Output::Logits => self.model.n_vocab().unsigned_abs() as usize,
        }
    }

    fn give_hidden_states(&mut self, wanted: bool) {
        // SAFETY: the context is alive and ours alone.
        unsafe { sys::llama_set_embeddings(self.ptr.0.as_ptr(), wanted) };
    }

    fn output(&self, output: Output, index: usize) -> Result<&[f32], ComputeError> {
        let entry = i32::try_from(index).unwrap_or(i32::MAX);
        let row = match output {
            // SAFETY: the context is alive; NULL comes back if the last batch has no such output.
            Output::Hidden => unsafe { sys::llama_get_embeddings_ith(self.ptr.0.as_ptr(), entry) },
            // SAFETY: as above.
            Output::Logits => unsafe { sys::llama_get_logits_ith(self.ptr.0.as_ptr(), entry) },
        };
        if row.is_null() {
            return Err(ComputeError::Failed("the model gave no such output".to_owned()));
        }
        // SAFETY: a row is as long as this and stays until the next computation, which needs `&mut self`.
        Ok(unsafe { slice::from_raw_parts(row, self.output_width(output)) })
    }

    fn n_entries(&self, entries: Entries<'_>) -> usize {
        match entries {
            Entries::Tokens(tokens) => tokens.len(),
            Entries::Rows(rows) => rows.len() / self.model.input_width(),
        }
    }

    fn batches<'a>(&self, entries: Entries<'a>, n_batch: usize) -> Vec<Entries<'a>> {
        match entries {
            Entries::Tokens(tokens) => tokens.chunks(n_batch).map(Entries::Tokens).collect(),
            Entries::Rows(rows) => {
                let length = n_batch * self.model.input_width();
                rows.chunks(length).map(Entries::Rows).collect()
            }
        }
    }

    fn compute_batch(&mut self, entries: Entries<'_>, wanted: Wanted) -> Result<(), ComputeError> {
        let n_entries = self.n_entries(entries);
        let (token, embd) = match entries {
            Entries::Tokens(tokens) => {
                self.model.check_tokens(tokens).map_err(ComputeError::Failed)?;
                (tokens.as_ptr().cast_mut(), ptr::null_mut())
            }
            Entries::Rows(rows) => (ptr::null_mut(), rows.as_ptr().cast_mut()),
        };
        let flagged = match wanted {
            Wanted::None => n_entries..n_entries,
            Wanted::Last => n_entries.saturating_sub(1)..n_entries,
            Wanted::All => 0..n_entries,
        };
        self.outputs[flagged.clone()].fill(1);
        let batch = sys::llama_batch {
            n_tokens: i32::try_from(n_entries).unwrap_or(i32::MAX),
            token,
            embd,
            pos: ptr::null_mut(),
            n_seq_id: ptr::null_mut(),
            seq_id: ptr::null_mut(),
            logits: self.outputs.as_mut_ptr(),
        };
        let (status, errors) = capture_errors(|| {
            // SAFETY: the context is alive and ours alone; ids are in range; the flags and the tokens, or the rows of
            // the input's width, are `n_tokens`, which llama.cpp only reads; without positions and sequences it
            // counts on in sequence 0.
            unsafe { sys::llama_decode(self.ptr.0.as_ptr(), batch) }
        });
        self.outputs[flagged].fill(0);
        match status {
            0 => Ok(()),
            2 => Err(ComputeError::Aborted),
            1 => Err(ComputeError::Failed("no room in the KV cache".to_owned())),
            status => Err(ComputeError::Failed(format!(
                "llama.cpp failed with {status}: {errors}"
            ))),
        }
    }

    /// Lets an adapter of this model take part from here on, with a strength; `None`: the model alone.
    pub(crate) fn use_adapter(&mut self, adapter: Option<(&Adapter, f32)>) {
        let (mut adapters, mut scales): (Vec<_>, Vec<_>) = adapter
            .into_iter()
            .map(|(adapter, scale)| (adapter.as_ptr(), scale))
            .unzip();
        let (adapters, scales, n_adapters) = (adapters.as_mut_ptr(), scales.as_mut_ptr(), adapters.len());
        // SAFETY: the context is alive and ours alone; the adapter is of its model and lives as long; both arrays are
        // as long as told and llama.cpp copies them.
        unsafe { sys::llama_set_adapters_lora(self.ptr.0.as_ptr(), adapters, n_adapters, scales) };
    }

    /// What the KV cache holds, as bytes for `restore`.
    pub(crate) fn state(&mut self) -> Vec<u8> {
        // SAFETY: the context is alive and ours alone.
        let size = unsafe { sys::llama_state_seq_get_size(self.ptr.0.as_ptr(), 0) };
        let mut state = vec![0; size];
        // SAFETY: as above; the buffer is as long as told.
        let written =
            unsafe { sys::llama_state_seq_get_data(self.ptr.0.as_ptr(), state.as_mut_ptr(), size, 0) };
        state.truncate(written);
        state
    }

    /// Replaces what the KV cache holds by what `state` gave, in a context of the same model; the error is
    /// llama.cpp's, and the cache is empty then.
    pub(crate) fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        self.clear();
        let (read, errors) = capture_errors(|| {
            // SAFETY: the context is alive and ours alone; the bytes are as many as told.
            unsafe { sys::llama_state_seq_set_data(self.ptr.0.as_ptr(), state.as_ptr(), state.len(), 0) }
        });
        if read == state.len() {
            return Ok(());
        }
        self.clear();
        Err(errors)
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

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::{Context, Entries, Output};
    use crate::builtin::{self, Shape};
    use crate::llama::{Model, ThreadPool, Threads, start};

    #[test]
    fn hidden_states_are_given_when_asked_for_and_cost_nothing_after() {
        start();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        builtin::write(&Shape::TINY, &path).expect("written");
        let path = CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
        let model = Model::load(&path).expect("a model");
        let threads = Threads { count: 1, mask: None };
        let pool = ThreadPool::new(threads).expect("a pool");
        let abort = Arc::new(AtomicBool::new(false));
        let mut context = Context::new(model, pool, 64, 1, abort).expect("a context");
        let mut rows = Vec::new();
        context
            .compute_outputs(Entries::Tokens(&[1, 300]), Output::Hidden, &mut rows)
            .expect("computed");
        assert_eq!(rows.len(), 2 * Shape::TINY.n_embd);
        context.compute(Entries::Tokens(&[301])).expect("computed");
        assert!(context.output(Output::Hidden, 0).is_err());
        assert!(context.output(Output::Logits, 0).is_ok());
    }
}
