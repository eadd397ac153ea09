//! Sessions on a guard in Rust, for `scripts/test-miri`. Miri cannot run C++, so it checks here how Rust uses the
//! guard's pointers.
//!
//! What this guard passes out lives no longer than guard.h promises.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::*;
use crate::inference::{Finish, TokenEvent};

/// Behind a session's pointer.
#[derive(Default)]
struct Block {
    is_aborted: Mutex<bool>,
    abort: Condvar,
}

impl Block {
    fn behind<'a>(session: *mut sys::rkb_session) -> &'a Self {
        // SAFETY: `session()` made it from a box, which only `rkb_close` takes back.
        unsafe { &*session.cast::<Self>() }
    }
}

fn session() -> Session {
    let block = Box::into_raw(Box::<Block>::default());
    Session {
        raw: NonNull::new(block.cast()).expect("a box"),
        abilities: Abilities::of_header(),
    }
}

/// A handler with its context, to call from another thread.
#[derive(Clone, Copy)]
struct Call(sys::rkb_on_event, *mut c_void);

// SAFETY: `rkb_run` makes one call at a time and waits for its end.
unsafe impl Send for Call {}

impl Call {
    /// Calls the handler with an event whose pointers are invalid after the return.
    fn with(
        self,
        state: u32,
        token_id: i32,
        text: Option<&[u8]>,
        stats: Option<sys::rkb_stats>,
        other: bool,
    ) {
        let text: Option<Box<[u8]>> = text.map(Box::from);
        let stats = stats.map(Box::new);
        let event = Box::new(sys::rkb_event {
            at_ns: 1_000 + u64::from(token_id.unsigned_abs()),
            state: state.cast_signed(),
            token_id,
            text: text.as_ref().map_or(ptr::null(), |text| text.as_ptr().cast()),
            // Without a text, whatever was there.
            text_len: text.as_ref().map_or(99, |text| text.len()),
            stats: stats.as_deref().map_or(ptr::null(), ptr::from_ref),
            other_thread: other.into(),
        });
        let handler = self.0.expect("a handler");
        // SAFETY: the event is valid, and the context belongs to the handler.
        unsafe { handler(self.1, &raw const *event) };
    }
}

const STATS: sys::rkb_stats = sys::rkb_stats {
    prefill_time_ms: 1.5,
    prefill_tokens: 3,
    generate_time_ms: 2.5,
    generate_tokens: 2,
    memory_usage_mb: 1.0,
};

/// Delivers a token for each word of the text or for each id, every second one on another thread. The word `wait`
/// waits for an abort, and `refuse` is refused.
#[unsafe(no_mangle)]
extern "C" fn rkb_run(
    session: *mut sys::rkb_session,
    request: *const sys::rkb_run_request,
    handler: sys::rkb_on_event,
    context: *mut c_void,
    out: *mut sys::rkb_run_outcome,
    why: *mut sys::rkb_failure,
) -> i32 {
    // SAFETY: `Session::call` passes valid pointers that outlive the call.
    let (request, out, why) = unsafe { (&*request, &mut *out, &mut *why) };
    // SAFETY: a text is terminated, a path too, and there are as many ids as it says.
    let (text, tokens, sampling, file) = unsafe {
        (
            (!request.text.is_null()).then(|| CStr::from_ptr(request.text)),
            (!request.tokens.is_null()).then(|| std::slice::from_raw_parts(request.tokens, request.n_tokens)),
            request.sampling.as_ref(),
            (!request.save_prompt_cache.is_null()).then(|| CStr::from_ptr(request.save_prompt_cache)),
        )
    };
    assert!(sampling.is_none_or(|sampling| sampling.top_k == 1));
    assert!(file.is_none_or(|file| file.to_bytes() == b"/cache"));
    out.call_ns = 10;
    let words: Vec<(i32, Option<&[u8]>)> = match (text, tokens) {
        (Some(text), _) => text
            .to_bytes()
            .split_inclusive(|byte| *byte == b' ')
            .zip(1..)
            .map(|(word, id)| (id, Some(word)))
            .collect(),
        (None, tokens) => tokens
            .expect("a text or ids")
            .iter()
            .map(|id| (*id, None))
            .collect(),
    };
    if words.first().is_some_and(|(_, word)| *word == Some(b"refuse")) {
        for (to, from) in why.message.iter_mut().zip(c"no such thing".to_bytes_with_nul()) {
            *to = c_char::from_ne_bytes([*from]);
        }
        return sys::RKB_RUNTIME_FAILED.cast_signed();
    }
    if words.first().is_some_and(|(_, word)| *word == Some(b"wait")) {
        let block = Block::behind(session);
        let aborted = block.is_aborted.lock().expect("whole");
        drop(
            block
                .abort
                .wait_while(aborted, |aborted| !*aborted)
                .expect("whole"),
        );
    }
    let call = Call(handler, context);
    for (id, word) in &words {
        if id % 2 == 0 {
            call.with(sys::RKLLM_RUN_NORMAL, *id, *word, None, false);
        } else {
            thread::scope(|scope| {
                scope.spawn(move || {
                    let call = call;
                    call.with(sys::RKLLM_RUN_NORMAL, *id, *word, None, true);
                });
            });
        }
    }
    call.with(sys::RKLLM_RUN_FINISH, 0, None, Some(STATS), false);
    // Neither is an event.
    on_event(ptr::null_mut(), &sys::rkb_event::default());
    on_event(context, ptr::null());
    out.return_ns = 20;
    0
}

