//! The safe layer over the C API, in this process, on the host runtime.

#![cfg(feature = "host")]
#![expect(unsafe_code, reason = "the raw API is compared with the safe one")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::collections::HashSet;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use rkllm_bench::ffi::{Params, Recording, RunInput, RunOutcome, RunRequest, Session, library, sys};
use rkllm_bench::inference::{Finish, Sampling};
use rkllm_bench::{Error, models, paths};

/// Long enough for a run to have begun, far too short for it to end.
const SOON: Duration = Duration::from_millis(50);

static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    models::built_in("tiny", &paths::cache_dir())
        .expect("the built-in model is made")
        .path
});

/// One session at a time: the tests would share the cores otherwise.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn params() -> Params {
    Params {
        max_context_len: 4096,
        max_new_tokens: 16,
        sampling: Sampling::GREEDY,
        ignore_eos: true,
        cpu_count: 1,
        ..Params::new(&MODEL).expect("defaults")
    }
}

fn open() -> Session {
    Session::open(&params()).expect("the tiny model loads")
}

#[track_caller]
fn run(session: &mut Session, input: RunInput<'_>, new_tokens: i32) -> (RunOutcome, Recording) {
    let mut recording = Recording::with_room_for(64);
    let outcome = session
        .run(&RunRequest::new(input, new_tokens), &mut recording)
        .expect("no exception");
    (outcome, recording)
}

#[test]
fn parameters_start_from_the_runtimes_own_defaults() {
    library::verify(None).expect("the library built with");
    // SAFETY: the library was verified, so the struct is the one of the header in use.
    let raw = unsafe { sys::rkllm_createDefaultParam() };
    let ours = Params::new("m".as_ref()).expect("defaults");
    assert_eq!(
        (ours.max_context_len, ours.max_new_tokens, ours.sampling.top_k),
        (raw.max_context_len, raw.max_new_tokens, raw.top_k)
    );
    assert_eq!(
        (
            ours.sampling.top_p,
            ours.sampling.temperature,
            ours.sampling.repeat_penalty
        ),
        (raw.top_p, raw.temperature, raw.repeat_penalty)
    );
    assert_eq!(
        (ours.skip_special_token, ours.ignore_eos),
        (raw.skip_special_token, raw.ignore_eos_token)
    );
    assert_eq!(
        i16::from(ours.cpu_count),
        i16::from(raw.extend_param.enabled_cpus_num)
    );
}

#[test]
fn a_run_of_token_ids_is_recorded_token_by_token() {
    let _turn = turn();
    let mut session = open();
    let ids: Vec<i32> = (3..103).collect();
    let (outcome, recording) = run(&mut session, RunInput::Tokens(&ids), 8);
    assert_eq!(recording.tokens.len(), 8);
    assert_eq!(recording.finish(), Finish::Finished);
    let stats = recording.stats.expect("1.3.0 has statistics");
    assert_eq!(stats.prefill_tokens, 100);
    let mut stamps = vec![outcome.call_ns];
    stamps.extend(recording.tokens.iter().map(|token| token.at_ns));
    stamps.push(outcome.return_ns);
    assert!(stamps.is_sorted(), "{stamps:?}");
    session.close().expect("freed");
}

#[test]
fn the_kv_cache_is_reused_until_it_is_cleared() {
    let _turn = turn();
    let mut session = open();
    let ids: Vec<i32> = (3..53).collect();
    let computed = |session: &mut Session| {
        run(session, RunInput::Tokens(&ids), 2)
            .1
            .stats
            .expect("stats")
            .prefill_tokens
    };
    assert_eq!(session.kv_cache_size().expect("known"), 0);
    assert_eq!(computed(&mut session), 50);
    assert!(session.kv_cache_size().expect("known") >= 50);
    assert!(computed(&mut session) < 50, "a repeated prompt reuses the cache");
    session.clear_kv_cache().expect("cleared");
    assert_eq!(session.kv_cache_size().expect("known"), 0);
    assert_eq!(computed(&mut session), 50);
}

#[test]
fn a_chat_template_wraps_the_prompt() {
    let _turn = turn();
    let mut session = open();
    let length = |session: &mut Session| {
        session.clear_kv_cache().expect("cleared");
        run(session, RunInput::Text("hello"), 2)
            .1
            .stats
            .expect("stats")
            .prefill_tokens
    };
    session.set_chat_template("", "", "").expect("switched off");
    let bare = length(&mut session);
    session.set_chat_template("", "[[[[", "]]]]").expect("set");
    assert!(length(&mut session) > bare);
    assert!(matches!(
        session.set_chat_template("a\0b", "", ""),
        Err(Error::BadParameter(_))
    ));
}

