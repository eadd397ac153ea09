//! The properties of everything that is read from outside. The tests beside this module and the fuzz targets in `fuzz/`
//! check them.

pub(super) mod boards;
pub(super) mod logs;
pub(super) mod names;
pub(super) mod pins;
pub(super) mod records;
pub(super) mod streams;
pub(super) mod suites;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::base::number::Long as _;

/// The result of reading an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was read.
    Accepted,
    /// It was refused with a reason.
    Refused,
}

/// Runs `read` on an input of `length` bytes and limits its memory to `allowance` bytes plus `rate` bytes for each byte
/// of input. All allocations together may take ten times that, which bounds the time independently of the machine.
#[track_caller]
fn measured<T>(length: usize, allowance: usize, rate: usize, read: impl FnOnce() -> T) -> T {
    let mut outcome = None;
    // A panic would leave the counter running.
    let seen = allocation_counter::measure(|| outcome = Some(catch_unwind(AssertUnwindSafe(read))));
    let value = outcome
        .expect("it was run")
        .unwrap_or_else(|panic| resume_unwind(panic));
    let most = (allowance + rate * length).long();
    assert!(
        seen.bytes_max <= most && seen.bytes_total <= 10 * most,
        "{length} bytes of input took {} bytes of memory at once and {} in all: {most} and ten times that are allowed",
        seen.bytes_max,
        seen.bytes_total
    );
    value
}

/// Text for people: no control characters, which a terminal would act on, and a limited length.
#[track_caller]
fn assert_readable(text: &str, most_characters: usize) {
    let control = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "in {text:?}");
    let count = text.chars().count();
    assert!(count <= most_characters, "{count} characters: {text}");
}