#[unsafe(no_mangle)]
extern "C" fn rkb_abort(session: *mut sys::rkb_session, _why: *mut sys::rkb_failure) -> i32 {
    let block = Block::behind(session);
    *block.is_aborted.lock().expect("whole") = true;
    block.abort.notify_all();
    0
}

#[unsafe(no_mangle)]
extern "C" fn rkb_close(session: *mut sys::rkb_session, _why: *mut sys::rkb_failure) -> i32 {
    // SAFETY: `session()` made it from a box, and a session is closed once.
    drop(unsafe { Box::from_raw(session.cast::<Block>()) });
    0
}

struct Shared(sys::rkb_abilities);

// SAFETY: its pointer is to a literal.
unsafe impl Sync for Shared {}

#[unsafe(no_mangle)]
extern "C" fn rkb_header_abilities() -> *const sys::rkb_abilities {
    static OF_HEADER: Shared = Shared(sys::rkb_abilities {
        generation: c"1.3.1".as_ptr(),
        perf: 1,
        clear_kv_cache: 1,
        kv_cache_size: 1,
        chat_template: 1,
        keep_history: 1,
        ignore_eos: 1,
        new_tokens_per_run: 1,
        sampling_per_run: 1,
        cpu_choice: 1,
        embed_flash: 1,
        prompt_cache: 0,
    });
    &raw const OF_HEADER.0
}

#[test]
fn what_an_event_points_to_is_kept() {
    let mut session = session();
    assert!(session.abilities().perf && !session.abilities().prompt_cache);
    let mut recording = Recording::with_room_for(4);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    recording.on_token(move |token, text| listener.lock().expect("whole").push((token.id, text.to_vec())));
    let request = RunRequest {
        sampling: Some(Sampling::GREEDY),
        save_prompt_cache: Some("/cache".as_ref()),
        ..RunRequest::new(RunInput::Text("It rises höher"), 4)
    };
    let outcome = session.run(&request, &mut recording).expect("it runs");
    assert_eq!(
        (outcome.call_ns, outcome.return_ns, outcome.aborted),
        (10, 20, false)
    );
    assert_eq!(recording.text, "It rises höher".as_bytes());
    let ids: Vec<i32> = recording.tokens.iter().map(|token| token.id).collect();
    assert_eq!((ids, recording.other_thread), (vec![1, 2, 3], 2));
    assert_eq!(recording.stats.map(|stats| stats.prefill_tokens), Some(3));
    assert_eq!(recording.finish(), Finish::Finished);
    assert_eq!(heard.lock().expect("whole")[1], (2, b"rises ".to_vec()));
    session.close().expect("closed");
}

#[test]
fn tokens_are_read_and_have_no_text() {
    let mut recording = Recording::with_room_for(0);
    let ids: Vec<i32> = (0..20).collect();
    let request = RunRequest::new(RunInput::Tokens(&ids), 0);
    session().run(&request, &mut recording).expect("it runs");
    assert_eq!((recording.tokens.len(), recording.overflow), (16, 4));
    assert_eq!(recording.tokens[3], TokenEvent { at_ns: 1_003, id: 3 });
    assert!(recording.text.is_empty());
}

#[test]
fn a_run_past_its_deadline_is_aborted_beside_it() {
    let mut recording = Recording::with_room_for(2);
    let request = RunRequest {
        deadline: Duration::from_millis(1),
        ..RunRequest::new(RunInput::Text("wait"), 2)
    };
    let outcome = session().run(&request, &mut recording).expect("it ends");
    assert!(outcome.aborted && recording.finish() == Finish::Finished);
}

#[test]
fn a_refusal_is_read_to_its_end() {
    let mut recording = Recording::with_room_for(2);
    let request = RunRequest::new(RunInput::Text("refuse"), 2);
    let outcome = session().run(&request, &mut recording).expect("an outcome");
    assert_eq!(outcome.refusal.as_deref(), Some("no such thing"));
    let mut unsaid = sys::rkb_failure {
        code: 7,
        ..sys::rkb_failure::default()
    };
    unsaid.message.fill(0);
    let error = check("rkllm_init", 1, &unsaid).expect_err("a failure");
    assert!(error.to_string().contains("returned 7"), "{error}");
}

#[test]
fn a_listener_that_panics_is_called_once_and_its_panic_goes_on() {
    let mut session = session();
    let mut recording = Recording::with_room_for(4);
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    recording.on_token(move |_, _| {
        *counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
        panic!("of the listener");
    });
    let request = RunRequest::new(RunInput::Text("a b c"), 4);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        session.run(&request, &mut recording).is_ok()
    }));
    assert!(outcome.is_err());
    assert_eq!(
        *calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        1
    );
    let mut recording = Recording::with_room_for(4);
    session.run(&request, &mut recording).expect("it runs again");
    assert_eq!(recording.tokens.len(), 3);
}

#[test]
fn what_c_could_not_read_is_refused() {
    let mut session = session();
    let mut recording = Recording::with_room_for(1);
    for input in [RunInput::Text("a\0b"), RunInput::Tokens(&[])] {
        let request = RunRequest::new(input, 1);
        let error = session.run(&request, &mut recording).expect_err("refused");
        assert!(matches!(error, Error::BadParameter(_)), "{error}");
    }
    assert!(c_path("/a\0b".as_ref()).is_err());
}
