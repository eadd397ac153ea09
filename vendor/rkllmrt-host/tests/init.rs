//! What `rkllm_init` takes and what it refuses: with a status, one line that says why, and a NULL handle.
#![expect(unsafe_code, reason = "the C API is what is tested")]

mod common;

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs;
use std::path::Path;
use std::ptr;
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use common::header::*;
use common::stderr::refused;
use common::{Client, greedy, infer_param, small};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

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
        &["max_context[513] must be less than the model's max_context_limit[512]"],
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
            mirostat: 3,
            ..greedy()
        },
        &["mirostat is 3"],
    );
}

#[test]
fn threads_and_cpus_come_down_to_those_of_the_process() {
    // On a thread that may use one CPU, whatever the machine has.
    let clamped = || {
        let allowed = sched_getaffinity(None).expect("known");
        let cpu = (0..32).find(|&cpu| allowed.is_set(cpu)).expect("a CPU below 32");
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).expect("a part of what was allowed");
        // No mask; one with other CPUs too; the CPU alone; none that may be used.
        for mask in [0, u32::MAX, 1 << cpu, !(1 << cpu)] {
            let mut param = greedy();
            param.extend_param.enabled_cpus_num = 4;
            param.extend_param.enabled_cpus_mask = mask;
            let client = Client::load(small(), &param);
            assert_eq!(client.run(&PROMPT, &infer_param()).tokens.len(), 16, "{mask:#x}");
        }
    };
    thread::spawn(clamped).join().expect("no panic");
}

/// Fails with one line, and the handle is NULL.
#[track_caller]
fn third_argument_refused(param: *mut RKLLMParam, callback: *mut RKLLMCallback, words: &[&str]) {
    let mut handle: LLMHandle = ptr::dangling_mut::<u8>().cast();
    // SAFETY: what these pointers are is what the call is to find out.
    refused(|| unsafe { rkllm_init(&raw mut handle, param, callback) }, words);
    assert!(handle.is_null());
}

#[test]
fn a_client_of_an_older_release_is_told_so() {
    type Before = unsafe extern "C" fn(*mut RKLLMResult, *mut c_void, LLMCallState) -> c_int;
    let mut param = greedy();
    let function: Before = common::record;
    let callback = (function as *mut c_void).cast();
    third_argument_refused(
        &raw mut param,
        callback,
        &["built for release 1.2.3 or older", "1.3.0"],
    );
    // Up to 1.0.2 the parameters come by value, so that the callback is the second argument.
    let by_value = (function as *mut c_void).cast();
    third_argument_refused(by_value, (&raw mut param).cast(), &["built for release 1.0.x"]);
}

#[test]
fn addresses_of_nothing_are_refused_unread() {
    let (mut param, mut callbacks) = (greedy(), common::callbacks());
    let nowhere = ptr::without_provenance_mut(16);
    third_argument_refused(nowhere, &raw mut callbacks, &["nothing can be read"]);
    third_argument_refused(
        &raw mut param,
        ptr::without_provenance_mut(usize::MAX - 15),
        &["no address of a function"],
    );
    // The struct of a client that put its data first.
    let mut words = [0x1234_usize; 6];
    third_argument_refused(
        &raw mut param,
        words.as_mut_ptr().cast(),
        &["no address of a function"],
    );
}

/// `RKLLMInput` of 1.3.1: that of 1.3.0 with more at its end.
#[repr(C)]
struct InputOf131 {
    input: RKLLMInput,
    audio: [u64; 6],
}

#[test]
fn a_client_of_1_3_1_is_served() {
    let client = Client::small();
    let mut input = InputOf131 {
        input: common::token_input(&PROMPT),
        audio: [u64::MAX; 6],
    };
    let mut recording = common::Recording::new(|_| 0);
    let userdata = recording.userdata();
    let mut infer = infer_param();
    // SAFETY: valid pointers; the recording outlives the blocking call.
    let status = unsafe { rkllm_run(client.handle, (&raw mut input).cast(), &raw mut infer, userdata) };
    assert_eq!((status, recording.events.len()), (0, 17));
    assert_eq!(input.audio, [u64::MAX; 6]);
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
    let available = thread::available_parallelism().expect("known").get();
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
