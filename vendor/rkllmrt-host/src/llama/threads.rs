//! ggml's thread pool.

use std::fmt;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

/// How many threads compute, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threads {
    pub(crate) count: i32,
    /// Bit n is CPU n; each thread gets one of these CPUs for itself. `None`: no thread is pinned.
    pub(crate) mask: Option<u32>,
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} thread{plural} on ", self.count)?;
        match self.mask {
            Some(mask) => write!(f, "CPUs {mask:#x}"),
            None => f.write_str("any CPU"),
        }
    }
}

/// Worker 0 of the pool is whichever thread computes a graph; the others are the pool's own. The pool is at rest but
/// for the runs: its threads sleep, and the first graph of a run wakes them and gives worker 0 its CPU.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    ptr: NonNull<sys::ggml_threadpool>,
}

// SAFETY: ggml guards the pool's state with its own mutex and atomics; no call depends on the thread that makes it.
unsafe impl Send for ThreadPool {}

impl ThreadPool {
    pub(crate) fn new(threads: Threads) -> Option<Self> {
        // SAFETY: no condition.
        let mut params = unsafe { sys::ggml_threadpool_params_default(threads.count) };
        params.paused = true;
        if let Some(mask) = threads.mask {
            params.strict_cpu = true;
            for cpu in (0..u32::BITS).filter(|cpu| mask & (1 << cpu) != 0) {
                params.cpumask[cpu as usize] = true;
            }
        }
        // SAFETY: `params` is a valid struct for the duration of the call, which only reads it.
        let pool = unsafe { sys::ggml_threadpool_new(&raw mut params) };
        NonNull::new(pool).map(|ptr| Self { ptr })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_threadpool {
        self.ptr.as_ptr()
    }

    /// Puts the pool to rest. Only between graphs.
    pub(crate) fn rest(&mut self) {
        // SAFETY: the pool is alive, and `&mut` with the context's own `&mut` on decode keeps graphs away.
        unsafe { sys::ggml_threadpool_pause(self.ptr.as_ptr()) };
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // SAFETY: made by ggml_threadpool_new and freed only here; `Context` drops its llama context first.
        unsafe { sys::ggml_threadpool_free(self.ptr.as_ptr()) };
    }
}
