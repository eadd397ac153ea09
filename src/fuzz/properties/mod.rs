//! What holds for everything that is read from outside, whoever makes the input: the tests beside this module, and the fuzz targets in
//! `fuzz/`.

pub(super) mod boards;
pub(super) mod logs;
pub(super) mod names;
pub(super) mod pins;
pub(super) mod records;
pub(super) mod streams;
pub(super) mod suites;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::base::number::Long as _;

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was read.
    Accepted,
    /// It was refused with a reason.
    Refused,
}

/// Runs `read` on an input of `length` bytes and holds it to `allowance` bytes of memory and `rate` bytes for each of the
/// input: what lives at once, and, as a bound of time that does not depend on the machine, a tenth of all that is ever
/// asked for.
#[track_caller]
fn measured<T>(length: usize, allowance: usize, rate: usize, read: impl FnOnce() -> T) -> T {
    let mut outcome = None;
    // A panic would leave the counter in the middle.
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

/// What is shown to a person: no control characters, which a terminal would act on, and no endless text.
#[track_caller]
fn assert_readable(text: &str, most_characters: usize) {
    let control = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "in {text:?}");
    let count = text.chars().count();
    assert!(count <= most_characters, "{count} characters: {text}");
}
