//! The tokenizer and the embedding callback: they stand in for what a model's file does not carry, and for nothing else.
#![expect(unsafe_code, reason = "the C API is what is tested")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect"
)]

mod common;

use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;
use std::{ptr, slice};

use common::gguf::{self, Lack};
use common::header::*;
use common::stderr::refused;
use common::{Client, SMALL, callbacks, greedy, infer_param, init_with, small, text_input, token_input};
use tempfile::TempDir;

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];
const EMBEDDING: Lack = Lack::Tensor(c"token_embd.weight");

/// The small model without some of its parts.
fn small_without(folder: &TempDir, lack: &[Lack]) -> PathBuf {
    let path = folder.path().join("bare.gguf");
    let n_vocab = u32::try_from(SMALL.n_vocab).unwrap();
    gguf::write_without(lack, n_vocab, small(), &path);
    path
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// What a tokenizer callback saw, and what it is to do.
#[derive(Default)]
struct Tokenizing {
    texts: Vec<String>,
    room: i32,
    /// Returned instead of the count.
    answer: Option<c_int>,
}

/// The small model's own tokenizer, for printable ASCII: a space first, then a token for each character.
unsafe extern "C" fn tokenize(
    userdata: *mut c_void,
    text: *const c_char,
    text_len: i32,
    tokens: *mut i32,
    n_tokens_max: i32,
) -> c_int {
    // SAFETY: the test passed it, and nothing else touches it meanwhile.
    let seen = unsafe { &mut *userdata.cast::<Tokenizing>() };
    let length = usize::try_from(text_len).unwrap();
    // SAFETY: the runtime says how long the text is, and ends it in NUL.
    let text = unsafe { slice::from_raw_parts(text.cast::<u8>(), length + 1) };
    assert_eq!(text[length], 0);
    let text = &text[..length];
    seen.texts.push(String::from_utf8(text.to_vec()).unwrap());
    seen.room = n_tokens_max;
    // SAFETY: the runtime says how many there is room for.
    let room = unsafe { slice::from_raw_parts_mut(tokens, usize::try_from(n_tokens_max).unwrap()) };
    room[0] = 259;
    for (token, byte) in room[1..].iter_mut().zip(text) {
        *token = if *byte == b' ' {
            259
        } else {
            260 + i32::from(*byte) - i32::from(b'!')
        };
    }
    seen.answer.unwrap_or(text_len + 1)
}

fn with_tokenizer(seen: &mut Tokenizing) -> RKLLMCallback {
    RKLLMCallback {
        tokenizer_callback: Some(tokenize),
        tokenizer_userdata: (&raw mut *seen).cast(),
        ..callbacks()
    }
}

#[test]
fn a_tokenizer_callback_that_gives_the_models_own_ids_gives_its_answer() {
    let own = Client::small().run_text(c"why so", &infer_param());
    let folder = folder();
    let mut seen = Tokenizing::default();
    let path = small_without(&folder, &[Lack::Tokenizer]);
    let client = Client::load_with(&path, &greedy(), with_tokenizer(&mut seen));
    let run = client.run_text(c"why so", &infer_param());
    assert_eq!(run.ids(), own.ids());
    assert_eq!(run.finish.prefill_tokens, own.finish.prefill_tokens);
    assert!(
        run.tokens.iter().all(|event| event.text.as_deref() == Some("")),
        "no tokenizer, no text"
    );
    client.set_template(c"S", c"P", c"Q");
    client.run_text(c"x", &infer_param());
    client.run(&PROMPT, &infer_param());
    drop(client);
    assert_eq!(
        seen.texts,
        ["why so", "SPxQ"],
        "with its template, and not for ids"
    );
    assert_eq!(seen.room, 512, "the window");
}

#[test]
fn a_tokenizer_callback_that_fails_is_an_error_of_the_run() {
    let folder = folder();
    let path = small_without(&folder, &[Lack::Tokenizer]);
    for (answer, words) in [
        (-3, ["tokenizer_callback", "failed with -3"]),
        (513, ["513 tokens", "room for 512"]),
        (0, ["the prompt", "empty"]),
    ] {
        let mut seen = Tokenizing {
            answer: Some(answer),
            ..Tokenizing::default()
        };
        let client = Client::load_with(&path, &greedy(), with_tokenizer(&mut seen));
        let mut events = Vec::new();
        let call = || {
            let (status, seen) = client.call(&text_input(c"x"), &infer_param(), |_| 0);
            events = seen;
            status
        };
        refused(call, &words);
        assert_eq!(events, [], "nothing was computed");
        assert_eq!(client.run(&PROMPT, &infer_param()).tokens.len(), 16);
    }
}

/// What an embedding callback saw, and what it is to do.
struct Embedding {
    table: Vec<Vec<f32>>,
    tokens: Vec<Vec<i32>>,
    /// Returned from this call on.
    failure: Option<(usize, c_int)>,
}

impl Embedding {
    fn new() -> Self {
        Self {
            table: gguf::matrix(small(), c"token_embd.weight"),
            tokens: Vec::new(),
            failure: None,
        }
    }
}

unsafe extern "C" fn embed(
    userdata: *mut c_void,
    tokens: *mut i32,
    num_tokens: u64,
    buffer: *mut c_void,
    len: u64,
) -> c_int {
    // SAFETY: the test passed it, and nothing else touches it meanwhile.
    let seen = unsafe { &mut *userdata.cast::<Embedding>() };
    let count = usize::try_from(num_tokens).unwrap();
    assert_eq!(len, num_tokens * SMALL.n_embd as u64 * 4);
    // SAFETY: the runtime says how many there are.
    let tokens = unsafe { slice::from_raw_parts(tokens, count) };
    // SAFETY: the runtime says how long the buffer is.
    let rows = unsafe { slice::from_raw_parts_mut(buffer.cast::<f32>(), count * SMALL.n_embd) };
    for (row, &token) in rows.chunks_exact_mut(SMALL.n_embd).zip(tokens) {
        row.copy_from_slice(&seen.table[usize::try_from(token).unwrap()]);
    }
    seen.tokens.push(tokens.to_vec());
    match seen.failure {
        Some((call, status)) if seen.tokens.len() >= call => status,
        _ => 0,
    }
}

fn with_embedding(seen: &mut Embedding) -> RKLLMCallback {
    RKLLMCallback {
        embed_callback: Some(embed),
        embed_userdata: (&raw mut *seen).cast(),
        ..callbacks()
    }
}

#[test]
fn an_embedding_callback_with_the_models_own_rows_gives_its_answer() {
    let own = Client::small().run(&PROMPT, &infer_param());
    let folder = folder();
    let mut seen = Embedding::new();
    let path = small_without(&folder, &[EMBEDDING]);
    let client = Client::load_with(&path, &greedy(), with_embedding(&mut seen));
    let run = client.run(&PROMPT, &infer_param());
    assert_eq!(run.ids(), own.ids());
    let text = client.run_text(c"x", &infer_param());
    assert_eq!(text.finish.prefill_tokens, 2, "the file's tokenizer");
    drop(client);
    assert_eq!(seen.tokens[0], PROMPT);
    let reply: Vec<i32> = seen.tokens[1..16].concat();
    assert_eq!(
        reply,
        own.ids()[..15],
        "each token that is computed, one at a time"
    );
}

#[test]
fn logits_come_through_an_embedding_callback_too() {
    let folder = folder();
    let mut seen = Embedding::new();
    let path = small_without(&folder, &[EMBEDDING]);
    let client = Client::load_with(&path, &greedy(), with_embedding(&mut seen));
    let infer = RKLLMInferParam {
        mode: RKLLM_INFER_GET_LOGITS,
        ..infer_param()
    };
    let rows = |client: &Client| {
        let (_, events) = client.call(&token_input(&PROMPT), &infer, |_| 0);
        events[1].logits.clone().expect("logits")
    };
    let apart = common::plain::distance(&rows(&client).values, &rows(&Client::small()).values);
    assert!(apart < 0.1, "{apart}");
}

#[test]
fn an_embedding_callback_that_fails_ends_the_run_with_an_error() {
    let folder = folder();
    let path = small_without(&folder, &[EMBEDDING]);
    for (call, tokens) in [(1, 0), (3, 2)] {
        let mut seen = Embedding::new();
        seen.failure = Some((call, 7));
        let client = Client::load_with(&path, &greedy(), with_embedding(&mut seen));
        let mut events = Vec::new();
        let run = || {
            let (status, all) = client.call(&token_input(&PROMPT), &infer_param(), |_| 0);
            events = all;
            status
        };
        refused(run, &["embed_callback failed with 7"]);
        assert_eq!(events.len(), tokens + 1);
        assert_eq!(events[tokens].state, RKLLM_RUN_ERROR);
    }
}

#[test]
fn models_that_carry_both_use_neither_callback() {
    let (mut tokenizing, mut embedding) = (Tokenizing::default(), Embedding::new());
    let callback = RKLLMCallback {
        embed_callback: Some(embed),
        embed_userdata: (&raw mut embedding).cast(),
        ..with_tokenizer(&mut tokenizing)
    };
    let client = Client::load_with(small(), &greedy(), callback);
    client.run_text(c"x", &infer_param());
    drop(client);
    assert_eq!(tokenizing.texts, [] as [&str; 0]);
    assert!(embedding.tokens.is_empty());
}

#[test]
fn models_that_lack_a_part_are_refused_without_its_callback() {
    for (lack, words) in [
        (Lack::Tokenizer, ["no tokenizer", "tokenizer_callback is NULL"]),
        (EMBEDDING, ["no embedding layer", "embed_callback is NULL"]),
    ] {
        let folder = folder();
        let path = small_without(&folder, &[lack]);
        let mut handle = ptr::dangling_mut::<u8>().cast();
        let call = || {
            let (status, written) = init_with(&path, &greedy(), callbacks());
            handle = written;
            status
        };
        refused(call, &words);
        assert!(handle.is_null());
    }
    for missing in [c"output.weight", c"blk.1.ffn_up.weight"] {
        let folder = folder();
        let path = small_without(&folder, &[EMBEDDING, Lack::Tensor(missing)]);
        let mut seen = Embedding::new();
        let callback = with_embedding(&mut seen);
        refused(|| init_with(&path, &greedy(), callback).0, &["cannot load"]);
    }
}
