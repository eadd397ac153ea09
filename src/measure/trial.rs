//! The trial of a runtime of an unknown release.
//!
//! Its header and its library are from one SDK, and the layouts are those of that header. A short inference before
//! the first measured one shows whether the library really has these layouts.

use std::time::Duration;

use crate::inference::Abilities;
use crate::inference::Pairing;
use crate::inference::{Failure, FailureKind, LoadSpec, Loaded, Runtime, Trial};
use crate::inference::{Inference, Input, Request, Sampling};
use crate::record::ledger::{Ledger, Mark};
use crate::runtime::engine::Engine;
use crate::runtime::ffi::library::{NEWEST_RELEASE, OLDEST_RELEASE};

/// Number of requested tokens, if the runtime can set it for a run.
const TOKENS: u32 = 4;
/// Deadline. The prompt is one word and the answer a few tokens, so this is enough for the slowest board.
const DEADLINE: Duration = Duration::from_mins(1);
/// Larger than any vocabulary.
const MOST_IDS: i32 = 1 << 22;

/// Makes the trial of a newly loaded runtime, and records it in `loaded`. A known release needs no trial.
///
/// # Errors
/// Why the runtime failed the trial.
pub(crate) fn pass(engine: &mut dyn Engine, spec: &LoadSpec, loaded: &mut Loaded) -> Result<(), Failure> {
    let can = loaded.runtime.abilities();
    let Runtime::Library(runtime) = &mut loaded.runtime else {
        return Ok(());
    };
    if runtime.library.pairing == Pairing::Known {
        return Ok(());
    }
    let request = request(can, spec);
    let inference = match engine.infer(&request) {
        Ok(inference) => inference,
        Err(failure) if failure.kind == FailureKind::Stopped => return Err(failure),
        Err(failure) => {
            return Err(Failure {
                message: format!("{}: {}", failed(runtime.release()), failure.message),
                ..failure
            });
        }
    };
    judge(can, spec, &request, &inference)
        .map_err(|why| Failure::refused(format!("{}: {why}", failed(runtime.release()))))?;
    runtime.trial = Some(Trial {
        tokens: inference.tokens.len(),
    });
    Ok(())
}

fn failed(release: &str) -> String {
    format!(
        "release {release} of the runtime is not known to rkllm-bench, which knows {OLDEST_RELEASE} to \
         {NEWEST_RELEASE}. It failed its trial, so nothing was measured; build with header and library of one \
         checkout, or of a known release"
    )
}

fn request(can: Abilities, spec: &LoadSpec) -> Request {
    let tokens = if can.new_tokens_per_run {
        TOKENS
    } else {
        spec.max_new_tokens
    };
    Request {
        sampling: if can.sampling_per_run {
            Sampling::GREEDY
        } else {
            spec.sampling
        },
        deadline: DEADLINE,
        ..Request::new(Input::Text("Hello".into()), tokens)
    }
}

/// Checks the ledger's laws, and what a field read at the wrong offset would break.
fn judge(can: Abilities, spec: &LoadSpec, request: &Request, inference: &Inference) -> Result<(), String> {
    let accepted = Ledger::new(can, spec)
        .judge(request, None, inference)
        .map_err(|rejection| rejection.to_string())?;
    if inference.late_callbacks > 0 {
        return Err("a callback did not belong to its run".into());
    }
    if let Some(token) = inference
        .tokens
        .iter()
        .find(|token| !(0..MOST_IDS).contains(&token.id))
    {
        return Err(format!("a token has the id {}", token.id));
    }
    let mut miscounted = accepted.marks.iter().filter_map(|mark| match mark {
        Mark::GenerateTokens { reported, counted } => Some((reported, counted)),
        _ => None,
    });
    match miscounted.next() {
        Some((reported, counted)) => Err(format!(
            "its statistics count {reported} tokens, but {counted} came"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Finish, RuntimeStats};
    use crate::runtime::engine::scripted::{self, Scripted};

    fn loaded(pairing: Pairing) -> Loaded {
        let mut loaded = scripted::loaded(scripted::ABILITIES);
        let runtime = scripted::library(&mut loaded);
        runtime.library.pairing = pairing;
        runtime.library.file_version = Some("1.4.0".into());
        loaded
    }

    /// An inference as a sound runtime gives it.
    fn sound() -> Inference {
        let ms = 1_000_000;
        let mut inference = scripted::inference(0, &[50 * ms, 51 * ms, 52 * ms, 53 * ms], 53 * ms);
        inference.stats = Some(RuntimeStats {
            prefill_time_ms: 49.0,
            prefill_tokens: 5,
            generate_time_ms: 3.0,
            generate_tokens: 3,
            memory_usage_mb: 1.0,
        });
        inference
    }

    fn trial_of(answer: Result<Inference, Failure>) -> Result<Option<Trial>, Failure> {
        let mut engine = Scripted {
            answers: [answer].into(),
            ..Scripted::default()
        };
        let mut loaded = loaded(Pairing::OneSdk);
        pass(&mut engine, &scripted::spec(64), &mut loaded)?;
        assert_eq!(engine.asked[0].max_new_tokens, TOKENS);
        Ok(scripted::library(&mut loaded).trial.clone())
    }

    #[test]
    fn a_known_release_has_no_trial_and_an_unknown_one_is_noted_with_it() {
        let mut engine = Scripted::default();
        pass(&mut engine, &scripted::spec(64), &mut loaded(Pairing::Known)).expect("no trial");
        assert!(engine.asked.is_empty());
        assert_eq!(trial_of(Ok(sound())), Ok(Some(Trial { tokens: 4 })));
    }

    #[test]
    fn what_shows_another_layout_fails_the_trial() {
        let with = |change: fn(&mut Inference)| {
            let mut inference = sound();
            change(&mut inference);
            let failure = trial_of(Ok(inference)).expect_err("no trial passed");
            assert_eq!(failure.kind, FailureKind::Refused);
            failure.message
        };
        let lose_the_end: fn(&mut Inference) = |tried| tried.finish = Finish::Lost;
        for (change, reason) in [
            (lose_the_end, "no FINISH came"),
            (|tried| tried.late_callbacks = 1, "a callback came after"),
            (
                |tried| tried.tokens[2].id = 1_200_000_000,
                "has the id 1200000000",
            ),
            (|tried| tried.tokens[2].id = -7, "has the id -7"),
            (
                |tried| tried.tokens.truncate(3),
                "3 tokens came where 4 were asked for",
            ),
            (
                |tried| tried.stats.as_mut().expect("given").generate_tokens = 1_077_936_128,
                "count 1077936128 tokens, but 4 came",
            ),
            (
                |tried| tried.stats.as_mut().expect("given").prefill_time_ms = f32::NAN,
                "prefill_time_ms",
            ),
        ] {
            let message = with(change);
            assert!(message.contains(reason), "{message}");
            assert!(
                message.contains("release 1.4.0 of the runtime is not known"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_runtime_that_dies_in_its_trial_is_refused_and_a_stop_stays_one() {
        let failure = trial_of(Err(scripted::lost())).expect_err("died");
        assert!(
            failure.message.contains("failed its trial") && failure.message.contains("SIGSEGV"),
            "{failure}"
        );
        let failure = trial_of(Err(Failure::stopped())).expect_err("stopped");
        assert_eq!(failure.kind, FailureKind::Stopped);
    }
}
