//! Adapters: loaded under names, used by the runs that name them.
#![expect(unsafe_code, reason = "the C API is what is tested")]
#![allow(clippy::expect_used, reason = "a test stops at what it did not expect")]

mod common;

use std::ffi::{CStr, CString, c_int};
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr;

use common::gguf::Lora;
use common::header::*;
use common::stderr::refused;
use common::{Client, Run, infer_param, small, token_input};
use tempfile::TempDir;

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

/// Of the small model's first layer, strong enough to be heard.
const LORA: Lora<'static> = Lora {
    architecture: c"llama",
    target: "blk.0.ffn_down.weight",
    n_in: 128,
    n_out: 64,
    seed: 1,
    factor: 4.0,
};

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, lora: &Lora<'_>) -> PathBuf {
        let path = self.0.path().join(name);
        lora.write(&path);
        path
    }
}

fn load(client: &Client, path: &Path, name: &CStr, scale: f32) -> c_int {
    let path = CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    let mut adapter = RKLLMLoraAdapter {
        lora_adapter_path: path.as_ptr(),
        lora_adapter_name: name.as_ptr(),
        scale,
    };
    // SAFETY: a valid pointer with strings that end in NUL.
    unsafe { rkllm_load_lora(client.handle, &raw mut adapter) }
}

/// The status of a run with an adapter, and its events.
fn call(client: &Client, name: *const std::ffi::c_char) -> (c_int, Vec<common::Event>) {
    let mut lora = RKLLMLoraParam {
        lora_adapter_name: name,
    };
    let infer = RKLLMInferParam {
        lora_params: &raw mut lora,
        ..infer_param()
    };
    client.call(&token_input(&PROMPT), &infer, |_| 0)
}

#[track_caller]
fn run_with(client: &Client, name: &CStr) -> Run {
    Run::of(call(client, name.as_ptr()))
}

#[test]
fn a_run_is_changed_by_the_adapter_that_it_names_and_by_no_other() {
    let (client, files) = (Client::small(), Files::new());
    let without = client.run(&PROMPT, &infer_param()).ids();
    let one = files.write("one", &LORA);
    let two = files.write("two", &Lora { seed: 2, ..LORA });
    assert_eq!(load(&client, &one, c"one", 1.0), 0);
    assert_eq!(load(&client, &two, c"two", 1.0), 0);
    client.clear(0);
    assert_eq!(
        client.run(&PROMPT, &infer_param()).ids(),
        without,
        "loaded, and not named"
    );
    let with_one = run_with(&client, c"one").ids();
    let with_two = run_with(&client, c"two").ids();
    assert_ne!(with_one, without);
    assert_ne!(with_two, without);
    assert_ne!(with_one, with_two);
    assert_eq!(client.run(&PROMPT, &infer_param()).ids(), without);
    assert_eq!(run_with(&client, c"one").ids(), with_one);

    let other = Client::small();
    load(&other, &two, c"one", 1.0);
    assert_eq!(
        run_with(&other, c"one").ids(),
        with_two,
        "a name is of its handle"
    );
}

#[test]
fn what_the_cache_holds_of_another_adapter_is_computed_again() {
    let (client, files) = (Client::small(), Files::new());
    load(&client, &files.write("one", &LORA), c"one", 1.0);
    client.run(&PROMPT, &infer_param());
    assert_eq!(run_with(&client, c"one").finish.prefill_tokens, 6);
    assert_eq!(run_with(&client, c"one").finish.prefill_tokens, 0);
    assert_eq!(client.run(&PROMPT, &infer_param()).finish.prefill_tokens, 6);
}

