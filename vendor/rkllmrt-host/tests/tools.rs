//! Functions that a model may call, in its prompts.
#![expect(unsafe_code, reason = "the C API is what is tested")]

mod common;

use std::ffi::{CStr, c_int};
use std::ptr;

use common::header::*;
use common::stderr::refused;
use common::{Client, Run, SMALL, greedy, infer_param, model, text_input};
use rkllmrt::builtin::Shape;

/// What llama.cpp recognises as `ChatML`.
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] \
                      + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}\
                      {% endif %}";

const TOOLS: &CStr = c"[{\"name\": \"f\"}]";
/// What the README says becomes of the system prompt `S` and those.
const SYSTEM: &str = "S\n\nFunctions that you may call:\n<tools>\n{\"name\": \"f\"}\n</tools>\n\
                      To call a function, reply with its name and its arguments:\n\
                      <tool_call>\n{\"name\": \"<name>\", \"arguments\": {<arguments>}}\n</tool_call>";

fn client(name: &'static str) -> Client {
    let path = model(&Shape {
        name,
        chat_template: Some(CHATML),
        ..SMALL
    });
    Client::load(&path, &greedy())
}

fn set(client: &Client, system: &CStr, tools: &CStr, tag: &CStr) -> c_int {
    // SAFETY: three strings that end in NUL.
    unsafe { rkllm_set_function_tools(client.handle, system.as_ptr(), tools.as_ptr(), tag.as_ptr()) }
}

/// A run of text that comes from `role`.
#[track_caller]
fn run(client: &Client, role: &CStr, text: &str, infer: &RKLLMInferParam) -> Run {
    let text = std::ffi::CString::new(text).unwrap_or_default();
    let input = RKLLMInput {
        role: role.as_ptr(),
        ..text_input(&text)
    };
    Run::of(client.call(&input, infer, |_| 0))
}

/// The answer to text as it is, with nothing around it but the leading token.
#[track_caller]
fn bare(client: &Client, text: &str) -> Run {
    client.set_template(c"", c"", c"");
    let begun = run(client, c"user", &format!("<s>{text}"), &infer_param());
    assert!(begun.finish.prefill_tokens > 10);
    begun
}

fn keep() -> RKLLMInferParam {
    RKLLMInferParam {
        keep_history: 1,
        max_new_tokens: 1,
        ..infer_param()
    }
}

#[test]
fn functions_are_a_part_of_the_system_prompt() {
    let client = client("tools-system");
    let without = run(&client, c"user", "x", &infer_param()).finish.prefill_tokens;
    assert_eq!(set(&client, c"S", TOOLS, c"tool_response"), 0);
    assert_eq!(client.cached(), 0, "as with another template");
    let with = run(&client, c"user", "x", &infer_param());
    assert!(with.finish.prefill_tokens > without);
    let by_hand = bare(
        &client,
        &format!(
            "<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"
        ),
    );
    assert_eq!(by_hand.finish.prefill_tokens, with.finish.prefill_tokens);
    assert_eq!(by_hand.ids(), with.ids());
}

#[test]
fn what_a_function_gave_stands_between_marks_in_a_turn_of_the_user() {
    let client = client("tools-result");
    let same = ["result", "<result>"].map(|tag| {
        set(
            &client,
            c"S",
            TOOLS,
            if tag == "result" { c"result" } else { c"<result>" },
        );
        let by_role = run(&client, c"tool", "{}", &infer_param());
        client.clear(0);
        let by_hand = run(&client, c"user", "<result>\n{}\n</result>", &infer_param());
        assert_eq!(by_hand.finish.prefill_tokens, by_role.finish.prefill_tokens);
        assert_eq!(by_hand.ids(), by_role.ids());
        by_role.ids()
    });
    assert_eq!(same[0], same[1]);
}

#[test]
fn later_turns_have_no_second_system_prompt_and_clearing_may_keep_it() {
    let client = client("tools-turns");
    set(&client, c"S", TOOLS, c"result");
    let first = run(&client, c"user", "x", &keep()).finish.prefill_tokens;
    let second = run(&client, c"tool", "{}", &keep()).finish.prefill_tokens;
    assert!(second < first, "{second} {first}");
    assert_eq!(client.clear(1), 0);
    let kept = client.cached();
    assert!(kept > i32::try_from(SYSTEM.len()).unwrap_or(0) / 2, "{kept}");
    let again = run(&client, c"user", "x", &infer_param()).finish.prefill_tokens;
    assert_eq!(again, first - kept);
    client.clear(0);
    assert_eq!(client.cached(), 0);
}

#[test]
fn a_template_of_the_client_takes_them_behind_its_system_prompt_and_ends_them() {
    let client = Client::small();
    client.set_template(c"A", c"P", c"Q");
    assert_eq!(set(&client, c"S", TOOLS, c"r"), 0);
    let with = run(&client, c"user", "x", &infer_param());
    let by_hand = bare(&client, &format!("A{SYSTEM}PxQ"));
    assert_eq!(by_hand.ids(), with.ids());
    client.set_template(c"A", c"P", c"Q");
    let ended = run(&client, c"user", "x", &infer_param());
    assert!(ended.finish.prefill_tokens < with.finish.prefill_tokens);
}

#[test]
fn tools_that_cannot_be_used_are_refused() {
    let client = client("tools-refused");
    for (tools, tag, words) in [
        (c"[{", c"r", ["tools is no JSON", "rkllm_set_function_tools"]),
        (c"", c"r", ["tools is no JSON", "line 1"]),
        (c"{}", c"r", ["list of objects", "function"]),
        (TOOLS, c"", ["tool_response_str", "empty"]),
    ] {
        refused(|| set(&client, c"S", tools, tag), &words);
    }
    let (handle, text, nothing) = (client.handle, c"[]".as_ptr(), ptr::null());
    for (system, tools, tag, word) in [
        (nothing, text, text, "system_prompt is NULL"),
        (text, nothing, text, "tools is NULL"),
        (text, text, nothing, "tool_response_str is NULL"),
    ] {
        // SAFETY: NULL is what the call is to withstand; the rest is valid.
        refused(
            || unsafe { rkllm_set_function_tools(handle, system, tools, tag) },
            &[word],
        );
    }
    refused(
        || set(&Client::small(), c"S", TOOLS, c"r"),
        &["no chat template", "rkllm_set_chat_template"],
    );
}
