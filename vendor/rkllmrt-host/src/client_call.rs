//! Calls of a client's callbacks through `client_call.cpp`, where its C++ exceptions end.

use std::ffi::{CStr, c_char, c_int, c_void};

use crate::header::{LLMCallState, RKLLMResult};

pub(crate) type ResultFunction = unsafe extern "C" fn(*mut RKLLMResult, *mut c_void, LLMCallState) -> c_int;
pub(crate) type TokenizerFunction =
    unsafe extern "C" fn(*mut c_void, *const c_char, i32, *mut i32, i32) -> c_int;
pub(crate) type EmbedFunction = unsafe extern "C" fn(*mut c_void, *mut i32, u64, *mut c_void, u64) -> c_int;

/// Bytes of an exception's text that are kept.
const ROOM: usize = 256;

unsafe extern "C" {
    fn rkllmrt_call_result(
        callback: ResultFunction,
        result: *mut RKLLMResult,
        userdata: *mut c_void,
        state: LLMCallState,
        thrown: *mut c_char,
        room: usize,
    ) -> c_int;
    fn rkllmrt_call_tokenizer(
        callback: TokenizerFunction,
        userdata: *mut c_void,
        text: *const c_char,
        length: i32,
        tokens: *mut i32,
        most: i32,
        thrown: *mut c_char,
        room: usize,
    ) -> c_int;
    fn rkllmrt_call_embed(
        callback: EmbedFunction,
        userdata: *mut c_void,
        tokens: *mut i32,
        count: u64,
        rows: *mut c_void,
        bytes: u64,
        thrown: *mut c_char,
        room: usize,
    ) -> c_int;
    safe fn rkllmrt_hold_cancel() -> c_int;
    safe fn rkllmrt_allow_cancel(before: c_int);
}

/// # Safety
///
/// The client vouched for function and user data; the result is valid until the function returns.
pub(crate) unsafe fn result(
    callback: ResultFunction,
    result: *mut RKLLMResult,
    userdata: *mut c_void,
    state: LLMCallState,
) -> Result<c_int, String> {
    // SAFETY: the caller's; the buffer is as long as said.
    caught("result_callback", |thrown, room| unsafe {
        rkllmrt_call_result(callback, result, userdata, state, thrown, room)
    })
}

/// # Safety
///
/// The client vouched for function and user data; the text ends in NUL and both arrays are as long as said.
pub(crate) unsafe fn tokenizer(
    callback: TokenizerFunction,
    userdata: *mut c_void,
    text: &CStr,
    length: i32,
    tokens: *mut i32,
    most: i32,
) -> Result<c_int, String> {
    // SAFETY: the caller's; the buffer is as long as said.
    caught("tokenizer_callback", |thrown, room| unsafe {
        rkllmrt_call_tokenizer(
            callback,
            userdata,
            text.as_ptr(),
            length,
            tokens,
            most,
            thrown,
            room,
        )
    })
}

/// # Safety
///
/// The client vouched for function and user data; both arrays are as long as said.
pub(crate) unsafe fn embed(
    callback: EmbedFunction,
    userdata: *mut c_void,
    (tokens, count): (*mut i32, u64),
    (rows, bytes): (*mut c_void, u64),
) -> Result<c_int, String> {
    // SAFETY: the caller's; the buffer is as long as said.
    caught("embed_callback", |thrown, room| unsafe {
        rkllmrt_call_embed(callback, userdata, tokens, count, rows, bytes, thrown, room)
    })
}

/// What `call` returns, or the exception that ended it.
fn caught(name: &str, call: impl FnOnce(*mut c_char, usize) -> c_int) -> Result<c_int, String> {
    let mut thrown = [0_u8; ROOM];
    let status = call(thrown.as_mut_ptr().cast(), ROOM);
    if thrown[0] == 0 {
        return Ok(status);
    }
    let text = thrown.split(|byte| *byte == 0).next().unwrap_or_default();
    Err(format!("{name} threw {}", String::from_utf8_lossy(text)))
}

/// Holds back a cancellation of this thread (`pthread_cancel`) while it lives.
#[derive(Debug)]
pub(crate) struct Uncancelled(c_int);

impl Uncancelled {
    pub(crate) fn here() -> Self {
        Self(rkllmrt_hold_cancel())
    }
}

impl Drop for Uncancelled {
    fn drop(&mut self) {
        rkllmrt_allow_cancel(self.0);
    }
}
