//! What a loaded model refuses: with a status, one line that says why, and no harm done.
#![expect(unsafe_code, reason = "the C API is what is tested")]

mod common;

use std::ffi::c_char;
use std::io::{self, Write};
use std::ptr;

use common::header::*;
use common::stderr::{refused, stderr_of};
use common::{Client, Recording, infer_param, text_input, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

#[test]
fn unsupported_functions_say_so() {
    let client = Client::small();
    let handle = client.handle;
    let words = |name| [name, "is not supported by the host runtime"];
    // SAFETY: the function does not look at its arguments.
    let cross_attn = || unsafe { rkllm_set_cross_attn_params(handle, ptr::null_mut()) };
    refused(cross_attn, &words("rkllm_set_cross_attn_params"));
}

#[test]
fn clearing_a_range_is_refused() {
    let client = Client::small();
    let (mut start, mut end) = (0, 1);
    let words = ["rkllm_clear_kv_cache", "not supported"];
    // SAFETY: two valid positions.
    refused(
        || unsafe { rkllm_clear_kv_cache(client.handle, 0, &raw mut start, &raw mut end) },
        &words,
    );
    // SAFETY: a valid position and NULL.
    refused(
        || unsafe { rkllm_clear_kv_cache(client.handle, 0, ptr::null_mut(), &raw mut end) },
        &words,
    );
}

/// A run that is refused before it begins: no callback.
#[track_caller]
fn run_refused(client: &Client, input: &RKLLMInput, infer: &RKLLMInferParam, words: &[&str]) {
    let mut events = Vec::new();
    let call = || {
        let (status, seen) = client.call(input, infer, |_| 0);
        events = seen;
        status
    };
    refused(call, words);
    assert_eq!(events, []);
}

#[test]
fn unsupported_runs_say_so() {
    let client = Client::small();
    let input = token_input(&PROMPT);
    let infer = RKLLMInferParam {
        mode: 99,
        ..infer_param()
    };
    run_refused(&client, &input, &infer, &["inference mode 99", "unknown"]);
    for (input_type, words) in [
        (
            RKLLM_INPUT_MULTIMODAL,
            ["RKLLM_INPUT_MULTIMODAL", "not supported"],
        ),
        (77, ["77", "unknown"]),
    ] {
        run_refused(
            &client,
            &RKLLMInput { input_type, ..input },
            &infer_param(),
            &words,
        );
    }
    assert_eq!(
        client.run(&PROMPT, &infer_param()).tokens.len(),
        16,
        "the handle still works"
    );
}

#[test]
fn sampling_values_without_meaning_are_refused() {
    let client = Client::small();
    let good = RKLLMSamplingParam {
        top_k: 40,
        top_p: 0.9,
        temperature: 0.8,
        repeat_penalty: 1.1,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        mirostat: 0,
        mirostat_tau: 5.0,
        mirostat_eta: 0.1,
    };
    for (mut bad, words) in [
        (
            RKLLMSamplingParam { mirostat: 3, ..good },
            ["mirostat is 3", "0, 1 or 2"],
        ),
        (
            RKLLMSamplingParam {
                mirostat: 2,
                mirostat_tau: 0.0,
                ..good
            },
            ["mirostat_tau is 0", "above 0"],
        ),
        (
            RKLLMSamplingParam {
                mirostat: 1,
                mirostat_eta: f32::NAN,
                ..good
            },
            ["mirostat_eta is NaN", "above 0"],
        ),
        (
            RKLLMSamplingParam {
                repeat_penalty: 0.0,
                ..good
            },
            ["repeat_penalty", "above 0"],
        ),
        (
            RKLLMSamplingParam {
                temperature: f32::NAN,
                ..good
            },
            ["temperature", "NaN"],
        ),
        (
            RKLLMSamplingParam {
                frequency_penalty: f32::INFINITY,
                ..good
            },
            ["frequency_penalty", "inf"],
        ),
    ] {
        let infer = RKLLMInferParam {
            sampling_params: &raw mut bad,
            ..infer_param()
        };
        run_refused(&client, &token_input(&PROMPT), &infer, &words);
    }
}

#[test]
fn null_pointers_are_refused_everywhere() {
    let client = Client::small();
    let handle = client.handle;
    let null = ptr::null_mut();
    let (mut input, mut infer) = (token_input(&PROMPT), infer_param());
    // SAFETY: NULL is what each of these calls is to withstand; the rest is valid.
    refused(
        || unsafe { rkllm_run(handle, ptr::null_mut(), &raw mut infer, null) },
        &["input is NULL"],
    );
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_run(handle, &raw mut input, ptr::null_mut(), null) },
        &["parameters are NULL"],
    );
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_run_async(handle, ptr::null_mut(), ptr::null_mut(), null) },
        &["input is NULL"],
    );
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_get_kv_cache_size(handle, ptr::null_mut()) },
        &["cache_sizes is NULL"],
    );
    let (text, nothing) = (c"x".as_ptr(), ptr::null());
    for (system, prefix, postfix, word) in [
        (nothing, text, text, "system_prompt is NULL"),
        (text, nothing, text, "prompt_prefix is NULL"),
        (text, text, nothing, "prompt_postfix is NULL"),
    ] {
        // SAFETY: as above.
        refused(
            || unsafe { rkllm_set_chat_template(handle, system, prefix, postfix) },
            &[word],
        );
    }
    let ids: *mut i32 = ptr::null_mut();
    let mut tokens = input;
    tokens.__bindgen_anon_1.token_input = RKLLMTokenInput {
        input_ids: ids,
        n_tokens: 3,
    };
    run_refused(&client, &tokens, &infer, &["input_ids is NULL"]);
    let null_rows: *const f32 = ptr::null();
    let mut embed = common::embed_input(&[], 1);
    embed.__bindgen_anon_1.embed_input.embed = null_rows.cast_mut();
    run_refused(&client, &embed, &infer, &["embed_input.embed is NULL"]);
    let mut text = text_input(c"x");
    text.__bindgen_anon_1.prompt_input = ptr::null();
    run_refused(&client, &text, &infer, &["prompt_input is NULL"]);
}

