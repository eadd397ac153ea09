//! What the KV cache holds from one run to the next: reuse, history, clearing, templates.

mod common;

use common::header::*;
use common::{Client, SMALL, greedy, infer_param, model, small};
use rkllmrt::builtin::Shape;

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

fn keep_history() -> RKLLMInferParam {
    RKLLMInferParam {
        keep_history: 1,
        ..infer_param()
    }
}

#[test]
fn a_repeated_prompt_skips_prefill_without_history_too() {
    let client = Client::small();
    let first = client.run(&PROMPT, &infer_param());
    let second = client.run(&PROMPT, &infer_param());
    assert_eq!(
        (first.finish.prefill_tokens, second.finish.prefill_tokens),
        (6, 0)
    );
    assert_eq!(second.finish.prefill_ms.to_bits(), 0);
    assert_eq!(second.finish.generate_tokens, 16, "all tokens are of decode then");
    assert!(second.finish.generate_ms > 0.0);
    assert_eq!(second.ids(), first.ids());
}

#[test]
fn a_shared_prefix_is_not_computed_again() {
    let client = Client::small();
    let whole = client.run(&[1, 300, 301, 310, 311], &infer_param());
    client.clear(0);
    client.run(&PROMPT, &infer_param());
    let run = client.run(&[1, 300, 301, 310, 311], &infer_param());
    assert_eq!(run.finish.prefill_tokens, 2);
    assert_eq!(run.ids(), whole.ids());
}

#[test]
fn a_prompt_that_begins_the_last_one_computes_its_last_token() {
    let client = Client::small();
    client.run(&PROMPT, &infer_param());
    let run = client.run(&PROMPT[..4], &infer_param());
    assert_eq!(run.finish.prefill_tokens, 1);
    client.clear(0);
    assert_eq!(client.run(&PROMPT[..4], &infer_param()).ids(), run.ids());
}

#[test]
fn another_prompt_in_between_evicts_the_first() {
    let client = Client::small();
    client.run(&PROMPT, &infer_param());
    client.run(&[5, 6, 7], &infer_param());
    assert_eq!(client.run(&PROMPT, &infer_param()).finish.prefill_tokens, 6);
}

#[test]
fn clearing_makes_the_next_prefill_whole() {
    let client = Client::small();
    client.run(&PROMPT, &infer_param());
    assert_eq!(client.clear(0), 0);
    assert_eq!(client.cached(), 0);
    let run = client.run(&PROMPT, &infer_param());
    assert_eq!(run.finish.prefill_tokens, 6);
    assert_eq!(run.finish.generate_tokens, 15);
}

#[test]
fn without_history_the_prompt_stays_in_the_cache_and_the_reply_does_not() {
    let client = Client::small();
    assert_eq!(client.cached(), 0);
    client.run(&PROMPT, &infer_param());
    assert_eq!(client.cached(), 6);
}

#[test]
fn with_history_the_next_prompt_comes_behind_the_turn() {
    let client = Client::small();
    let first = client.run(&PROMPT, &keep_history());
    assert_eq!(client.cached(), 6 + 15, "the last token was never computed");
    let second = client.run(&[310, 311], &keep_history());
    assert_eq!(
        second.finish.prefill_tokens, 3,
        "the turn's last token and the new prompt"
    );

    let whole = [&PROMPT[..], &first.ids(), &[310, 311]].concat();
    client.clear(0);
    let in_one = client.run(&whole, &infer_param());
    assert_eq!(in_one.finish.prefill_tokens, 24);
    assert_eq!(in_one.ids(), second.ids());
}

#[test]
fn a_run_without_history_sees_earlier_turns_and_leaves_none() {
    let client = Client::small();
    client.run(&PROMPT, &keep_history());
    let seen = client.run(&[310], &infer_param());
    assert_eq!(seen.finish.prefill_tokens, 2);
    assert_eq!(client.cached(), 6 + 16 + 1, "the turn before and the prompt");
    let again = client.run(&[311], &infer_param());
    assert_eq!(again.finish.prefill_tokens, 1);
    assert_eq!(client.cached(), 6 + 16 + 1, "the last prompt has gone");

    client.clear(0);
    assert_eq!(
        client.run(&[310], &infer_param()).finish.prefill_tokens,
        1,
        "clearing ends the conversation"
    );
}

#[test]
fn history_that_fills_the_window_is_an_error_of_the_next_run() {
    let mut param = greedy();
    param.max_context_len = 32;
    let client = Client::load(small(), &param);
    client.run(&[300; 16], &keep_history());
    let (status, events) = client.call(&common::token_input(&[301]), &infer_param(), |_| 0);
    assert_ne!(status, 0);
    assert_eq!(events, []);
    assert_eq!(client.clear(0), 0);
    client.run(&[301], &infer_param());
}

