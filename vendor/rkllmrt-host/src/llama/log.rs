//! llama.cpp's log: silent but for errors, which are kept for the call that failed, and for the warnings of a load.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::Once;

use llama_cpp_sys_2 as sys;

use crate::log;

/// Warnings of a load that are kept. A vocabulary can bring one for each of its tokens.
const MOST_WARNINGS: usize = 4;

thread_local! {
    /// Errors that llama.cpp logged on this thread during `capture`; `None` outside of it.
    static CAPTURED: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The same for warnings, during `warnings_of`.
    static WARNINGS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Once for the process: llama.cpp's log comes here from then on.
pub(crate) fn redirect() {
    static REDIRECTED: Once = Once::new();
    // SAFETY: `on_log` fits the callback type, lives forever and needs no user data.
    REDIRECTED.call_once(|| unsafe { sys::llama_log_set(Some(on_log), ptr::null_mut()) });
}

/// Runs `body` and returns with its value what llama.cpp logged as errors meanwhile, empty for nothing.
pub(crate) fn capture<T>(body: impl FnOnce() -> T) -> (T, String) {
    CAPTURED.set(Some(String::new()));
    let value = body();
    (value, CAPTURED.take().unwrap_or_default())
}

/// Runs `body` and returns with its value what llama.cpp warned of meanwhile: the first few lines, and how many more
/// there were.
pub(crate) fn warnings_of<T>(body: impl FnOnce() -> T) -> (T, Vec<String>) {
    WARNINGS.set(Some(Vec::new()));
    let value = body();
    let mut warnings = WARNINGS.take().unwrap_or_default();
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        warnings.truncate(MOST_WARNINGS);
        warnings.push(format!("and {more} more warnings"));
    }
    (value, warnings)
}

unsafe extern "C" fn on_log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    let is_error = level == sys::GGML_LOG_LEVEL_ERROR;
    if text.is_null() || !is_error && level != sys::GGML_LOG_LEVEL_WARN {
        return;
    }
    // SAFETY: llama.cpp passes a NUL-terminated string that lives until we return.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    if !is_error {
        keep_warning(&text);
        return;
    }
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

/// Keeps a line that says something, without the name of llama.cpp's function before it.
fn keep_warning(text: &str) {
    let is_name = |head: &str| head.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let words = match text.split_once(':') {
        Some((head, rest)) if is_name(head.trim()) => rest.trim(),
        _ => text.trim(),
    };
    if !words.chars().any(char::is_alphabetic) {
        return; // a line of asterisks
    }
    // A thread that ends has no place for it any more, and no load under way.
    let _ = WARNINGS.try_with(|kept| {
        if let Some(kept) = kept.borrow_mut().as_mut()
            && !kept.iter().any(|known| known == words)
        {
            kept.push(words.to_owned());
        }
    });
}
