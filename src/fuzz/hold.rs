//! Runs a property on generated input.

use std::cell::Cell;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner, contextualize_config};

use super::Taken;

/// Checks the property of a reader on `cases` inputs, or on `PROPTEST_CASES`. A reader that always refuses proves
/// nothing, nor does one that never refuses: both must happen.
#[track_caller]
pub(super) fn hold_reader<S: Strategy>(
    name: &str,
    cases: u32,
    input: &S,
    property: impl Fn(S::Value) -> Taken,
) {
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

/// The same for code that refuses nothing.
#[track_caller]
pub(super) fn hold<S: Strategy>(name: &str, cases: u32, input: &S, property: impl Fn(S::Value)) {
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
