//! What the runtime refuses: with a status, one line that says why, and no harm done.
#![expect(
    clippy::expect_used,
    unsafe_code,
    reason = "a test stops at what it did not expect, of the C API"
)]

mod common;

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use common::header::*;
use common::{Client, Recording, greedy, infer_param, small, text_input, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

/// What `body` returns, and the lines that were written to stderr meanwhile. One at a time: stderr is the process's.
fn stderr_of<T>(body: impl FnOnce() -> T) -> (T, Vec<String>) {
    static STDERR: Mutex<()> = Mutex::new(());
    let _alone = STDERR.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file = tempfile::tempfile().expect("a temporary file");
    let saved = rustix::io::dup(rustix::stdio::stderr()).expect("stderr is duplicated");
    rustix::stdio::dup2_stderr(&file).expect("stderr goes to the file");
    let value = body();
    rustix::stdio::dup2_stderr(&saved).expect("stderr is back");
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .expect("the file is read");
    (value, text.lines().map(str::to_owned).collect())
}

/// A call that fails with exactly one line, which holds all of `words`.
#[track_caller]
fn refused(call: impl FnOnce() -> c_int, words: &[&str]) {
    let (status, lines) = stderr_of(call);
    assert_ne!(status, 0, "{words:?}");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("E rkllm: "), "{}", lines[0]);
    for word in words {
        assert!(lines[0].contains(word), "{word:?} in {}", lines[0]);
    }
}

/// An init that fails with one line and a NULL handle.
#[track_caller]
fn init_refused(path: &Path, param: &RKLLMParam, words: &[&str]) {
    refused(
        || {
            let (status, handle) = common::init(path, param, ptr::null_mut());
            if handle.is_null() { status } else { 0 }
        },
        words,
    );
}

#[test]
fn unsupported_functions_say_so() {
    let client = Client::small();
    let handle = client.handle;
    let nothing: *const c_char = ptr::null();
    let words = |name| [name, "is not supported by the host runtime"];
    // SAFETY: none of these functions looks at its arguments.
    refused(
        || unsafe { rkllm_load_lora(handle, ptr::null_mut()) },
        &words("rkllm_load_lora"),
    );
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_load_prompt_cache(handle, nothing) },
        &words("rkllm_load_prompt_cache"),
    );
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_release_prompt_cache(handle) },
        &words("rkllm_release_prompt_cache"),
    );
    // SAFETY: as above.
    let tools = || unsafe { rkllm_set_function_tools(handle, nothing, nothing, nothing) };
    refused(tools, &words("rkllm_set_function_tools"));
    // SAFETY: as above.
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
    for mode in [RKLLM_INFER_GET_LAST_HIDDEN_LAYER, RKLLM_INFER_GET_LOGITS, 99] {
        let infer = RKLLMInferParam {
            mode,
            ..infer_param()
        };
        run_refused(
            &client,
            &input,
            &infer,
            &["inference mode", &mode.to_string(), "not supported"],
        );
    }
    let mut lora = RKLLMLoraParam {
        lora_adapter_name: c"a".as_ptr(),
    };
    let infer = RKLLMInferParam {
        lora_params: &raw mut lora,
        ..infer_param()
    };
    run_refused(&client, &input, &infer, &["lora_params", "not supported"]);
    let mut cache = RKLLMPromptCacheParam {
        save_prompt_cache: 0,
        prompt_cache_path: ptr::null(),
    };
    let infer = RKLLMInferParam {
        prompt_cache_params: &raw mut cache,
        ..infer_param()
    };
    run_refused(&client, &input, &infer, &["prompt_cache_params", "not supported"]);
    for (input_type, words) in [
        (RKLLM_INPUT_EMBED, ["RKLLM_INPUT_EMBED", "not supported"]),
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
            RKLLMSamplingParam { mirostat: 2, ..good },
            ["mirostat", "not supported"],
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
    let mut text = text_input(c"x");
    text.__bindgen_anon_1.prompt_input = ptr::null();
    run_refused(&client, &text, &infer, &["prompt_input is NULL"]);
}

#[test]
fn init_refuses_null_pointers() {
    let mut handle = ptr::null_mut();
    let (mut param, mut callbacks) = (greedy(), common::callbacks());
    let no_callbacks = ptr::null_mut();
    // SAFETY: NULL is what each of these calls is to withstand; the rest is valid.
    refused(
        || unsafe { rkllm_init(ptr::null_mut(), &raw mut param, &raw mut callbacks) },
        &["address is NULL"],
    );
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_init(&raw mut handle, ptr::null_mut(), &raw mut callbacks) },
        &["parameters are NULL"],
    );
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_init(&raw mut handle, &raw mut param, no_callbacks) },
        &["callbacks are NULL"],
    );
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_init(&raw mut handle, &raw mut param, &raw mut callbacks) },
        &["model_path is NULL"],
    );
    callbacks.result_callback = None;
    // SAFETY: as above.
    let init = || unsafe { rkllm_init(&raw mut handle, &raw mut param, &raw mut callbacks) };
    refused(init, &["result_callback is NULL"]);
    assert!(handle.is_null());
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
fn model_files_that_cannot_be_used_are_named_with_the_reason() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let whole = fs::read(small()).expect("the model is read");
    let param = greedy();
    init_refused(
        &directory.path().join("none.gguf"),
        &param,
        &["none.gguf", "No such file"],
    );
    init_refused(
        directory.path(),
        &param,
        &["cannot read the model", "Is a directory"],
    );
    init_refused(
        &file("empty.gguf", b""),
        &param,
        &["empty.gguf", "not a GGUF file"],
    );
    init_refused(
        &file("text.gguf", b"GGML of old"),
        &param,
        &["text.gguf", "not a GGUF file"],
    );
    init_refused(
        &file("model.rkllm", b"RKLLM"),
        &param,
        &["model.rkllm", "RKLLM model", "NPU"],
    );
    init_refused(
        &file("cut.gguf", &whole[..whole.len() / 2]),
        &param,
        &["cut.gguf", "not within the file bounds"],
    );
    init_refused(
        &file("head.gguf", &whole[..10]),
        &param,
        &["cannot load", "head.gguf"],
    );
    let renamed = file("gguf-inside.rkllm", &whole);
    assert_eq!(
        Client::load(&renamed, &param)
            .run(&PROMPT, &infer_param())
            .tokens
            .len(),
        16,
        "the content counts"
    );
}

