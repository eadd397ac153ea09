//! A run stopped from outside, and calls that come while one is under way.
#![expect(unsafe_code, reason = "the C API is what is tested")]

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use common::header::*;
use common::{Client, infer_param, long_prompt, long_running, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

/// So many tokens, then one FINISH, as runtime 1.3.1 is seen to end an aborted run.
#[track_caller]
fn ended_once(events: &[common::Event], tokens: usize) {
    assert_eq!(events.len(), tokens + 1, "{events:?}");
    assert_eq!(events[tokens].state, RKLLM_RUN_FINISH);
    let is_token = |event: &common::Event| event.state != RKLLM_RUN_FINISH;
    assert!(events[..tokens].iter().all(is_token), "{events:?}");
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
    ended_once(&events, 5);
    assert_eq!(events[5].generate_tokens, 4, "what came before it is counted");
    assert_eq!(client.cached(), 6, "the reply is dropped");
}

#[test]
fn abort_stops_a_long_prefill() {
    let (client, prompt) = (long_running(), long_prompt());
    let one = RKLLMInferParam {
        max_new_tokens: 1,
        ..infer_param()
    };
    let whole = Instant::now();
    let run = client.run(&prompt, &one);
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
    assert_eq!(status, 0);
    ended_once(&events, 0);
    assert_eq!(events[0].prefill_tokens, 0, "a prefill that was cut off is none");
    assert!(client.cached() < 2000, "{} positions", client.cached());
    assert!(
        late < whole / 3,
        "stopped {late:?} after the abort; a whole prefill takes {whole:?}"
    );
    // The cache and the runtime agree on what the abort left behind.
    client.set_template(c"", c"", c"");
    assert_eq!(client.run(&prompt[..100], &one).finish.prefill_tokens, 100);
}

#[test]
fn an_abort_within_a_prefill_leaves_a_prefix_that_is_right() {
    let (client, prompt) = (long_running(), long_prompt());
    let few = RKLLMInferParam {
        max_new_tokens: 4,
        ..infer_param()
    };
    let start = Instant::now();
    let right = client.run(&prompt, &few).ids();
    let whole = start.elapsed();
    // llama.cpp computes in parts of 512 tokens and keeps those that it has finished. When one has, only the clock
    // tells: another moment is tried until an abort has left a part of the prompt.
    let left = [4, 3, 5, 2, 6].into_iter().find_map(|eighths| {
        client.clear(0);
        let moment = whole * eighths / 8;
        thread::scope(|scope| {
            let client = &client;
            scope.spawn(move || {
                while client.is_running() == 0 {
                    thread::yield_now();
                }
                let running = Instant::now();
                while running.elapsed() < moment {
                    thread::yield_now();
                }
                client.abort()
            });
            client.call(&token_input(&prompt), &few, |_| 0)
        });
        Some(client.cached()).filter(|left| (1..2000).contains(left))
    });
    let left = left.expect("an abort that left a part of the prompt");
    let run = client.run(&prompt, &few);
    assert_eq!(run.finish.prefill_tokens, 2000 - left);
    assert_eq!(run.ids(), right);
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
    assert_eq!(status, 0);
    ended_once(&events, 3);
    let run = client.run(&PROMPT, &infer_param());
    assert_eq!((run.tokens.len(), run.finish.prefill_tokens), (16, 0));
}

#[test]
fn an_abort_at_the_last_token_ends_with_one_finish_too() {
    let client = Client::small();
    let last = RKLLMInferParam {
        max_new_tokens: 1,
        ..infer_param()
    };
    let (status, events) = client.call(&token_input(&PROMPT), &last, |_| {
        client.abort();
        0
    });
    assert_eq!(status, 0);
    ended_once(&events, 1);
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
            let status = unsafe { rkllm_get_kv_cache_size(client.handle, &raw mut size) };
            assert_ne!(status, 0);
            assert_ne!(client.call(&token_input(&PROMPT), &infer_param(), |_| 0).0, 0);
            // SAFETY: no condition.
            let status = unsafe { rkllm_destroy(client.handle) };
            assert_ne!(status, 0, "the run cannot wait for itself");
        }
        0
    }));
    assert_eq!(run.tokens.len(), 16, "none of them disturbed the run");
    assert_eq!(client.is_running(), 0);
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