#[test]
fn the_scale_is_the_strength() {
    let (client, files) = (Client::small(), Files::new());
    let path = files.write("one", &LORA);
    let double = files.write("double", &Lora { factor: 8.0, ..LORA });
    for (path, name, scale) in [
        (&path, c"one", 1.0),
        (&path, c"twice", 2.0),
        (&path, c"none", 0.0),
        (&double, c"double", 1.0),
    ] {
        assert_eq!(load(&client, path, name, scale), 0);
    }
    let twice = run_with(&client, c"twice").ids();
    assert_eq!(twice, run_with(&client, c"double").ids());
    assert_ne!(twice, run_with(&client, c"one").ids());
    assert_eq!(
        run_with(&client, c"none").ids(),
        client.run(&PROMPT, &infer_param()).ids()
    );
}

#[test]
fn a_paused_run_goes_on_with_its_adapter() {
    let (client, files) = (Client::small(), Files::new());
    load(&client, &files.write("one", &LORA), c"one", 1.0);
    let whole = run_with(&client, c"one").ids();
    client.clear(0);
    let mut lora = RKLLMLoraParam {
        lora_adapter_name: c"one".as_ptr(),
    };
    let infer = RKLLMInferParam {
        lora_params: &raw mut lora,
        ..infer_param()
    };
    let (_, head) = client.call(&token_input(&PROMPT), &infer, |_| 1);
    let tail = client.run(&[], &infer_param()).ids();
    assert_eq!([vec![head[0].token], tail].concat(), whole);
}

#[test]
fn names_that_are_not_loaded_are_refused() {
    let (client, files) = (Client::small(), Files::new());
    let path = files.write("one", &LORA);
    load(&client, &path, c"one", 1.0);
    refused(|| call(&client, c"two".as_ptr()).0, &["no adapter", "two"]);
    refused(|| call(&client, ptr::null()).0, &["lora_adapter_name is NULL"]);
    refused(|| load(&client, &path, c"one", 1.0), &["one", "loaded already"]);
    refused(|| load(&client, &path, c"nan", f32::NAN), &["scale", "NaN"]);
    assert_eq!(client.run(&PROMPT, &infer_param()).tokens.len(), 16);
}

#[test]
fn files_that_are_no_adapter_of_this_model_are_refused() {
    let (client, files) = (Client::small(), Files::new());
    let garbage = files.0.path().join("garbage");
    fs::write(&garbage, [7; 1000]).expect("written");
    let cut = files.write("cut", &LORA);
    let whole = fs::read(&cut).expect("read");
    fs::write(&cut, &whole[..whole.len() - 100]).expect("written");
    let wide = files.write("wide", &Lora { n_in: 256, ..LORA });
    let unknown = files.write(
        "unknown",
        &Lora {
            target: "blk.7.ffn_down.weight",
            ..LORA
        },
    );
    let foreign = files.write(
        "foreign",
        &Lora {
            architecture: c"qwen2",
            ..LORA
        },
    );
    for (path, word) in [
        (files.0.path().join("absent").as_path(), "cannot read the adapter"),
        (&garbage, "garbage"),
        (&cut, "not within the file bounds"),
        (&wide, "incorrect shape"),
        (&unknown, "blk.7"),
        (&foreign, "arch"),
        (small(), "no LoRA adapter"),
    ] {
        refused(|| load(&client, path, c"bad", 1.0), &[word]);
    }
    refused(|| call(&client, c"bad".as_ptr()).0, &["no adapter"]);
    let adapter = RKLLMLoraAdapter {
        lora_adapter_path: ptr::null(),
        lora_adapter_name: c"x".as_ptr(),
        scale: 1.0,
    };
    for (mut bad, word) in [
        (adapter, "lora_adapter_path is NULL"),
        (
            RKLLMLoraAdapter {
                lora_adapter_path: c"x".as_ptr(),
                lora_adapter_name: ptr::null(),
                ..adapter
            },
            "lora_adapter_name is NULL",
        ),
    ] {
        // SAFETY: NULL is what the call is to withstand; the rest is valid.
        refused(
            || unsafe { rkllm_load_lora(client.handle, &raw mut bad) },
            &[word],
        );
    }
    // SAFETY: as above.
    refused(
        || unsafe { rkllm_load_lora(client.handle, ptr::null_mut()) },
        &["the adapter is NULL"],
    );
}
