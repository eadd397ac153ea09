//! Stopping, pausing, running beside: what else a client may do about a run.
#![expect(
    clippy::expect_used,
    unsafe_code,
    reason = "a test stops at what it did not expect, of the C API"
)]

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::header::*;
use common::{Client, Recording, greedy, infer_param, tiny, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

/// The window of `long_running`.
const WINDOW: i32 = 4096;

/// A client whose runs take seconds: they go on until the window is full.
fn long_running() -> Client {
    let mut param = greedy();
    param.max_context_len = WINDOW;
    param.max_new_tokens = 0;
    Client::load(tiny(), &param)
}

/// A prompt whose prefill takes seconds, with `long_running`.
fn long_prompt() -> Vec<i32> {
    (0..2000).map(|index| 300 + index % 3000).collect()
}

/// Pauses at the token of this index.
fn pause_at(index: usize) -> impl FnMut(&common::Event) -> i32 + Send {
    let mut seen = 0;
    move |_| {
        seen += 1;
        i32::from(seen == index + 1)
    }
}

#[test]
fn a_paused_run_goes_on_with_the_next_call() {
    let client = Client::small();
    let whole = client.run(&PROMPT, &infer_param()).ids();
    client.clear(0);

    let (status, head) = client.call(&token_input(&PROMPT), &infer_param(), pause_at(4));
    assert_eq!((status, head.len()), (0, 5));
    assert!(
        head.iter().all(|event| event.state != RKLLM_RUN_FINISH),
        "no FINISH at a pause"
    );
    assert_eq!(client.cached(), 6 + 4, "the cache stays");
    assert_eq!(client.is_running(), 0);

    // Another prompt, another cap: neither is looked at.
    let other = RKLLMInferParam {
        max_new_tokens: 2,
        ..infer_param()
    };
    let tail = client.run(&[9, 9, 9], &other);
    let ids: Vec<i32> = head.iter().map(|event| event.token).chain(tail.ids()).collect();
    assert_eq!(ids, whole);
    assert_eq!(
        (tail.finish.prefill_tokens, tail.finish.generate_tokens),
        (0, 11),
        "statistics of this call"
    );

    assert_eq!(
        client.run(&[9, 9, 9], &other).finish.prefill_tokens,
        3,
        "the run after that is a new one"
    );
}

#[test]
fn a_run_can_pause_at_its_last_token() {
    let client = Client::small();
    let (_, head) = client.call(&token_input(&PROMPT), &infer_param(), pause_at(15));
    assert_eq!(head.len(), 16);
    let tail = client.run(&[], &infer_param());
    assert_eq!(tail.tokens.len(), 0);
    assert_eq!(tail.finish.generate_tokens, 0);
}

#[test]
fn a_paused_run_goes_on_without_any_input() {
    let client = Client::small();
    client.call(&token_input(&PROMPT), &infer_param(), pause_at(4));
    let mut recording = Recording::new(|_| 0);
    let userdata = recording.userdata();
    // SAFETY: NULL is what is tested; the recording outlives the blocking call.
    let status = unsafe {
        rkllm_run(
            client.handle,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            userdata,
        )
    };
    assert_eq!((status, recording.events.len()), (0, 12));
}

#[test]
fn abort_and_clear_and_a_template_end_a_pause() {
    let ends: [fn(&Client) -> i32; 3] = [
        |client| client.abort(),
        |client| client.clear(0),
        |client| client.set_template(c"", c"", c""),
    ];
    for end in ends {
        let client = Client::small();
        client.call(&token_input(&PROMPT), &infer_param(), pause_at(4));
        assert_eq!(end(&client), 0);
        let run = client.run(&[9, 9, 9], &infer_param());
        assert_eq!((run.finish.prefill_tokens, run.tokens.len()), (3, 16));
    }
}

#[test]
fn abort_drops_the_reply_of_a_pause_and_keeps_the_prompt() {
    let client = Client::small();
    client.call(&token_input(&PROMPT), &infer_param(), pause_at(4));
    assert_eq!(client.abort(), 0);
    assert_eq!(client.cached(), 6);
}

#[test]
fn abort_from_another_thread_stops_decode() {
    let client = long_running();
    let (tell, told) = mpsc::channel();
    let (status, events) = thread::scope(|scope| {
        let client = &client;
        let (aborted, wait_for_abort) = mpsc::channel();
        scope.spawn(move || {
            told.recv().expect("the run has begun");
            aborted.send(client.abort()).expect("the run waits");
        });
        let mut seen = 0;
        client.call(&token_input(&PROMPT), &infer_param(), move |_| {
            seen += 1;
            if seen == 5 {
                tell.send(()).expect("the other thread waits");
                assert_eq!(wait_for_abort.recv(), Ok(0));
            }
            0
        })
    });
    assert_eq!(status, 0, "an abort is no failure");
    assert_eq!(events.len(), 5, "nothing comes after it");
    assert!(
        events.iter().all(|event| event.state != RKLLM_RUN_FINISH),
        "no FINISH after an abort"
    );
    assert_eq!(client.cached(), 6, "the reply is dropped");
}

#[test]
fn abort_stops_a_long_prefill() {
    let (client, prompt) = (long_running(), long_prompt());
    let whole = Instant::now();
    let run = client.run(
        &prompt,
        &RKLLMInferParam {
            max_new_tokens: 1,
            ..infer_param()
        },
    );
    let whole = whole.elapsed();
    assert_eq!(run.finish.prefill_tokens, 2000);
    client.clear(0);

    let (status, events, late) = thread::scope(|scope| {
        let client = &client;
        let aborter = scope.spawn(move || {
            // The run is under way from here on; its prefill takes far longer than this thread does.
            while client.is_running() == 0 {
                thread::yield_now();
            }
            assert_eq!(client.abort(), 0);
            Instant::now()
        });
        let (status, events) = client.call(&token_input(&prompt), &infer_param(), |_| 0);
        let ended = Instant::now();
        (
            status,
            events,
            ended.saturating_duration_since(aborter.join().expect("no panic")),
        )
    });
    assert_eq!((status, events.len()), (0, 0));
    assert!(client.cached() < 2000, "{} positions", client.cached());
    assert!(
        late < whole / 3,
        "stopped {late:?} after the abort; a whole prefill takes {whole:?}"
    );
    // The cache and the runtime agree on what the abort left behind.
    client.set_template(c"", c"", c"");
    assert_eq!(
        client.run(&prompt[..100], &infer_param()).finish.prefill_tokens,
        100
    );
}

#[test]
fn an_abort_between_prefills_leaves_a_prefix_that_is_right() {
    let (client, prompt) = (long_running(), long_prompt());
    let few = RKLLMInferParam {
        max_new_tokens: 4,
        ..infer_param()
    };
    let right = client.run(&prompt, &few).ids();
    client.clear(0);
    thread::scope(|scope| {
        let client = &client;
        scope.spawn(move || {
            while client.is_running() == 0 {
                thread::yield_now();
            }
            client.abort()
        });
        client.call(&token_input(&prompt), &few, |_| 0)
    });
    assert_eq!(client.run(&prompt, &few).ids(), right);
}

#[test]
fn an_abort_when_nothing_runs_does_not_hit_the_next_run() {
    let client = Client::small();
    assert_eq!(client.abort(), 0);
    assert_eq!(client.run(&PROMPT, &infer_param()).tokens.len(), 16);
    assert_eq!(client.abort(), 0);
    assert_eq!(client.run(&PROMPT, &infer_param()).tokens.len(), 16);
}

#[test]
fn an_aborted_run_is_over_and_the_next_is_whole() {
    let client = Client::small();
    let mut seen = 0;
    let (status, events) = client.call(&token_input(&PROMPT), &infer_param(), |_| {
        seen += 1;
        if seen == 3 {
            assert_eq!(client.abort(), 0, "from the callback itself");
        }
        0
    });
    assert_eq!((status, events.len()), (0, 3));
    let run = client.run(&PROMPT, &infer_param());
    assert_eq!((run.tokens.len(), run.finish.prefill_tokens), (16, 0));
}

#[test]
fn an_abort_while_the_callback_pauses_ends_the_run_for_good() {
    let client = Client::small();
    let (status, _) = client.call(&token_input(&PROMPT), &infer_param(), |_| {
        client.abort();
        1
    });
    assert_eq!(status, 0);
    assert_eq!(client.run(&[9, 9, 9], &infer_param()).finish.prefill_tokens, 3);
}

#[test]
fn an_aborted_turn_does_not_become_history() {
    let client = Client::small();
    let keep = RKLLMInferParam {
        keep_history: 1,
        ..infer_param()
    };
    client.call(&token_input(&PROMPT), &keep, |_| {
        client.abort();
        0
    });
    assert_eq!(client.run(&[9, 9, 9], &infer_param()).finish.prefill_tokens, 3);
}

#[test]
fn other_calls_are_refused_while_a_run_is_under_way() {
    let client = Client::small();
    let mut checked = false;
    let run = common::Run::of(client.call(&token_input(&PROMPT), &infer_param(), |_| {
        if !checked {
            checked = true;
            assert_eq!(client.is_running(), 1);
            assert_ne!(client.clear(0), 0);
            assert_ne!(client.set_template(c"", c"", c""), 0);
            let mut size = 0;
            // SAFETY: room for one value.
            assert_ne!(
                unsafe { rkllm_get_kv_cache_size(client.handle, &raw mut size) },
                0
            );
            assert_ne!(client.call(&token_input(&PROMPT), &infer_param(), |_| 0).0, 0);
            // SAFETY: no condition.
            assert_ne!(
                unsafe { rkllm_destroy(client.handle) },
                0,
                "the run cannot wait for itself"
            );
        }
        0
    }));
    assert_eq!(run.tokens.len(), 16, "none of them disturbed the run");
    assert_eq!(client.is_running(), 0);
}

/// Starts an asynchronous run whose recording stays where it is until the end of the test.
fn run_async(client: &Client, recording: &mut Recording<'_>, ids: &[i32]) -> i32 {
    let (mut input, mut infer) = (token_input(ids), infer_param());
    let userdata = recording.userdata();
    // SAFETY: valid pointers, copied by the call; the callers keep the recording until the run is over.
    unsafe { rkllm_run_async(client.handle, &raw mut input, &raw mut infer, userdata) }
}

#[test]
fn an_asynchronous_run_comes_from_a_thread_of_the_runtime() {
    let client = Client::small();
    let expected = client.run(&PROMPT, &infer_param()).ids();
    client.clear(0);
    let caller = thread::current().id();
    let (done, finished) = mpsc::channel();
    let mut ids = Vec::new();
    let mut recording = Recording::new(|event: &common::Event| {
        assert_ne!(thread::current().id(), caller);
        if event.state == RKLLM_RUN_FINISH {
            done.send(event.prefill_tokens).expect("the test waits");
        } else {
            ids.push(event.token);
        }
        0
    });
    {
        // The runtime has its own copy of the input by the time the call returns.
        let prompt = PROMPT.to_vec();
        assert_eq!(run_async(&client, &mut recording, &prompt), 0);
    }
    assert_eq!(finished.recv_timeout(Duration::from_secs(60)), Ok(6));
    drop(client); // joins the thread
    drop(recording);
    assert_eq!(ids, expected);
}

#[test]
fn an_asynchronous_run_is_running_until_aborted() {
    let client = Client::small();
    let (go_on, may_go_on) = mpsc::channel();
    let mut recording = Recording::new(move |_| {
        may_go_on.recv().expect("the test tells the first token to go on");
        0
    });
    assert_eq!(run_async(&client, &mut recording, &PROMPT), 0);
    assert_eq!(client.is_running(), 1);
    assert_eq!(client.abort(), 0);
    go_on.send(()).expect("the run waits");
    while client.is_running() == 1 {
        thread::yield_now();
    }
    assert!(
        recording.events.len() <= 1,
        "one token at most: {:?}",
        recording.events
    );
    assert_eq!(client.run(&[9, 9, 9], &infer_param()).tokens.len(), 16);
}

#[test]
fn an_asynchronous_run_that_fails_calls_back_with_an_error() {
    let client = Client::small();
    let (done, failed) = mpsc::channel();
    let mut recording = Recording::new(|event: &common::Event| {
        done.send(event.state).expect("the test waits");
        0
    });
    assert_eq!(
        run_async(&client, &mut recording, &[300; 600]),
        0,
        "the prompt is judged on the other thread"
    );
    assert_eq!(failed.recv_timeout(Duration::from_secs(60)), Ok(RKLLM_RUN_ERROR));
    drop(client);
    drop(recording);
}

#[test]
fn destroy_stops_an_asynchronous_run_and_waits_for_it() {
    let client = long_running();
    let (begun, run_has_begun) = mpsc::channel();
    let mut recording = Recording::new(|_| {
        let _ = begun.send(());
        0
    });
    assert_eq!(run_async(&client, &mut recording, &PROMPT), 0);
    run_has_begun
        .recv_timeout(Duration::from_secs(60))
        .expect("a first token");
    // SAFETY: no condition.
    assert_eq!(unsafe { rkllm_destroy(client.handle) }, 0);
    let events = recording.events.len();
    assert!(events < 4000, "{events} callbacks");
    assert!(
        recording
            .events
            .iter()
            .all(|event| event.state != RKLLM_RUN_FINISH)
    );
}

#[test]
fn destroy_stops_a_blocking_run_of_another_thread() {
    let client = long_running();
    let (begun, run_has_begun) = mpsc::channel();
    let (status, events) = thread::scope(|scope| {
        let run = scope.spawn(|| {
            client.call(&token_input(&PROMPT), &infer_param(), move |_| {
                let _ = begun.send(());
                0
            })
        });
        run_has_begun.recv().expect("a first token");
        // SAFETY: no condition.
        assert_eq!(unsafe { rkllm_destroy(client.handle) }, 0);
        run.join().expect("no panic")
    });
    assert_eq!(status, 0);
    assert!(events.len() < 4000);
}
