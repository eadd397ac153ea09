//! `RKLLMRT_HOST_SLOWDOWN`, in a process of its own: the variable is the process's.
#![cfg(feature = "slowdown")]
#![expect(unsafe_code, reason = "the C API is what is tested")]

mod common;

use std::ptr;

use common::stderr::refused;
use common::{greedy, init, small};

const VARIABLE: &str = "RKLLMRT_HOST_SLOWDOWN";

#[test]
fn init_refuses_what_it_cannot_read_and_takes_the_rest() {
    let load = |value: &str| {
        // SAFETY: no other thread of this process is at work: this is its only test.
        unsafe { std::env::set_var(VARIABLE, value) };
        init(small(), &greedy(), ptr::null_mut())
    };
    refused(
        || {
            let (status, handle) = load("decode=3");
            if handle.is_null() { status } else { 0 }
        },
        &[VARIABLE, "\"3\" is no percentage", "decode=3%"],
    );
    let (status, handle) = load("prefill=5%,decode=3%,stall=1/2");
    assert_eq!(status, 0);
    assert!(!handle.is_null());
}
