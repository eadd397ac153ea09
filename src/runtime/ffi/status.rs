//! Errors from the guard's status codes.

use std::ffi::CStr;

use super::{library, sys};
use crate::base::error::{Error, Result};

/// Turns a status of the guard into an error.
pub(super) fn check(call: &'static str, status: i32, why: &sys::rkb_failure) -> Result<()> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: `fail` in the guard always terminates the message within its array.
    let message = unsafe { CStr::from_ptr(why.message.as_ptr()) }.to_string_lossy();
    match status.cast_unsigned() {
        sys::RKB_RUNTIME_FAILED if message.is_empty() => Err(Error::Runtime {
            call,
            reason: format!("the runtime returned {}", why.code),
        }),
        sys::RKB_EXCEPTION => Err(Error::Runtime {
            call,
            reason: format!("C++ exception: {message}"),
        }),
        sys::RKB_OTHER_LAYOUT => Err(Error::OtherLayout {
            found: message.into_owned(),
        }),
        sys::RKB_ABSENT => Err(Error::Absent {
            call,
            generation: library::header_generation().to_owned(),
        }),
        _ => Err(Error::Runtime {
            call,
            reason: message.into_owned(),
        }),
    }
}
