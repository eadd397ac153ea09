//! Runs on a thread of the runtime.
#![expect(unsafe_code, reason = "the C API is what is tested")]

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::header::*;
use common::{Client, Recording, infer_param, long_running, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

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
    assert_eq!(finished.recv_timeout(Duration::from_mins(1)), Ok(6));
    drop(client); // joins the thread
    drop(recording);
    assert_eq!(ids, expected);
}

#[test]
fn an_asynchronous_run_is_running_until_aborted() {
    let client = Client::small();
    let (go_on, may_go_on) = mpsc::channel();
    let mut recording = Recording::new(move |event: &common::Event| {
        if event.state != RKLLM_RUN_FINISH {
            may_go_on.recv().expect("the test tells the first token to go on");
        }
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
        recording.events.len() <= 2,
        "one token at most, and FINISH: {:?}",
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
    assert_eq!(failed.recv_timeout(Duration::from_mins(1)), Ok(RKLLM_RUN_ERROR));
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
        .recv_timeout(Duration::from_mins(1))
        .expect("a first token");
    // SAFETY: no condition.
    assert_eq!(unsafe { rkllm_destroy(client.handle) }, 0);
    let events = recording.events.len();
    assert!(events < 4000, "{events} callbacks");
    let is_finish = |event: &&common::Event| event.state == RKLLM_RUN_FINISH;
    assert_eq!(recording.events.iter().filter(is_finish).count(), 1);
    assert_eq!(
        recording.events.last().map(|event| event.state),
        Some(RKLLM_RUN_FINISH)
    );
}
