//! Prompt caches in files.
#![expect(unsafe_code, reason = "the C API is what is tested")]
#![allow(clippy::expect_used, reason = "a test stops at what it did not expect")]

mod common;

use std::ffi::{CString, c_int};
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr;

use common::gguf::Lora;
use common::header::*;
use common::stderr::refused;
use common::{Client, Event, Run, SMALL, embed_input, greedy, infer_param, model, small, token_input};
use rkllmrt::builtin::Shape;
use tempfile::TempDir;

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];
const LONGER: [i32; 8] = [1, 300, 301, 302, 303, 304, 305, 306];

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().expect("UTF-8")).expect("no NUL")
}

fn load(client: &Client, path: &Path) -> c_int {
    let path = c_path(path);
    // SAFETY: a path that ends in NUL.
    unsafe { rkllm_load_prompt_cache(client.handle, path.as_ptr()) }
}

fn release(client: &Client) -> c_int {
    // SAFETY: no condition.
    unsafe { rkllm_release_prompt_cache(client.handle) }
}

/// A run that saves, or would if `save` were 1.
fn call_saving(
    client: &Client,
    input: &RKLLMInput,
    path: &Path,
    save: c_int,
    infer: RKLLMInferParam,
) -> (c_int, Vec<Event>) {
    let path = c_path(path);
    let mut cache = RKLLMPromptCacheParam {
        save_prompt_cache: save,
        prompt_cache_path: path.as_ptr(),
    };
    let infer = RKLLMInferParam {
        prompt_cache_params: &raw mut cache,
        ..infer
    };
    client.call(input, &infer, |_| 0)
}

/// A folder with the cache of `PROMPT`, saved by another handle.
fn saved() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache");
    let client = Client::small();
    let run = Run::of(call_saving(
        &client,
        &token_input(&PROMPT),
        &path,
        1,
        infer_param(),
    ));
    assert_eq!(
        run.ids(),
        client.run(&PROMPT, &infer_param()).ids(),
        "saving changes no answer"
    );
    let files = fs::read_dir(folder.path()).expect("read").count();
    assert_eq!(files, 1, "nothing is left beside it");
    (folder, path)
}

#[test]
fn a_restored_cache_leaves_only_what_follows_to_prefill() {
    let (_folder, path) = saved();
    let client = Client::small();
    let cold = client.run(&LONGER, &infer_param());
    assert_eq!(cold.finish.prefill_tokens, 8);
    client.clear(0);
    assert_eq!(load(&client, &path), 0);
    assert_eq!(
        client.cached(),
        0,
        "nothing is restored before a prompt asks for it"
    );
    let warm = client.run(&LONGER, &infer_param());
    assert_eq!(warm.finish.prefill_tokens, 2);
    assert_eq!(warm.ids(), cold.ids());
}

#[test]
fn it_serves_until_it_is_released() {
    let (_folder, path) = saved();
    let client = Client::small();
    load(&client, &path);
    for _ in 0..2 {
        assert_eq!(client.run(&LONGER, &infer_param()).finish.prefill_tokens, 2);
        assert_eq!(client.run(&[5, 6, 7], &infer_param()).finish.prefill_tokens, 3);
        client.clear(0);
    }
    client.run(&LONGER, &infer_param());
    assert_eq!(release(&client), 0);
    assert_eq!(client.cached(), 0);
    assert_eq!(client.run(&LONGER, &infer_param()).finish.prefill_tokens, 8);
    assert_eq!(release(&client), 0, "none is loaded");
    assert_eq!(client.cached(), 8, "and the cache stays");
}

#[test]
fn a_prompt_that_begins_otherwise_takes_what_it_shares() {
    let (_folder, path) = saved();
    let client = Client::small();
    let prompt = [1, 300, 301, 310, 311];
    let cold = client.run(&prompt, &infer_param()).ids();
    client.clear(0);
    load(&client, &path);
    let run = client.run(&prompt, &infer_param());
    assert_eq!((run.finish.prefill_tokens, run.ids()), (2, cold));
    assert_eq!(
        client.run(&PROMPT, &infer_param()).finish.prefill_tokens,
        1,
        "its last token"
    );
}

#[test]
fn what_the_kv_cache_has_more_of_is_used_instead() {
    let (_folder, path) = saved();
    let client = Client::small();
    client.run(&LONGER, &infer_param());
    load(&client, &path);
    assert_eq!(client.run(&LONGER, &infer_param()).finish.prefill_tokens, 0);
}

#[test]
fn a_conversation_may_begin_with_it() {
    let (_folder, path) = saved();
    let keep = RKLLMInferParam {
        keep_history: 1,
        ..infer_param()
    };
    let client = Client::small();
    let cold = [client.run(&LONGER, &keep), client.run(&[310], &keep)].map(|run| run.ids());
    client.clear(0);
    load(&client, &path);
    let warm = [client.run(&LONGER, &keep), client.run(&[310], &keep)];
    assert_eq!(warm[0].finish.prefill_tokens, 2);
    assert_eq!(
        warm[1].finish.prefill_tokens, 2,
        "the turn's last token and the prompt"
    );
    assert_eq!(warm.map(|run| run.ids()), cold);
}