#[test]
fn past_its_deadline_a_run_is_aborted_and_the_next_one_is_whole() {
    let _turn = turn();
    let mut session = open();
    let ids: Vec<i32> = (0..3500).map(|n| 3 + n % 200).collect();
    let mut recording = Recording::with_room_for(500);
    let request = RunRequest {
        deadline: SOON,
        ..RunRequest::new(RunInput::Tokens(&ids), 500)
    };
    let outcome = session.run(&request, &mut recording).expect("no exception");
    // Its end is reported as that of any other run.
    assert!(outcome.aborted);
    assert!(recording.tokens.len() < 500);
    session.abort().expect("nothing runs");
    session.clear_kv_cache().expect("cleared");
    let (_, recording) = run(&mut session, RunInput::Tokens(&ids[..20]), 5);
    assert_eq!(
        (recording.tokens.len(), recording.finish()),
        (5, Finish::Finished)
    );
}

#[test]
fn a_panic_in_the_callback_waits_until_the_runtime_has_returned() {
    let _turn = turn();
    let mut session = open();
    let mut recording = Recording::with_room_for(8);
    recording.on_token(|_, _| panic!("from the callback"));
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _ = session.run(&RunRequest::new(RunInput::Tokens(&[3, 4, 5]), 8), &mut recording);
    }));
    let payload = caught.expect_err("the panic goes on after the run");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"from the callback"));
    assert_eq!(recording.tokens.len(), 1, "nothing is recorded past the panic");
    let (_, recording) = run(&mut session, RunInput::Tokens(&[3, 4, 5]), 4);
    assert_eq!(recording.tokens.len(), 4, "the session is as good as before");
}

#[test]
fn what_c_could_not_take_is_refused_before_it_gets_there() {
    let _turn = turn();
    let mut session = open();
    let mut refused = |input| {
        session
            .run(&RunRequest::new(input, 1), &mut Recording::with_room_for(1))
            .map(|_| ())
    };
    assert!(matches!(
        refused(RunInput::Tokens(&[])),
        Err(Error::BadParameter(_))
    ));
    assert!(matches!(
        refused(RunInput::Text("a\0b")),
        Err(Error::BadParameter(_))
    ));
}

#[test]
fn a_refusal_of_the_runtime_comes_with_what_was_recorded() {
    let _turn = turn();
    let mut session = open();
    let (outcome, recording) = run(&mut session, RunInput::Tokens(&[i32::MAX]), 1);
    assert!(outcome.refusal.is_some());
    assert!(recording.tokens.is_empty());
}

#[test]
fn a_model_that_is_none_is_an_error_of_init() {
    let _turn = turn();
    let error = Session::open(&Params {
        model_path: "no such.gguf".into(),
        ..params()
    })
    .expect_err("no file");
    assert!(
        matches!(
            error,
            Error::Runtime {
                call: "rkllm_init",
                ..
            }
        ),
        "{error}"
    );
}

/// A load and an unload at the guard, and the address of the session.
fn loaded_at() -> usize {
    let mut raw = sys::rkb_params::default();
    let mut why = sys::rkb_failure::default();
    // SAFETY: both are writable, and the struct is the one of the header in use.
    let status = unsafe { sys::rkb_default_params(&raw mut raw, &raw mut why) };
    assert_eq!(status, 0);
    let path = CString::new(MODEL.as_os_str().as_bytes()).expect("no NUL");
    raw.model_path = path.as_ptr();
    raw.max_context_len = 64;
    let mut session = std::ptr::null_mut();
    // SAFETY: the parameters and their path outlive the call; what it writes to is writable.
    let status = unsafe { sys::rkb_open(&raw const raw, &raw mut session, &raw mut why) };
    assert_eq!(status, 0);
    // SAFETY: the session is open, and is not used after this.
    let status = unsafe { sys::rkb_close(session, &raw mut why) };
    assert_eq!(status, 0);
    session.addr()
}

#[test]
fn a_closed_session_is_kept_for_late_callbacks_and_used_again_after_64_others() {
    let _turn = turn();
    library::verify(None).expect("the library built with");
    let kept: Vec<usize> = (0..64).map(|_| loaded_at()).collect();
    assert_eq!(kept.iter().collect::<HashSet<_>>().len(), 64);
    let again: Vec<usize> = (0..64).map(|_| loaded_at()).collect();
    assert_eq!(again, kept);
}
