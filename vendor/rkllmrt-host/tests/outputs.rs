//! Runs that give hidden states or logits of a prompt's tokens.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect"
)]

mod common;

use common::header::*;
use common::plain::{Plain, argmax, distance};
use common::{Client, Event, Rows, SMALL, embed_input, gguf, infer_param, small, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

/// Batches and single tokens are summed in another order, from activations in eight bits. Rows of different tokens lie
/// several times further apart, which is asserted too.
const ROUNDING: f32 = 0.25;

fn infer(mode: RKLLMInferMode) -> RKLLMInferParam {
    RKLLMInferParam {
        mode,
        ..infer_param()
    }
}

/// The rows of a run that went as it should: a callback without output, one with, FINISH.
#[track_caller]
fn outputs(client: &Client, input: &RKLLMInput, infer: &RKLLMInferParam) -> (Rows, Event) {
    let (status, events) = client.call(input, infer, |_| 0);
    assert_eq!(status, 0);
    let [first, mut with, finish] = <[Event; 3]>::try_from(events).expect("three callbacks");
    for (event, state) in [
        (&first, RKLLM_RUN_NORMAL),
        (&with, RKLLM_RUN_NORMAL),
        (&finish, RKLLM_RUN_FINISH),
    ] {
        assert_eq!((event.state, event.token, &event.text), (state, -1, &None));
    }
    for event in [&first, &finish] {
        assert_eq!((&event.hidden, &event.logits), (&None, &None));
    }
    let (wanted, other) = if infer.mode == RKLLM_INFER_GET_LOGITS {
        (with.logits.take(), with.hidden)
    } else {
        (with.hidden.take(), with.logits)
    };
    assert_eq!(other, None, "only what was asked for");
    (wanted.expect("rows"), finish)
}

#[test]
fn logits_of_each_token_are_those_of_llama_cpp() {
    let client = Client::small();
    let (rows, finish) = outputs(&client, &token_input(&PROMPT), &infer(RKLLM_INFER_GET_LOGITS));
    assert_eq!((rows.width, rows.iter().len()), (SMALL.n_vocab, PROMPT.len()));
    let mut plain = Plain::load(small());
    for (row, token) in rows.iter().zip(PROMPT) {
        let apart = distance(row, &plain.step(token).logits);
        assert!(apart < ROUNDING, "{apart}");
    }
    for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
        assert!(distance(row, next) > 4.0 * ROUNDING);
    }
    assert_eq!((finish.prefill_tokens, finish.generate_tokens), (6, 1));
    assert_eq!(finish.generate_ms.to_bits(), 0);
    let last = rows.iter().last().expect("rows");
    assert_eq!(
        argmax(last),
        client.run(&PROMPT, &infer_param()).ids()[0],
        "greedy"
    );
}

#[test]
fn hidden_states_of_each_token_are_those_of_llama_cpp_and_give_the_logits() {
    let client = Client::small();
    let input = token_input(&PROMPT);
    let (hidden, finish) = outputs(&client, &input, &infer(RKLLM_INFER_GET_LAST_HIDDEN_LAYER));
    assert_eq!((hidden.width, hidden.iter().len()), (SMALL.n_embd, PROMPT.len()));
    assert_eq!((finish.prefill_tokens, finish.generate_tokens), (6, 1));
    let (logits, _) = outputs(&client, &input, &infer(RKLLM_INFER_GET_LOGITS));
    let matrix = gguf::matrix(small(), c"output.weight");
    let mut plain = Plain::load(small());
    for ((hidden, logits), token) in hidden.iter().zip(logits.iter()).zip(PROMPT) {
        let apart = distance(hidden, &plain.step(token).hidden);
        assert!(apart < ROUNDING, "{apart}");
        let product: Vec<f32> = matrix
            .iter()
            .map(|row| row.iter().zip(hidden).map(|(weight, value)| weight * value).sum())
            .collect();
        let apart = distance(logits, &product);
        assert!(apart < ROUNDING, "{apart}");
    }
}

#[test]
fn each_token_has_its_row_whatever_the_cache_holds() {
    let client = Client::small();
    let get = infer(RKLLM_INFER_GET_LOGITS);
    let (cold, _) = outputs(&client, &token_input(&PROMPT), &get);
    client.run(&PROMPT, &infer_param());
    let (warm, finish) = outputs(&client, &token_input(&PROMPT), &get);
    assert_eq!(finish.prefill_tokens, 6);
    assert!(warm == cold, "the same to the bit");
    assert_eq!(client.cached(), 6);
}

