//! A callback that returns 1 pauses its run; the next call goes on with it.
#![expect(unsafe_code, reason = "the C API is what is tested")]

mod common;

use std::ptr;

use common::header::*;
use common::{Client, Recording, infer_param, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

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
    let status = unsafe { rkllm_run(client.handle, ptr::null_mut(), ptr::null_mut(), userdata) };
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
fn an_abort_while_the_callback_pauses_ends_the_run_for_good() {
    let client = Client::small();
    let (status, _) = client.call(&token_input(&PROMPT), &infer_param(), |_| {
        client.abort();
        1
    });
    assert_eq!(status, 0);
    assert_eq!(client.run(&[9, 9, 9], &infer_param()).finish.prefill_tokens, 3);
}
