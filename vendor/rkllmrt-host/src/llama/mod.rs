//! A small safe layer over llama.cpp's C API: every pointer of it lives in one of these types and is freed there.

mod adapter;
mod bare;
mod chain;
mod context;
#[cfg(test)]
mod fuzz;
mod log;
mod metadata;
mod model;
mod threads;

use std::ffi::CStr;
use std::ffi::c_char;
use std::sync::Once;

use llama_cpp_sys_2 as sys;

pub(crate) use adapter::Adapter;
pub(crate) use chain::{Chain, Link};
pub(crate) use context::{ComputeError, Context, Entries, Output};
pub(crate) use log::{capture as capture_errors, redirect as redirect_log, warnings_of};
pub(crate) use metadata::{EMBEDDING, Metadata};
pub(crate) use model::{Model, NotLoaded, apply_chat_template};
pub(crate) use threads::{ThreadPool, Threads};

/// A token's id, as llama.cpp and RKLLM both have it.
pub(crate) type Token = sys::llama_token;

/// Once for the process: llama.cpp's log goes through ours from here on. Called before anything else of this module.
pub(crate) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        redirect_log();
        // SAFETY: no condition; `Once` keeps it to one call.
        unsafe { sys::llama_backend_init() };
    });
}

pub(crate) fn version() -> String {
    // SAFETY: no condition.
    let version = unsafe { sys::llama_version() };
    // SAFETY: llama.cpp returns a static, NUL-terminated string.
    unsafe { owned(version) }
}

/// Only on a CPU that has passed `cpu::check`: this initialises ggml's CPU backend.
pub(crate) fn system_info() -> String {
    start();
    // SAFETY: no condition.
    let info = unsafe { sys::llama_print_system_info() };
    // SAFETY: llama.cpp returns a static buffer with a NUL-terminated string.
    unsafe { owned(info) }
}

/// # Safety
///
/// `text` points at a NUL-terminated string that nobody changes meanwhile.
unsafe fn owned(text: *const c_char) -> String {
    // SAFETY: the caller upholds it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
