//! What a run delivers.
#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

mod common;

use std::ptr;
use std::time::{Duration, Instant};

use common::header::*;
use common::{Client, Recording, greedy, infer_param, small, text_input, tiny, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

#[test]
fn one_callback_a_token_then_finish_with_statistics() {
    let client = Client::small();
    let run = client.run(&PROMPT, &infer_param());
    assert_eq!(run.tokens.len(), 16);
    assert!(run.ids().iter().all(|id| (0..354).contains(id)));
    assert_eq!(
        (&run.finish.text, run.finish.token),
        (&None, -1),
        "FINISH is about no token"
    );
    assert_eq!(run.finish.prefill_tokens, 6);
    assert_eq!(
        run.finish.generate_tokens, 15,
        "the first token belongs to prefill"
    );
    assert!(run.finish.prefill_ms > 0.0);
    assert!(run.finish.generate_ms > 0.0);
    assert!(run.finish.memory_mb > 1.0);
}

#[test]
fn statistics_come_with_finish_only() {
    let run = Client::small().run(&PROMPT, &infer_param());
    for event in &run.tokens {
        assert_eq!(
            (
                event.prefill_tokens,
                event.generate_tokens,
                event.memory_mb.to_bits()
            ),
            (0, 0, 0)
        );
    }
}

#[test]
fn a_run_may_set_its_own_cap_and_zero_means_the_one_of_init() {
    let client = Client::small();
    for (cap, expected) in [(1, 1), (3, 3), (40, 40), (0, 16), (-1, 16)] {
        let run = client.run(
            &PROMPT,
            &RKLLMInferParam {
                max_new_tokens: cap,
                ..infer_param()
            },
        );
        assert_eq!(run.tokens.len(), expected, "max_new_tokens {cap}");
    }
}

#[test]
fn a_single_token_is_all_prefill() {
    let run = Client::small().run(
        &PROMPT,
        &RKLLMInferParam {
            max_new_tokens: 1,
            ..infer_param()
        },
    );
    assert_eq!((run.finish.prefill_tokens, run.finish.generate_tokens), (6, 0));
    assert_eq!(run.finish.generate_ms.to_bits(), 0);
}

const STAY: Duration = Duration::from_millis(20);

/// A run whose callback stays for `STAY` at one of its 16 tokens: the two times at FINISH in milliseconds, and when
/// the first and the last token came, from the call on.
fn times_of_a_run_that_stays_at(index: usize) -> ((f32, f32), (f32, f32)) {
    let client = Client::small();
    let (mut entered, call) = (Vec::new(), Instant::now());
    let run = client.call(&token_input(&PROMPT), &infer_param(), |_| {
        let now = Instant::now();
        while entered.len() == index && now.elapsed() < STAY {}
        entered.push((now - call).as_secs_f32() * 1000.0);
        0
    });
    let finish = common::Run::of(run).finish;
    ((finish.prefill_ms, finish.generate_ms), (entered[0], entered[15]))
}

#[test]
fn decode_lasts_from_the_first_callback_to_the_last() {
    let stay = STAY.as_secs_f32() * 1000.0;
    let ((prefill, generate), (first, last)) = times_of_a_run_that_stays_at(0);
    assert!(prefill < first, "{prefill} {first}");
    assert!(
        generate >= stay,
        "the first callback is within decode: {generate}"
    );
    assert!(prefill + generate < last, "{prefill} {generate} {last}");
    let ((prefill, generate), (first, last)) = times_of_a_run_that_stays_at(15);
    assert!(prefill < first, "{prefill} {first}");
    assert!(
        prefill + generate < last,
        "the last one is not: {prefill} {generate} {last}"
    );
}

/// The bytes of a token of the small model: special ones have none, then come the 256 bytes, a space, printable ASCII.
fn bytes_of(token: i32) -> Option<u8> {
    match u8::try_from(token - 3) {
        Ok(byte) => Some(byte),
        Err(_) if token < 3 => None,
        Err(_) if token == 259 => Some(b' '),
        Err(_) => u8::try_from(token - 260 + i32::from(b'!')).ok(),
    }
}

#[test]
fn split_characters_wait_and_the_text_comes_whole() {
    let client = Client::small();
    let long = RKLLMInferParam {
        max_new_tokens: 200,
        ..infer_param()
    };
    let mut whole_after_waiting = 0;
    for first in 259..354 {
        let run = client.run(&[1, first], &long);
        // Bytes that wait for the rest of their character when the run ends are never delivered.
        let waiting = |event: &&common::Event| event.state == RKLLM_RUN_WAITING;
        let last_text = run.tokens.iter().rposition(|event| !waiting(&event));
        let delivered = &run.tokens[..last_text.map_or(0, |index| index + 1)];
        let bytes: Vec<u8> = delivered
            .iter()
            .filter_map(|event| bytes_of(event.token))
            .collect();
        let expected = String::from_utf8_lossy(&bytes).replace('\0', "\u{FFFD}");
        assert_eq!(run.text(), expected, "after {first}");
        for pair in run.tokens.windows(2) {
            assert_eq!(waiting(&&pair[0]), pair[0].text.is_none());
            let text = pair[1].text.as_deref().unwrap_or_default();
            let beyond_ascii = |c: char| !c.is_ascii() && c != '\u{FFFD}';
            whole_after_waiting += usize::from(waiting(&&pair[0]) && text.contains(beyond_ascii));
        }
    }
    assert!(
        whole_after_waiting > 0,
        "some characters of several bytes came whole"
    );
}

#[test]
fn waiting_tokens_count_in_the_statistics() {
    let client = Client::small();
    let waited = (259..354)
        .map(|first| client.run(&[1, first], &infer_param()))
        .find(|run| run.tokens.iter().any(|event| event.state == RKLLM_RUN_WAITING));
    let run = waited.expect("some run waits");
    assert_eq!(run.finish.generate_tokens, 15);
}

#[test]
fn greedy_runs_repeat_and_follow_the_prompt() {
    let client = Client::small();
    let first = client.run(&PROMPT, &infer_param()).ids();
    client.clear(0);
    assert_eq!(client.run(&PROMPT, &infer_param()).ids(), first);
    let others: Vec<_> = (259..270)
        .map(|id| client.run(&[1, id], &infer_param()).ids())
        .collect();
    assert!(others.iter().any(|ids| *ids != first));
}

#[test]
fn tokens_generated_one_by_one_are_those_of_one_long_prompt() {
    // Decode and prefill are two ways through llama.cpp: greedy continuation must not depend on which was taken.
    let client = Client::small();
    let ids = client.run(&PROMPT, &infer_param()).ids();
    client.clear(0);
    let longer = [&PROMPT[..], &ids[..8]].concat();
    let rest = client.run(
        &longer,
        &RKLLMInferParam {
            max_new_tokens: 8,
            ..infer_param()
        },
    );
    assert_eq!(rest.ids(), ids[8..]);
}

#[test]
fn draws_repeat_with_the_same_sampling_and_differ_from_greedy() {
    let client = Client::small();
    let mut sampling = RKLLMSamplingParam {
        top_k: 40,
        top_p: 0.95,
        temperature: 1.0,
        repeat_penalty: 1.0,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        mirostat: 0,
        mirostat_tau: 5.0,
        mirostat_eta: 0.1,
    };
    let drawing = RKLLMInferParam {
        sampling_params: &raw mut sampling,
        max_new_tokens: 32,
        ..infer_param()
    };
    let greedy = client
        .run(
            &PROMPT,
            &RKLLMInferParam {
                max_new_tokens: 32,
                ..infer_param()
            },
        )
        .ids();
    let drawn = client.run(&PROMPT, &drawing).ids();
    assert_eq!(client.run(&PROMPT, &drawing).ids(), drawn);
    assert_ne!(drawn, greedy);
    // The run's own values were for that run only.
    let again = client
        .run(
            &PROMPT,
            &RKLLMInferParam {
                max_new_tokens: 32,
                ..infer_param()
            },
        )
        .ids();
    assert_eq!(again, greedy);
}

#[test]
fn a_strong_repeat_penalty_keeps_greedy_from_repeating() {
    let mut param = greedy();
    param.repeat_penalty = 1000.0;
    param.max_new_tokens = 40;
    let mut ids = Client::load(small(), &param).run(&PROMPT, &infer_param()).ids();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}

#[test]
fn a_repeat_penalty_counts_the_prompt() {
    let neutral = Client::small();
    let (prompt, chosen) = (0..300)
        .map(|first| (first..first + 50).collect::<Vec<i32>>())
        .map(|prompt| (prompt.clone(), neutral.run(&prompt, &infer_param()).ids()[0]))
        .find(|(prompt, chosen)| prompt.contains(chosen))
        .expect("some prompt is answered with one of its own tokens");
    let mut param = greedy();
    param.repeat_penalty = 1000.0;
    let penalised = Client::load(small(), &param).run(&prompt, &infer_param()).ids()[0];
    assert!(penalised != chosen && !prompt.contains(&penalised), "{penalised}");
}

/// The ids of a run that meets an end token, from a client that goes on past it.
fn run_past_an_end(client: &Client) -> (i32, Vec<i32>) {
    let mut sampling = RKLLMSamplingParam {
        top_k: 0,
        top_p: 1.0,
        temperature: 5.0,
        repeat_penalty: 1.0,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        mirostat: 0,
        mirostat_tau: 5.0,
        mirostat_eta: 0.1,
    };
    let drawing = RKLLMInferParam {
        sampling_params: &raw mut sampling,
        max_new_tokens: 200,
        ..infer_param()
    };
    (3..354)
        .map(|first| (first, client.run(&[1, first], &drawing)))
        .map(|(first, run)| (first, run.ids()))
        .find(|(_, ids)| ids[1..199].contains(&2))
        .expect("an end token is drawn at last")
}

#[test]
fn an_end_token_ends_the_run_unless_ignored_and_has_empty_text() {
    let mut param = greedy();
    param.top_k = 0;
    param.top_p = 1.0;
    param.temperature = 5.0;
    param.max_new_tokens = 200;
    let (first, past) = run_past_an_end(&Client::load(small(), &param));
    assert_eq!(past.len(), 200, "ignored: the run goes to its cap");

    param.ignore_eos_token = 0;
    let run = Client::load(small(), &param).run(&[1, first], &infer_param());
    let end = past.iter().position(|&id| id == 2).expect("it was found above");
    assert_eq!(run.ids(), past[..=end], "the end token is the last callback");
    assert_eq!(run.tokens[end].state, RKLLM_RUN_NORMAL);
    assert_eq!(run.tokens[end].text.as_deref(), Some(""));

    param.skip_special_token = 0;
    let run = Client::load(small(), &param).run(&[1, first], &infer_param());
    assert!(
        run.tokens[end]
            .text
            .as_deref()
            .is_some_and(|text| text.ends_with("</s>")),
        "shown when not skipped"
    );
}

#[test]
fn text_and_its_tokens_are_the_same_prompt() {
    // "a" is found among the pieces as a space with the letter: one token.
    let client = Client::small();
    let text = client.run_text(c"!", &infer_param());
    // The unwrapped prompt has no leading token; SentencePiece puts a space in front: pieces 259 and 260.
    assert_eq!(text.finish.prefill_tokens, 2);
    client.clear(0);
    assert_eq!(client.run(&[259, 260], &infer_param()).ids(), text.ids());
}

#[test]
fn the_window_ends_a_run_with_finish() {
    let mut param = greedy();
    param.max_context_len = 32;
    param.max_new_tokens = 0;
    let client = Client::load(small(), &param);
    let run = client.run(&[300; 30], &infer_param());
    // Two more positions can be computed; the token chosen behind the last one needs none.
    assert_eq!(run.tokens.len(), 3);
    let run = client.run(&[301; 32], &infer_param());
    assert_eq!(run.tokens.len(), 1);
}

#[test]
fn a_prompt_longer_than_the_window_fails_without_a_callback() {
    let mut param = greedy();
    param.max_context_len = 32;
    let client = Client::load(small(), &param);
    let (status, events) = client.call(&token_input(&[300; 33]), &infer_param(), |_| 0);
    assert_ne!(status, 0);
    assert_eq!(
        events,
        [],
        "clients free what they have on either, and would do it twice"
    );
    assert_eq!(
        client.run(&PROMPT, &infer_param()).tokens.len(),
        16,
        "the handle still works"
    );
}

#[test]
fn ids_outside_the_vocabulary_and_empty_prompts_fail_without_a_callback() {
    let client = Client::small();
    for ids in [&[1, 354][..], &[-1], &[i32::MAX], &[i32::MIN], &[]] {
        let (status, events) = client.call(&token_input(ids), &infer_param(), |_| 0);
        assert_ne!(status, 0, "{ids:?}");
        assert_eq!(events, [], "{ids:?}");
    }
    let (status, events) = client.call(&text_input(c""), &infer_param(), |_| 0);
    assert_ne!(status, 0);
    assert_eq!(events, []);
    let (status, _) = client.call(&text_input(c"\xff\xfe"), &infer_param(), |_| 0);
    assert_ne!(status, 0, "not UTF-8");
}

#[test]
fn other_replies_of_the_callback_than_one_go_on() {
    let client = Client::small();
    for reply in [2, 3, -1] {
        let (status, events) = client.call(&token_input(&PROMPT), &infer_param(), |_| reply);
        assert_eq!((status, events.len()), (0, 17), "reply {reply}");
    }
}

#[test]
fn prompts_of_several_batches_count_whole() {
    let mut param = greedy();
    param.max_context_len = 4096;
    param.max_new_tokens = 2;
    let client = Client::load(tiny(), &param);
    let prompt: Vec<i32> = (0..2100).map(|index| 300 + index % 3000).collect();
    let run = client.run(&prompt, &infer_param());
    assert_eq!(run.finish.prefill_tokens, 2100);
    assert_eq!(client.cached(), 2100);
}

#[test]
fn the_userdata_of_init_serves_runs_without_their_own() {
    let mut recording = Recording::new(|_| 0);
    let client = Client::load_with_userdata(small(), &greedy(), recording.userdata());
    let status = client.call_with_userdata(&token_input(&PROMPT), &infer_param(), ptr::null_mut());
    assert_eq!(status, 0);
    assert_eq!(recording.events.len(), 17);
}
