//! llama.cpp's log: silent but for errors, which are kept for the call that failed.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use llama_cpp_sys_2 as sys;

use crate::log;

thread_local! {
    /// Errors that llama.cpp logged on this thread during `capture`; `None` outside of it.
    static CAPTURED: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub(super) fn redirect() {
    // SAFETY: `on_log` fits the callback type, lives forever and needs no user data.
    unsafe { sys::llama_log_set(Some(on_log), ptr::null_mut()) };
}

/// Runs `body` and returns with its value what llama.cpp logged as errors meanwhile, empty for nothing.
pub(crate) fn capture<T>(body: impl FnOnce() -> T) -> (T, String) {
    CAPTURED.set(Some(String::new()));
    let value = body();
    (value, CAPTURED.take().unwrap_or_default())
}

unsafe extern "C" fn on_log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if level != sys::GGML_LOG_LEVEL_ERROR || text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a NUL-terminated string that lives until we return.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let kept = CAPTURED.try_with(|captured| {
        captured.borrow_mut().as_mut().map(|errors| {
            if !errors.is_empty() {
                errors.push_str("; ");
            }
            errors.push_str(text.trim());
        })
    });
    if !matches!(kept, Ok(Some(()))) {
        log::error(text);
    }
}