#[test]
fn parameters_that_cannot_be_met_are_refused() {
    let extended = |change: fn(&mut RKLLMExtendParam)| {
        let mut param = greedy();
        change(&mut param.extend_param);
        param
    };
    let context = |max_context_len| RKLLMParam {
        max_context_len,
        ..greedy()
    };
    init_refused(
        small(),
        &context(513),
        &["max_context[513]", "max_context_limit[512]"],
    );
    init_refused(small(), &context(0), &["max_context_len is 0"]);
    init_refused(small(), &context(-5), &["max_context_len is -5"]);
    init_refused(small(), &extended(|extend| extend.n_batch = 2), &["n_batch = 2"]);
    init_refused(
        small(),
        &extended(|extend| extend.use_cross_attn = 1),
        &["use_cross_attn"],
    );
    init_refused(
        small(),
        &RKLLMParam {
            mirostat: 1,
            ..greedy()
        },
        &["mirostat = 1"],
    );
    init_refused(
        small(),
        &extended(|extend| extend.enabled_cpus_num = 127),
        &["enabled_cpus_num[127]", "available"],
    );
    init_refused(
        small(),
        &extended(|extend| extend.enabled_cpus_mask = u32::MAX),
        &["enabled_cpus_mask[0xffffffff]", "may not use"],
    );
}

#[test]
fn zero_and_one_sequences_are_the_same_and_the_unused_callbacks_may_be_given() {
    unsafe extern "C" fn tokenizer(_: *mut c_void, _: *const c_char, _: i32, _: *mut i32, _: i32) -> c_int {
        -1
    }
    let path = CString::new(small().to_str().expect("the path is UTF-8")).expect("no NUL");
    let mut param = RKLLMParam {
        model_path: path.as_ptr(),
        is_async: 1,
        ..greedy()
    };
    param.extend_param.n_batch = 0;
    let mut callbacks = RKLLMCallback {
        tokenizer_callback: Some(tokenizer),
        ..common::callbacks()
    };
    let mut handle = ptr::null_mut();
    // SAFETY: three valid pointers.
    let status = unsafe { rkllm_init(&raw mut handle, &raw mut param, &raw mut callbacks) };
    assert_eq!(status, 0);
    assert_eq!(Client { handle }.run(&PROMPT, &infer_param()).tokens.len(), 16);
}

#[test]
fn the_error_callback_of_a_run_comes_with_one_line() {
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
fn the_default_parameters_are_those_documented() {
    // SAFETY: no condition.
    let param = unsafe { rkllm_createDefaultParam() };
    assert!(param.model_path.is_null());
    assert_eq!((param.max_context_len, param.max_new_tokens), (4096, 512));
    assert_eq!((param.top_k, param.n_keep, param.mirostat), (40, -1, 0));
    let floats = [
        param.top_p,
        param.temperature,
        param.repeat_penalty,
        param.mirostat_tau,
        param.mirostat_eta,
    ];
    assert_eq!(
        floats.map(f32::to_bits),
        [0.9, 0.8, 1.1, 5.0, 0.1].map(f32::to_bits)
    );
    assert_eq!(
        [param.frequency_penalty, param.presence_penalty].map(f32::to_bits),
        [0, 0]
    );
    assert_eq!(
        (param.skip_special_token, param.ignore_eos_token, param.is_async),
        (1, 0, 0)
    );
    let extend = &param.extend_param;
    let available = std::thread::available_parallelism().expect("known").get();
    assert_eq!(
        usize::try_from(extend.enabled_cpus_num),
        Ok((available - 1).clamp(1, 126))
    );
    assert_eq!(
        (extend.enabled_cpus_mask, extend.n_batch, extend.use_cross_attn),
        (0, 1, 0)
    );
    assert_eq!(
        (extend.base_domain_id, extend.embed_flash, extend.reserved),
        (0, 0, [0; 104])
    );
}

/// Guards the tests above against a stderr that is not captured at all.
#[test]
fn the_capture_of_stderr_sees_what_is_written() {
    let ((), lines) = stderr_of(|| {
        io::stderr().write_all(b"one\ntwo\n").expect("written");
    });
    assert_eq!(lines, ["one", "two"]);
}