#[test]
fn a_template_is_put_around_text_and_empties_the_cache() {
    let client = Client::small();
    let plain = client.run_text(c"x", &infer_param());
    assert_eq!(plain.finish.prefill_tokens, 2, "a space and the letter");
    assert_eq!(client.set_template(c"S", c"P", c"Q"), 0);
    assert_eq!(client.cached(), 0);
    let wrapped = client.run_text(c"x", &infer_param());
    assert_eq!(
        wrapped.finish.prefill_tokens,
        1 + 1 + 4,
        "the leading token, a space, SPxQ"
    );
    assert_eq!(client.set_template(c"", c"", c""), 0);
    assert_eq!(
        client.run_text(c"x", &infer_param()).finish.prefill_tokens,
        2,
        "wrapping is off"
    );
}

#[test]
fn special_tokens_spelt_out_in_a_template_are_one_token() {
    let client = Client::small();
    assert_eq!(client.set_template(c"", c"<s>", c"</s>"), 0);
    let run = client.run_text(c"x", &infer_param());
    client.clear(0);
    // The vocabulary's leading token is there already and does not come twice. 259: space, 260 + 87: x.
    let same = client.run(&[1, 259, 347, 2], &infer_param());
    assert_eq!(run.finish.prefill_tokens, 4);
    assert_eq!(same.ids(), run.ids());
}

#[test]
fn clearing_may_keep_the_system_prompt() {
    let client = Client::small();
    client.set_template(c"System", c"P", c"Q");
    client.run_text(c"x", &infer_param());
    assert_eq!(client.clear(1), 0);
    assert_eq!(
        client.cached(),
        1 + 1 + 6,
        "the leading token, a space, six letters"
    );
    let run = client.run_text(c"x", &infer_param());
    assert_eq!(run.finish.prefill_tokens, 3);
    assert_eq!(client.clear(0), 0);
    assert_eq!(client.cached(), 0);
}

#[test]
fn later_turns_of_a_conversation_have_no_second_system_prompt() {
    let client = Client::small();
    client.set_template(c"System", c"P", c"Q");
    client.run_text(c"x", &keep_history());
    let run = client.run_text(c"x", &keep_history());
    assert_eq!(
        run.finish.prefill_tokens,
        1 + 1 + 3,
        "the turn's last token, a space, PxQ"
    );
}

#[test]
fn token_input_is_never_wrapped() {
    let client = Client::small();
    client.set_template(c"System", c"P", c"Q");
    assert_eq!(client.run(&PROMPT, &infer_param()).finish.prefill_tokens, 6);
}

/// What llama.cpp recognises as `ChatML`.
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] \
                      + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}\
                      {% endif %}";

#[test]
fn the_models_own_template_is_used_until_one_is_set() {
    let path = model(&Shape {
        name: "chatml",
        chat_template: Some(CHATML),
        ..SMALL
    });
    let client = Client::load(&path, &greedy());
    let wrapped = client.run_text(c"x", &infer_param());
    client.clear(0);
    client.set_template(c"", c"<|im_start|>user\n", c"<|im_end|>\n<|im_start|>assistant\n");
    let by_hand = client.run_text(c"x", &infer_param());
    assert_eq!(wrapped.finish.prefill_tokens, by_hand.finish.prefill_tokens);
    assert_eq!(wrapped.ids(), by_hand.ids());
    client.set_template(c"", c"", c"");
    assert_eq!(client.run_text(c"x", &infer_param()).finish.prefill_tokens, 2);
}

#[test]
fn the_role_goes_into_the_models_template() {
    let path = model(&Shape {
        name: "chatml-role",
        chat_template: Some(CHATML),
        ..SMALL
    });
    let client = Client::load(&path, &greedy());
    let mut lengths = Vec::new();
    for role in [
        std::ptr::null(),
        c"user".as_ptr(),
        c"tool-of-a-longer-name".as_ptr(),
    ] {
        client.clear(0);
        let input = RKLLMInput {
            role,
            ..common::text_input(c"x")
        };
        lengths.push(
            common::Run::of(client.call(&input, &infer_param(), |_| 0))
                .finish
                .prefill_tokens,
        );
    }
    assert_eq!(lengths[0], lengths[1], "NULL is the user");
    assert_eq!(lengths[2] - lengths[1], 17, "a token for each letter more");
}

#[test]
fn a_template_that_llama_cpp_does_not_know_leaves_prompts_alone() {
    let path = model(&Shape {
        name: "unknown-template",
        chat_template: Some("{{ 'own way' }}"),
        ..SMALL
    });
    let run = Client::load(&path, &greedy()).run_text(c"x", &infer_param());
    assert_eq!(run.finish.prefill_tokens, 2);
}

#[test]
fn two_models_at_once_do_not_disturb_each_other() {
    let alone = Client::small().run(&PROMPT, &infer_param()).ids();
    let (one, two) = (Client::small(), Client::small());
    assert_ne!(one.handle, two.handle);
    one.run(&[7, 8], &infer_param());
    let (left, right) = std::thread::scope(|scope| {
        let other = scope.spawn(|| two.run(&PROMPT, &infer_param()).ids());
        (
            one.run(&PROMPT, &infer_param()).ids(),
            other.join().expect("no panic"),
        )
    });
    assert_eq!((left, right), (alone.clone(), alone));
}
