//! Properties of everything that is read from outside, on generated input: valid documents with random edits, and raw bytes.
//!
//! `cargo test` runs each property on as many cases as it names here, from a fixed seed. `PROPTEST_CASES` and
//! `PROPTEST_RNG_SEED` choose others (docs/accuracy.md).

mod boards;
mod edits;
mod names;
mod records;
mod streams;
mod suites;

use crate::base::number::Long as _;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner, contextualize_config};

/// What became of the input of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Accepted,
    Refused,
}

/// Holds the property of a reader to `cases` inputs, or to as many as `PROPTEST_CASES` says. Input that is always refused
/// proves nothing, and neither does input that never is: both must happen.
#[track_caller]
fn hold_reader<S: Strategy>(name: &str, cases: u32, input: &S, property: impl Fn(S::Value) -> Taken) {
    let (cases_run, accepted) = (Cell::new(0_u32), Cell::new(0_u32));
    hold(name, cases, input, |value| {
        let taken = property(value);
        cases_run.set(cases_run.get() + 1);
        accepted.set(accepted.get() + u32::from(taken == Taken::Accepted));
    });
    let (cases, accepted) = (cases_run.get(), accepted.get());
    eprintln!("  {accepted} accepted, {} refused", cases - accepted);
    assert!(
        (1..cases).contains(&accepted),
        "{name}: {accepted} of {cases} were accepted"
    );
}

/// The same for what refuses nothing.
#[track_caller]
fn hold<S: Strategy>(name: &str, cases: u32, input: &S, property: impl Fn(S::Value)) {
    let config = contextualize_config(Config {
        cases,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    });
    let cases = config.cases;
    let held = TestRunner::new(config).run(input, |value| {
        property(value);
        Ok::<_, TestCaseError>(())
    });
    if let Err(error) = held {
        panic!("{name}: {error}");
    }
    eprintln!("{name}: {cases} cases");
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