#[test]
fn handles_of_no_model_are_refused_by_every_function() {
    let gone = {
        let client = Client::small();
        client.handle
    };
    let garbage: LLMHandle = ptr::without_provenance_mut(usize::MAX - 7);
    let mut size = 0;
    let mut recording = Recording::new(|_| 0);
    let userdata = recording.userdata();
    let (mut input, mut infer) = (token_input(&PROMPT), infer_param());
    for (handle, word) in [
        (gone, "destroyed already"),
        (garbage, "not of a loaded model"),
        (ptr::null_mut(), "NULL"),
    ] {
        let text: *const c_char = c"".as_ptr();
        let none = ptr::null_mut();
        // SAFETY: a handle of no model is what each of these calls is to withstand; the rest is valid.
        refused(
            || unsafe { rkllm_run(handle, &raw mut input, &raw mut infer, userdata) },
            &[word],
        );
        // SAFETY: as above.
        refused(
            || unsafe { rkllm_run_async(handle, &raw mut input, &raw mut infer, userdata) },
            &[word],
        );
        // SAFETY: as above.
        refused(|| unsafe { rkllm_load_lora(handle, ptr::null_mut()) }, &[word]);
        // SAFETY: as above.
        refused(|| unsafe { rkllm_load_prompt_cache(handle, text) }, &[word]);
        // SAFETY: as above.
        refused(|| unsafe { rkllm_release_prompt_cache(handle) }, &[word]);
        // SAFETY: as above.
        refused(
            || unsafe { rkllm_set_function_tools(handle, text, text, text) },
            &[word],
        );
        // SAFETY: as above.
        refused(|| unsafe { rkllm_abort(handle) }, &[word]);
        // SAFETY: as above.
        refused(|| unsafe { rkllm_is_running(handle) }, &[word]);
        // SAFETY: as above.
        refused(|| unsafe { rkllm_clear_kv_cache(handle, 0, none, none) }, &[word]);
        // SAFETY: as above.
        refused(
            || unsafe { rkllm_get_kv_cache_size(handle, &raw mut size) },
            &[word],
        );
        // SAFETY: as above.
        refused(
            || unsafe { rkllm_set_chat_template(handle, text, text, text) },
            &[word],
        );
        // SAFETY: as above.
        refused(|| unsafe { rkllm_destroy(handle) }, &[word]);
    }
    assert_eq!(recording.events, []);
}

#[test]
fn a_run_that_is_refused_writes_one_line() {
    let client = Client::small();
    let words = ["prompt[513]", "max_context[512]"];
    refused(
        || client.call(&token_input(&[300; 513]), &infer_param(), |_| 0).0,
        &words,
    );
    refused(
        || client.call(&token_input(&[400]), &infer_param(), |_| 0).0,
        &["token id 400", "354"],
    );
}

#[test]
fn an_abort_writes_nothing() {
    let client = Client::small();
    let (status, lines) = stderr_of(|| {
        client.call(&token_input(&PROMPT), &infer_param(), |_| {
            client.abort();
            0
        })
    });
    assert_eq!(status.0, 0);
    assert_eq!(lines, [] as [&str; 0]);
}

#[test]
fn a_tools_result_must_be_json() {
    let client = Client::small();
    for (text, is_json) in [
        (c"22 degrees", false),
        (c"{\"degrees\": 22", false),
        (c"", false),
        (c"{\"degrees\": 22}", true),
        (c"[1]", true),
    ] {
        let input = RKLLMInput {
            role: c"tool".as_ptr(),
            ..text_input(text)
        };
        if is_json {
            assert_eq!(client.call(&input, &infer_param(), |_| 0).0, 0, "{text:?}");
        } else {
            run_refused(&client, &input, &infer_param(), &["role tool", "JSON"]);
        }
    }
}

/// Guards the tests above against a stderr that is not captured at all.
#[test]
fn the_capture_of_stderr_sees_what_is_written() {
    let ((), lines) = stderr_of(|| {
        io::stderr().write_all(b"one\ntwo\n").expect("written");
    });
    assert_eq!(lines, ["one", "two"]);
}
