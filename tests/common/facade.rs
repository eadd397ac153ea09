//! The host runtime behind an API server: real inference, streamed as it is made.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use rkllm_bench::ffi::{Params, Recording, RunInput, RunRequest, Session};
use rkllm_bench::inference::Sampling;
use serde_json::{Value, json};

use super::http::{Scripted, begin_stream, chunk, document, end_stream, event, said};

/// A run that is wanted: the prompt, how many tokens, and where its events go.
struct Wanted {
    text: String,
    tokens: i32,
    events: Sender<Vec<u8>>,
}

/// A server for the model file, with one thread of the runtime, which runs ignore end tokens.
pub fn serve(model: PathBuf) -> Scripted {
    let (wanted, asked) = channel::<Wanted>();
    std::thread::spawn(move || {
        let params = Params::new(&model).expect("the host runtime");
        let mut session = Session::open(&Params {
            cpu_count: 1,
            ignore_eos: true,
            max_context_len: 2048,
            ..params
        })
        .expect("the model");
        for wanted in asked {
            run(&mut session, &wanted);
        }
    });
    let wanted = Mutex::new(wanted);
    Scripted::start(move |asked, to| {
        if asked.page != "POST /v1/chat/completions" {
            return document(to, "404 Not Found", &json!({}));
        }
        let (events, made) = channel();
        let text = asked.body["messages"][0]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let tokens = asked.body["max_tokens"]
            .as_i64()
            .and_then(|tokens| tokens.try_into().ok());
        let run = Wanted {
            text,
            tokens: tokens.unwrap_or(16),
            events,
        };
        let sent = wanted.lock().expect("no panic").send(run);
        sent.map_err(io::Error::other)?;
        begin_stream(to)?;
        for event in made {
            chunk(to, &event)?;
        }
        chunk(to, b"data: [DONE]\n\n")?;
        end_stream(to)
    })
}

fn run(session: &mut Session, wanted: &Wanted) {
    session.clear_kv_cache().expect("cleared");
    let mut recording = Recording::with_room_for(usize::try_from(wanted.tokens).unwrap_or(0));
    let events = wanted.events.clone();
    recording.on_token(move |_, text| {
        // A token that is part of a character has a text all the same here, so that each is a chunk.
        let text = String::from_utf8_lossy(text);
        let _ = events.send(said(if text.is_empty() { "\u{fffd}" } else { &text }));
    });
    let request = RunRequest {
        sampling: Some(Sampling::GREEDY),
        ..RunRequest::new(RunInput::Text(&wanted.text), wanted.tokens)
    };
    session.run(&request, &mut recording).expect("an inference");
    let stats = recording.stats.expect("told by the runtime");
    let usage = json!({
        "prompt_tokens": stats.prefill_tokens, "completion_tokens": recording.tokens.len(),
        "prefill_tokens": stats.prefill_tokens, "prefill_time_ms": stats.prefill_time_ms,
        "generate_tokens": stats.generate_tokens, "generate_time_ms": stats.generate_time_ms,
        "memory_usage_mb": stats.memory_usage_mb,
    });
    let end: Value = json!({"choices": [{"delta": {}, "finish_reason": "length"}], "usage": usage});
    let _ = wanted.events.send(event(&end));
}