#[test]
fn rows_of_a_long_prompt_are_one_list() {
    let prompt: Vec<i32> = (0..150).map(|index| 259 + index % 90).collect();
    let client = Client::small();
    let get = infer(RKLLM_INFER_GET_LAST_HIDDEN_LAYER);
    let (rows, _) = outputs(&client, &token_input(&prompt), &get);
    assert_eq!(rows.iter().len(), 150);
    let mut plain = Plain::load(small());
    for (row, token) in rows.iter().zip(prompt) {
        let apart = distance(row, &plain.step(token).hidden);
        assert!(apart < ROUNDING, "{apart}");
    }
}

#[test]
fn runs_before_and_after_are_as_without() {
    let client = Client::small();
    let plain = client.run(&PROMPT, &infer_param());
    for mode in [RKLLM_INFER_GET_LAST_HIDDEN_LAYER, RKLLM_INFER_GET_LOGITS] {
        outputs(&client, &token_input(&PROMPT), &infer(mode));
        client.clear(0);
        let again = client.run(&PROMPT, &infer_param());
        assert_eq!(again.ids(), plain.ids());
        assert_eq!(again.finish.prefill_tokens, 6);
    }
}

#[test]
fn with_history_rows_are_of_the_new_prompt_behind_the_turns_before() {
    let client = Client::small();
    let keep = |mode| RKLLMInferParam {
        keep_history: 1,
        ..infer(mode)
    };
    let turn = client.run(&PROMPT, &keep(RKLLM_INFER_GENERATE)).ids();
    let get = infer(RKLLM_INFER_GET_LOGITS);
    let (rows, finish) = outputs(&client, &token_input(&[310, 311]), &get);
    assert_eq!(
        (rows.iter().len(), finish.prefill_tokens),
        (2, 3),
        "and the turn's last token"
    );

    let whole = [&PROMPT[..], &turn, &[310, 311]].concat();
    client.clear(0);
    let (all, _) = outputs(&client, &token_input(&whole), &keep(RKLLM_INFER_GET_LOGITS));
    for (row, same) in rows.iter().zip(all.iter().skip(22)) {
        let apart = distance(row, same);
        assert!(apart < ROUNDING, "{apart}");
    }
    let next = client.run(&[312], &infer_param());
    assert_eq!(
        next.finish.prefill_tokens, 1,
        "the prompt stayed as a turn of its own"
    );
    client.clear(0);
    let in_one = client.run(&[&whole[..], &[312]].concat(), &infer_param());
    assert_eq!(in_one.ids(), next.ids());
}

#[test]
fn an_abort_in_either_callback_ends_the_run_and_other_values_do_not() {
    let client = Client::small();
    for calls in [1, 2] {
        let mut seen = 0;
        let (status, events) = client.call(&token_input(&PROMPT), &infer(RKLLM_INFER_GET_LOGITS), |_| {
            seen += 1;
            if seen == calls {
                client.abort();
            }
            0
        });
        // Those before the abort, and FINISH.
        assert_eq!((status, events.len()), (0, calls + 1));
        assert_eq!(events[calls].state, RKLLM_RUN_FINISH);
    }
    for reply in [1, 2] {
        let (status, events) = client.call(&token_input(&PROMPT), &infer(RKLLM_INFER_GET_LOGITS), |_| reply);
        assert_eq!((status, events.len()), (0, 3));
    }
    assert_eq!(
        client.run(&PROMPT, &infer_param()).tokens.len(),
        16,
        "nothing is paused"
    );
}

#[test]
fn embeddings_of_the_input_have_outputs_too() {
    let client = Client::small();
    let get = infer(RKLLM_INFER_GET_LAST_HIDDEN_LAYER);
    let (by_tokens, _) = outputs(&client, &token_input(&PROMPT), &get);
    let table = gguf::matrix(small(), c"token_embd.weight");
    let values: Vec<f32> = PROMPT
        .iter()
        .flat_map(|&token| table[usize::try_from(token).unwrap()].clone())
        .collect();
    let (by_rows, _) = outputs(&client, &embed_input(&values, PROMPT.len()), &get);
    let apart = distance(&by_rows.values, &by_tokens.values);
    assert!(apart < ROUNDING, "{apart}");
}

#[test]
fn a_prompt_that_cannot_be_computed_is_an_error() {
    let client = Client::small();
    let (status, events) = client.call(&token_input(&[300; 513]), &infer(RKLLM_INFER_GET_LOGITS), |_| 0);
    assert_ne!(status, 0);
    assert_eq!(events, []);
}