#[test]
fn nothing_is_saved_unless_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache");
    let client = Client::small();
    Run::of(call_saving(
        &client,
        &token_input(&PROMPT),
        &path,
        0,
        infer_param(),
    ));
    assert!(!path.exists());
}

#[test]
fn an_older_file_is_replaced() {
    let (_folder, path) = saved();
    let client = Client::small();
    Run::of(call_saving(
        &client,
        &token_input(&LONGER),
        &path,
        1,
        infer_param(),
    ));
    client.clear(0);
    load(&client, &path);
    assert_eq!(client.run(&LONGER, &infer_param()).finish.prefill_tokens, 1);
}

#[test]
fn files_that_are_not_whole_caches_of_this_model_are_refused() {
    let (folder, path) = saved();
    let whole = fs::read(&path).expect("read");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let mut changed = whole.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    let client = Client::small();
    for (path, words) in [
        (
            file("cut", &whole[..whole.len() - 1]),
            ["cut", "damaged or was cut off"],
        ),
        (file("head", &whole[..20]), ["head", "damaged or was cut off"]),
        (file("changed", &changed), ["changed", "damaged"]),
        (file("garbage", &[7; 1000]), ["garbage", "no prompt cache"]),
        (file("empty", &[]), ["empty", "no prompt cache"]),
        (
            folder.path().join("absent"),
            ["absent", "cannot read the prompt cache"],
        ),
        (
            folder.path().to_owned(),
            ["cannot read the prompt cache", "no regular file"],
        ),
        (small().to_owned(), ["small.gguf", "no prompt cache"]),
    ] {
        refused(|| load(&client, &path), &words);
    }
    // SAFETY: NULL is what the call is to withstand.
    refused(
        || unsafe { rkllm_load_prompt_cache(client.handle, ptr::null()) },
        &["prompt_cache_path is NULL"],
    );
    assert_eq!(client.run(&PROMPT, &infer_param()).finish.prefill_tokens, 6);
}

#[test]
fn a_cache_of_a_model_of_the_same_shape_is_refused() {
    let (_folder, path) = saved();
    let other = model(&Shape {
        name: "other",
        ..SMALL
    });
    refused(
        || load(&Client::load(&other, &greedy()), &path),
        &["made by another model"],
    );
    let mut param = greedy();
    param.max_context_len = 5;
    refused(
        || load(&Client::load(small(), &param), &path),
        &["holds 6 tokens", "max_context[5]"],
    );
}

#[test]
fn a_cache_is_of_the_adapter_that_it_was_made_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let (adapter, path) = (folder.path().join("adapter"), folder.path().join("cache"));
    Lora {
        architecture: c"llama",
        target: "blk.0.ffn_down.weight",
        n_in: 128,
        n_out: 64,
        seed: 1,
        factor: 4.0,
    }
    .write(&adapter);
    let adapter = c_path(&adapter);
    let load_adapter = |client: &Client, scale| {
        let mut adapter = RKLLMLoraAdapter {
            lora_adapter_path: adapter.as_ptr(),
            lora_adapter_name: c"a".as_ptr(),
            scale,
        };
        // SAFETY: a valid pointer with strings that end in NUL.
        assert_eq!(unsafe { rkllm_load_lora(client.handle, &raw mut adapter) }, 0);
    };
    let mut lora = RKLLMLoraParam {
        lora_adapter_name: c"a".as_ptr(),
    };
    let with = RKLLMInferParam {
        lora_params: &raw mut lora,
        ..infer_param()
    };
    let client = Client::small();
    load_adapter(&client, 1.0);
    let saving = Run::of(call_saving(&client, &token_input(&PROMPT), &path, 1, with));

    let client = Client::small();
    refused(|| load(&client, &path), &["an adapter that is not loaded"]);
    load_adapter(&client, 0.5);
    refused(|| load(&client, &path), &["an adapter that is not loaded"]);

    let client = Client::small();
    load_adapter(&client, 1.0);
    assert_eq!(load(&client, &path), 0);
    assert_eq!(client.run(&PROMPT, &infer_param()).finish.prefill_tokens, 6);
    let run = client.run(&PROMPT, &with);
    assert_eq!((run.finish.prefill_tokens, run.ids()), (1, saving.ids()));
}

#[test]
fn what_cannot_be_saved_is_an_error_before_anything_is_computed() {
    let client = Client::small();
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().join("absent/cache"), folder.path().to_owned()] {
        let mut events = Vec::new();
        let call = || {
            let (status, seen) = call_saving(&client, &token_input(&PROMPT), &path, 1, infer_param());
            events = seen;
            status
        };
        refused(call, &["cannot write the prompt cache"]);
        assert_eq!(events, []);
        assert_eq!(client.cached(), 0);
    }
    let path = folder.path().join("cache");
    let rows = embed_input(&[0.5; 128], 2);
    refused(
        || call_saving(&client, &rows, &path, 1, infer_param()).0,
        &["embeddings cannot be saved"],
    );
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 0);
}
