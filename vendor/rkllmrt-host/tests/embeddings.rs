//! Embeddings as input.
#![expect(unsafe_code, reason = "the C API is what is tested")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect"
)]

mod common;

use std::ffi::CString;
use std::iter;

use common::header::*;
use common::stderr::refused;
use common::{Client, Run, embed_input, gguf, greedy, infer_param, small, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];
const WIDTH: usize = 64;

/// The embeddings of tokens, one row after the other.
fn rows(tokens: &[i32]) -> Vec<f32> {
    let table = gguf::matrix(small(), c"token_embd.weight");
    let row = |&token: &i32| table[usize::try_from(token).unwrap()].clone();
    tokens.iter().flat_map(row).collect()
}

#[track_caller]
fn run(client: &Client, values: &[f32], infer: &RKLLMInferParam) -> Run {
    Run::of(client.call(&embed_input(values, values.len() / WIDTH), infer, |_| 0))
}

#[test]
fn the_embeddings_of_a_prompts_tokens_give_the_same_answer() {
    let client = Client::small();
    let by_tokens = client.run(&PROMPT, &infer_param());
    let by_rows = run(&client, &rows(&PROMPT), &infer_param());
    assert_eq!(by_rows.ids(), by_tokens.ids());
    assert_eq!(
        by_rows.finish.prefill_tokens, 6,
        "no token of the prompt before counts as the same"
    );
    assert_eq!(client.cached(), 6);
}

#[test]
fn a_prefix_of_embeddings_is_not_computed_again() {
    let client = Client::small();
    let cold = run(&client, &rows(&[1, 300, 310]), &infer_param()).ids();
    client.clear(0);
    let first = run(&client, &rows(&PROMPT), &infer_param());
    let again = run(&client, &rows(&PROMPT), &infer_param());
    assert_eq!((again.finish.prefill_tokens, again.ids()), (0, first.ids()));
    let other = run(&client, &rows(&[1, 300, 310]), &infer_param());
    assert_eq!((other.finish.prefill_tokens, other.ids()), (1, cold));
    client.run(&PROMPT, &infer_param());
    assert_eq!(
        run(&client, &rows(&PROMPT), &infer_param()).finish.prefill_tokens,
        6
    );
}

#[test]
fn a_conversation_may_have_both_kinds_of_turns() {
    let keep = RKLLMInferParam {
        keep_history: 1,
        ..infer_param()
    };
    let client = Client::small();
    let by_tokens = [client.run(&PROMPT, &keep), client.run(&[310, 311], &keep)];
    client.clear(0);
    let mixed = [
        run(&client, &rows(&PROMPT), &keep),
        client.run(&[310, 311], &keep),
    ];
    assert_eq!(mixed[1].finish.prefill_tokens, 3);
    assert_eq!(mixed[1].ids(), by_tokens[1].ids());
}

/// Another adapter makes all of the context computed again, turns of embeddings with it.
#[test]
fn a_turn_of_embeddings_is_computed_again_when_it_has_to_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("adapter");
    gguf::Lora {
        architecture: c"llama",
        target: "blk.0.ffn_down.weight",
        n_in: 128,
        n_out: 64,
        seed: 1,
        factor: 4.0,
    }
    .write(&path);
    let path = CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    let client = Client::small();
    let mut adapter = RKLLMLoraAdapter {
        lora_adapter_path: path.as_ptr(),
        lora_adapter_name: c"a".as_ptr(),
        scale: 1.0,
    };
    // SAFETY: a valid pointer with strings that end in NUL.
    assert_eq!(unsafe { rkllm_load_lora(client.handle, &raw mut adapter) }, 0);
    let keep = RKLLMInferParam {
        keep_history: 1,
        max_new_tokens: 1,
        ..infer_param()
    };
    let mut lora = RKLLMLoraParam {
        lora_adapter_name: c"a".as_ptr(),
    };
    let with = RKLLMInferParam {
        lora_params: &raw mut lora,
        ..infer_param()
    };
    client.run(&PROMPT, &keep);
    let by_tokens = client.run(&[310], &with);
    client.clear(0);
    run(&client, &rows(&PROMPT), &keep);
    let by_rows = client.run(&[310], &with);
    assert_eq!(by_rows.finish.prefill_tokens, 6 + 1 + 1);
    assert_eq!(by_rows.ids(), by_tokens.ids());
}

/// So many embeddings that they would fill the window of the penalties. A penalty below zero is a reward: the next token
/// is one of those that are seen.
#[test]
fn penalties_look_past_embeddings() {
    let param = RKLLMParam {
        presence_penalty: -100.0,
        max_new_tokens: 1,
        ..greedy()
    };
    let client = Client::load(small(), &param);
    let keep = RKLLMInferParam {
        keep_history: 1,
        ..infer_param()
    };
    let first = client.run(&PROMPT, &keep).ids()[0];
    let next = run(&client, &rows(&[320; 80]), &infer_param()).ids()[0];
    assert!(PROMPT.contains(&next) || next == first, "{next}");
}

#[test]
fn embeddings_without_meaning_are_refused() {
    let client = Client::small();
    let mut values = rows(&PROMPT);
    values[70] = f32::NAN;
    refused(
        || client.call(&embed_input(&values, 6), &infer_param(), |_| 0).0,
        &["not finite"],
    );
    refused(
        || client.call(&embed_input(&values, 0), &infer_param(), |_| 0).0,
        &["the prompt is empty"],
    );
    refused(
        || {
            client
                .call(&embed_input(&values, usize::MAX), &infer_param(), |_| 0)
                .0
        },
        &["n_tokens", "too many"],
    );
    let long: Vec<f32> = iter::repeat_n(0.5, 513 * WIDTH).collect();
    refused(
        || client.call(&embed_input(&long, 513), &infer_param(), |_| 0).0,
        &["prompt[513]", "max_context[512]"],
    );
    assert_eq!(
        Run::of(client.call(&token_input(&PROMPT), &infer_param(), |_| 0))
            .tokens
            .len(),
        16
    );
}
