//! Properties of the files that this crate reads, on generated input. `PROPTEST_CASES` and `PROPTEST_RNG_SEED` choose other cases than
//! those of a plain `cargo test`.

use std::cell::Cell;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestRunner, contextualize_config};

use crate::prompt_cache::{Draft, PromptCache};

/// Holds a property, which tells whether its input was accepted, to `cases` inputs, or to as many as `PROPTEST_CASES` says. Both
/// outcomes must happen.
#[track_caller]
pub(crate) fn hold<S: Strategy>(name: &str, cases: u32, input: &S, property: impl Fn(S::Value) -> bool) {
    let config = contextualize_config(Config {
        cases,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    });
    let (cases, accepted) = (config.cases, Cell::new(0_u32));
    let held = TestRunner::new(config).run(input, |value| {
        accepted.set(accepted.get() + u32::from(property(value)));
        Ok::<_, TestCaseError>(())
    });
    if let Err(error) = held {
        panic!("{name}: {error}");
    }
    let accepted = accepted.get();
    eprintln!("{name}: {cases} cases, {accepted} accepted");
    assert!(
        (1..cases).contains(&accepted),
        "{name}: {accepted} of {cases} were accepted"
    );
}

#[test]
fn a_prompt_cache_comes_back_as_it_was_or_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, copy) = (folder.path().join("cache"), folder.path().join("copy"));
    let cache = (
        any::<[u8; 32]>(),
        vec(any::<i32>(), 0..20),
        vec(any::<u8>(), 0..200),
    );
    // A byte or the number of tokens changed, the sum made to fit or not; or cut.
    let count = prop_oneof![any::<u64>(), 0..30_u64, Just(u64::MAX), Just(1 << 62)];
    let damage = (
        proptest::option::weighted(0.3, (any::<Index>(), any::<u8>())),
        proptest::option::weighted(0.5, count),
        any::<bool>(),
        proptest::option::weighted(0.1, any::<Index>()),
    );
    hold(
        "prompt caches",
        300,
        &(cache, damage),
        |((weights, tokens, state), (byte, count, sealed, cut))| {
            let cache = PromptCache {
                weights,
                tokens,
                state,
            };
            Draft::create(&path)
                .expect("a place")
                .write(&cache)
                .expect("written");
            let mut bytes = fs::read(&path).expect("read");
            if let Some((at, byte)) = byte {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(count) = count {
                bytes[72..80].copy_from_slice(&count.to_le_bytes());
            }
            if sealed {
                let sum = <sha2::Sha256 as sha2::Digest>::digest(&bytes[40..]);
                bytes[8..40].copy_from_slice(&sum);
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
            fs::write(&path, &bytes).expect("written");
            match PromptCache::read(&path) {
                Ok(read) => {
                    Draft::create(&copy)
                        .expect("a place")
                        .write(&read)
                        .expect("written");
                    assert_eq!(fs::read(&copy).expect("read"), bytes);
                    true
                }
                Err(text) => {
                    assert!(text.contains(&*path.to_string_lossy()), "{text}");
                    false
                }
            }
        },
    );
}

#[test]
fn what_is_no_regular_file_is_no_prompt_cache() {
    let text = PromptCache::read(std::path::Path::new("/dev/zero")).expect_err("endless");
    assert_eq!(
        text,
        "cannot read the prompt cache /dev/zero: it is no regular file"
    );
}
