//! The HTTP engine on scripted servers: counts, faults, models.

#![allow(clippy::expect_used, reason = "tests")]

mod common;

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::http::{
    Asked, PACE, Scripted, answer, begin_stream, chunk, document, end_stream, event, page, said, send,
};
use rkllm_bench::engine::Engine;
use rkllm_bench::engine::server::{Server, Target};
use rkllm_bench::inference::Api;
use rkllm_bench::inference::{CacheStart, CountRule, Inference, Input, Request};
use rkllm_bench::inference::{FailureKind, LoadSpec, Runtime};
use rkllm_bench::ledger::{Accepted, Ledger, Mark, Rejection};
use serde_json::{Value, json};

const CHAT: &str = "POST /v1/chat/completions";
const COMPLETIONS: &str = "POST /v1/completions";
/// Requests that loading makes.
const PROBES: usize = 2;

fn target(url: &str) -> Target {
    Target {
        address: url.parse().expect("an address"),
        api: Api::Chat,
        manages_models: true,
    }
}

fn spec() -> LoadSpec {
    LoadSpec {
        deadline: Duration::from_secs(30),
        ..LoadSpec::new("m")
    }
}

fn request(tokens: u32) -> Request {
    Request {
        deadline: Duration::from_secs(30),
        ..Request::new(Input::Text("Why is the sky blue, in a few words?".into()), tokens)
    }
}

/// Counts of a prompt of 40 tokens that was computed whole.
fn usage(completion_tokens: u32) -> Value {
    json!({"prompt_tokens": 40, "completion_tokens": completion_tokens, "prompt_tokens_details": {"cached_tokens": 0}})
}

fn is_stream(asked: &Asked) -> bool {
    [CHAT, COMPLETIONS].contains(&asked.page.as_str())
}

/// A server that answers loading as it should, and each request after that by `script`. It has no pages for models.
fn with(script: impl Fn(&Asked, &mut TcpStream) -> io::Result<bool> + Send + Sync + 'static) -> Scripted {
    let streams = AtomicUsize::new(0);
    Scripted::start(move |asked, to| {
        if !is_stream(asked) {
            return document(to, "404 Not Found", &json!({"detail": "Not Found"}));
        }
        if streams.fetch_add(1, Ordering::SeqCst) < PROBES {
            return send(to, &answer(&["one", " two"], &usage(2)));
        }
        script(asked, to)
    })
}

/// A loaded model of the server.
fn loaded(server: &Scripted) -> Server {
    let mut engine = Server::new(target(&server.url)).expect("no key");
    engine.load(&spec()).expect("loaded");
    engine
}

fn infer(server: &Scripted, request: &Request) -> Inference {
    loaded(server).infer(request).expect("an inference")
}

fn judge(request: &Request, inference: &Inference) -> Result<Accepted, Rejection> {
    let abilities = rkllm_bench::inference::Abilities {
        ignore_eos: false,
        ..rkllm_bench::inference::Abilities::of_header()
    };
    Ledger::new(abilities, &spec()).judge(request, None, inference)
}

/// Blocks until the client has hung up.
fn until_gone(from: &mut TcpStream) -> io::Result<bool> {
    let mut rest = [0; 64];
    while from.read(&mut rest)? > 0 {}
    Ok(false)
}

#[test]
fn an_answer_is_read_with_its_counts_and_asked_for_as_it_should() {
    let server = with(|_, to| send(to, &answer(&["The", " sky", " is", " blue"], &usage(4))));
    let mut engine = Server::new(target(&server.url)).expect("no key");
    let loaded = engine.load(&spec()).expect("loaded");
    let Runtime::Server(identity) = &loaded.runtime else {
        panic!("{:?}", loaded.runtime)
    };
    assert_eq!(identity.software.as_deref(), Some("scripted"));
    assert!(identity.is_local && identity.abilities.clear_kv_cache);
    let inference = engine.infer(&request(4)).expect("an inference");
    assert_eq!(inference.text, "The sky is blue");
    assert_eq!(inference.tokens.len(), 4, "a role and an end are no tokens");
    assert_eq!(inference.token_count().rule, CountRule::UsageAndChunks);
    assert_eq!(inference.reported_prompt_tokens(&request(4).input), Some(40));
    let accepted = judge(&request(4), &inference).expect("a sample");
    assert_eq!(accepted.marks, [], "usage says that nothing was cached");
    assert_eq!(accepted.phases.prefill_ns, None, "the server does not tell it");
    assert!(accepted.phases.decode_ns_per_token.is_some_and(|ns| ns >= 1e6));
    let stream = inference.stream.expect("of a server");
    assert!(inference.call_ns < stream.response_ns && stream.response_ns <= inference.tokens[0].at_ns);

    let body = &server.bodies(CHAT)[PROBES];
    assert_eq!(
        *body,
        json!({
            "model": "m", "messages": [{"role": "user", "content": "Why is the sky blue, in a few words?"}],
            "max_tokens": 4, "stream": true, "stream_options": {"include_usage": true},
            "temperature": 0.0, "top_p": 1.0, "top_k": 1, "repeat_penalty": 1.0, "frequency_penalty": 0.0,
            "presence_penalty": 0.0, "ignore_eos": true, "cache_prompt": false,
        })
    );
    assert_eq!(server.connections(), 1, "kept open");
}

#[test]
fn token_ids_go_to_the_completions() {
    let server = with(|_, to| {
        let mut events: Vec<_> = ["a", "b"]
            .iter()
            .map(|text| event(&json!({"choices": [{"text": text}]})))
            .collect();
        events.push(event(
            &json!({"choices": [{"text": "", "finish_reason": "length"}], "usage": usage(2)}),
        ));
        events.push(b"data: [DONE]\n\n".to_vec());
        send(to, &events)
    });
    let request = Request {
        input: Input::Tokens(vec![5, 6, 7]),
        ..request(2)
    };
    let inference = infer(&server, &request);
    assert_eq!(
        (inference.text.as_str(), inference.token_count().tokens),
        ("ab", Some(2))
    );
    assert_eq!(server.bodies(COMPLETIONS)[0]["prompt"], json!([5, 6, 7]));
}

#[test]
fn tokens_are_counted_by_the_rule_that_holds() {
    let words = ["one two", " three", " four five six"];
    let rkllm = |generate_tokens: u32, completion_tokens: u32| {
        json!({
            "prompt_tokens": 11, "completion_tokens": completion_tokens, "prefill_time_ms": 2.5, "prefill_tokens": 33,
            "generate_time_ms": 2.0, "generate_tokens": generate_tokens, "memory_usage_mb": 700.0,
        })
    };
    let rows: [(Value, usize, CountRule); 8] = [
        (usage(3), 3, CountRule::UsageAndChunks),
        (usage(9), 9, CountRule::Usage),
        (usage(6), 3, CountRule::ChunksUsageIsWords),
        (usage(2), 3, CountRule::ChunksUsageTooFew),
        (Value::Null, 3, CountRule::ChunksNoUsage),
        (json!({"completion_tokens": "many"}), 3, CountRule::ChunksNoUsage),
        (rkllm(9, 6), 9, CountRule::RuntimeStatistics),
        (rkllm(2, 6), 3, CountRule::ChunksUsageIsWords),
    ];
    for (usage, tokens, rule) in rows {
        let of_reply = usage.clone();
        let server = with(move |_, to| send(to, &answer(&words, &of_reply)));
        let inference = infer(&server, &request(9));
        let count = inference.token_count();
        assert_eq!((count.tokens, count.rule), (Some(tokens), rule), "{usage}");
        let accepted = judge(&request(9), &inference).expect("a sample");
        let is_marked = accepted
            .marks
            .iter()
            .any(|mark| matches!(mark, Mark::CountedBy { .. }));
        assert_eq!(
            is_marked,
            rule != CountRule::UsageAndChunks,
            "{usage}: {:?}",
            accepted.marks
        );
    }
}

#[test]
fn an_end_token_has_no_text() {
    let server = with(|_, to| {
        let mut events = answer(&["a", "b"], &usage(3));
        events[3] = event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
        send(to, &events)
    });
    let count = infer(&server, &request(8)).token_count();
    assert_eq!((count.tokens, count.rule), (Some(2), CountRule::UsageAndChunks));
}

#[test]
fn what_an_rkllm_server_tells_are_the_runtimes_statistics() {
    let server = with(|_, to| {
        let usage = json!({
            "prompt_tokens": 8, "completion_tokens": 4, "prefill_time_ms": 0.5, "prefill_tokens": 33,
            "generate_time_ms": 3.0, "generate_tokens": 4, "memory_usage_mb": 700.5,
        });
        send(to, &answer(&["a", "b", "c", "d"], &usage))
    });
    let inference = infer(&server, &request(4));
    let stats = inference.stats.expect("told");
    assert_eq!((stats.prefill_tokens, stats.generate_tokens), (33, 4));
    assert_eq!(inference.peak_rss_bytes, Some(700_500_000));
    assert_eq!(inference.phases().expect("tokens").prefill_ns, Some(500_000));
    // 8 is the number of the prompt's words.
    assert_eq!(inference.reported_prompt_tokens(&request(4).input), Some(33));
}

#[test]
fn llama_servers_timings_are_statistics_too() {
    let server = with(|_, to| {
        let mut events = answer(&["a", "b"], &usage(2));
        let timings =
            json!({"prompt_n": 40, "prompt_ms": 0.25, "predicted_n": 2, "predicted_ms": 1.5, "cache_n": 0});
        events[4] = event(&json!({"choices": [], "usage": usage(2), "timings": timings}));
        send(to, &events)
    });
    let stats = infer(&server, &request(2)).stats.expect("told");
    assert_eq!((stats.prefill_tokens, stats.generate_tokens), (40, 2));
    assert_eq!(stats.prefill_time_ms.to_bits(), 0.25_f32.to_bits());
}

#[test]
fn an_answer_that_was_kept_back_has_no_decode() {
    let server = with(|_, to| {
        let all: Vec<u8> = answer(&["a", "b", "c", "d", "e"], &usage(5)).concat();
        begin_stream(to)?;
        chunk(to, &all)?;
        end_stream(to)
    });
    let inference = infer(&server, &request(5));
    let accepted = judge(&request(5), &inference).expect("a sample");
    assert!(
        accepted.marks.contains(&Mark::NotStreamed),
        "{:?}",
        accepted.marks
    );
    assert_eq!(
        (accepted.phases.decode_ns_per_token, accepted.phases.worst_gap_ns),
        (None, None)
    );
}

#[test]
fn thoughts_that_come_apart_are_put_where_a_model_has_them() {
    let server = with(|_, to| {
        let thought = event(&json!({"choices": [{"delta": {"reasoning_content": "hm"}}]}));
        let mut events = answer(&["Yes"], &usage(2));
        events.insert(1, thought);
        send(to, &events)
    });
    assert_eq!(infer(&server, &request(2)).text, "<think>hm</think>Yes");
}

#[test]
fn a_cached_prompt_is_no_sample() {
    let server = with(|_, to| {
        let usage = json!({"prompt_tokens": 40, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 15}});
        send(to, &answer(&["a"], &usage))
    });
    let inference = infer(&server, &request(1));
    assert_eq!(
        judge(&request(1), &inference),
        Err(Rejection::WarmPrefill {
            computed: 25,
            prompt: 40
        })
    );
}

#[test]
fn prompts_vary_where_nobody_sees_that_they_are_computed_again() {
    for (cached, varies) in [
        (Value::Null, true),
        (json!({"cached_tokens": 39}), true),
        (json!({"cached_tokens": 0}), false),
    ] {
        let of_reply = cached.clone();
        let server = Scripted::start(move |asked, to| {
            if !is_stream(asked) {
                return document(to, "404 Not Found", &json!({}));
            }
            let usage =
                json!({"prompt_tokens": 40, "completion_tokens": 1, "prompt_tokens_details": of_reply});
            send(to, &answer(&["a"], &usage))
        });
        let mut engine = Server::new(target(&server.url)).expect("no key");
        let abilities = engine.load(&spec()).expect("loaded").runtime.abilities();
        assert_eq!(abilities.clear_kv_cache, !varies, "{cached}");
        for _ in 0..2 {
            engine.infer(&request(1)).expect("an inference");
        }
        let bodies = server.bodies(CHAT);
        assert_eq!(
            bodies[0], bodies[1],
            "what is found out is so by the same text twice"
        );
        assert_eq!(bodies[2] != bodies[3], varies, "{cached}");
    }
}

#[test]
fn fields_that_a_server_refuses_are_left_out() {
    let server = Scripted::start(|asked, to| {
        if !is_stream(asked) {
            return document(to, "404 Not Found", &json!({}));
        }
        for unknown in ["cache_prompt", "ignore_eos"] {
            if !asked.body[unknown].is_null() {
                let error = json!({"error": {"message": format!("Unrecognized request argument supplied: {unknown}")}});
                return document(to, "400 Bad Request", &error);
            }
        }
        send(to, &answer(&["a"], &usage(1)))
    });
    let mut engine = loaded(&server);
    engine.infer(&request(1)).expect("an inference");
    assert_eq!(server.bodies(CHAT).len(), PROBES + 2 + 1, "each is refused once");
}

/// A fault, what the server sends, and what is said of it: as failure of the request, or by the ledger.
#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row a fault")]
fn each_fault_is_named() {
    type Script = Box<dyn Fn(&Asked, &mut TcpStream) -> io::Result<bool> + Send + Sync>;
    let rows: Vec<(&str, Script, &str)> = vec![
        (
            "no answer",
            Box::new(|_, to| until_gone(to)),
            "deadline of 1 s and was aborted after 0 tokens (--timeout)",
        ),
        (
            "silence in mid-stream",
            Box::new(|_, to| {
                begin_stream(to)?;
                chunk(to, &said("a"))?;
                chunk(to, &said("b"))?;
                until_gone(to)
            }),
            "deadline of 1 s and was aborted after 2 tokens",
        ),
        (
            "a byte at a time, too slowly",
            Box::new(|_, to| {
                begin_stream(to)?;
                loop {
                    chunk(to, b":")?;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }),
            "deadline of 1 s and was aborted after 0 tokens",
        ),
        (
            "a refusal in JSON",
            Box::new(|_, to| {
                document(
                    to,
                    "429 Too Many Requests",
                    &json!({"error": {"message": "slow\u{1b}[2J down"}}),
                )
            }),
            "429 Too Many Requests: slow\\u{1b}[2J down",
        ),
        (
            "a refusal of FastAPI",
            Box::new(|_, to| document(to, "500 Internal Server Error", &json!({"detail": "NPU is busy"}))),
            "500 Internal Server Error: NPU is busy",
        ),
        (
            "a refusal in text",
            Box::new(|_, to| page(to, "502 Bad Gateway", "text/plain", b"no upstream")),
            "502 Bad Gateway: no upstream",
        ),
        (
            "a page for people",
            Box::new(|_, to| page(to, "200 OK", "text/html", b"<html><body>Welcome!</body></html>")),
            "the answer is not an event stream but text/html; check --url: <html><body>Welcome!",
        ),
        (
            "the answer in one piece",
            Box::new(|_, to| {
                document(
                    to,
                    "200 OK",
                    &json!({"choices": [{"message": {"content": "all"}}]}),
                )
            }),
            "the answer came in one piece",
        ),
        (
            "an error with a good status",
            Box::new(|_, to| document(to, "200 OK", &json!({"error": "out of memory"}))),
            "out of memory",
        ),
        (
            "an event that is no JSON",
            Box::new(|_, to| {
                begin_stream(to)?;
                chunk(to, &said("a"))?;
                chunk(to, b"data: {\"choices\": [nope\n\n")?;
                until_gone(to)
            }),
            "event 2 of the stream is not a chunk: ",
        ),
        (
            "an event that is no text",
            Box::new(|_, to| {
                begin_stream(to)?;
                chunk(to, b"data: \xff\xfe\n\n")?;
                until_gone(to)
            }),
            "event 1 of the stream: utf8",
        ),
        (
            "an error in the stream",
            Box::new(|_, to| {
                begin_stream(to)?;
                chunk(to, &said("a"))?;
                chunk(
                    to,
                    &event(&json!({"error": {"message": "NPU hang", "type": "internal_error"}})),
                )?;
                end_stream(to)
            }),
            "the run failed: NPU hang",
        ),
        (
            "a stream that ends without [DONE]",
            Box::new(|_, to| {
                begin_stream(to)?;
                chunk(to, &said("a"))?;
                end_stream(to)
            }),
            "ended after 1 chunks with text, without [DONE]",
        ),
        (
            "a connection cut in mid-stream",
            Box::new(|_, to| {
                begin_stream(to)?;
                chunk(to, &said("a"))?;
                to.write_all(b"40\r\ndata: {\"cho")?;
                Ok(false)
            }),
            "ended after 1 chunks with text, without [DONE]",
        ),
        (
            "a connection cut before the headers",
            Box::new(|_, _| Ok(false)),
            "closed the connection without an answer",
        ),
        (
            "a redirect",
            Box::new(|_, to| {
                to.write_all(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://other:1/v1\r\ncontent-length: 0\r\n\r\n")?;
                Ok(true)
            }),
            "redirects to http://other:1/v1",
        ),
        (
            "no HTTP",
            Box::new(|_, to| {
                to.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")?;
                Ok(false)
            }),
            "http://127.0.0.1:",
        ),
        (
            "an empty answer",
            Box::new(|_, to| send(to, &answer(&[], &usage(0)))),
            "no token came",
        ),
    ];
    for (name, script, expected) in rows {
        let server = with(script);
        let mut engine = loaded(&server);
        let request = Request {
            deadline: Duration::from_secs(1),
            ..request(4)
        };
        let text = match engine.infer(&request) {
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::Refused, "{name}");
                failure.to_string()
            }
            Ok(inference) => judge(&request, &inference).expect_err(name).to_string(),
        };
        assert!(text.contains(expected), "{name}: {text}");
        assert!(text.len() < 600 && !text.contains('\u{1b}'), "{name}: {text}");
    }
}

#[test]
fn a_reply_without_end_is_read_no_further() {
    let sent = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&sent);
    let server = with(move |_, to| {
        begin_stream(to)?;
        let filler = event(&json!({"choices": [], "filler": "x".repeat(64 << 10)}));
        while counted.load(Ordering::SeqCst) < 100 << 20 {
            chunk(to, &filler)?;
            counted.fetch_add(filler.len(), Ordering::SeqCst);
        }
        end_stream(to)
    });
    let inference = infer(&server, &request(4));
    let text = judge(&request(4), &inference).expect_err("too long").to_string();
    assert!(text.contains("longer than 1.1 MB"), "{text}");
    assert!(sent.load(Ordering::SeqCst) < 50 << 20, "the client hung up");
}

#[test]
fn how_bytes_are_cut_up_is_nothing_to_the_answer() {
    let texts = ["Gr\u{fc}\u{df}e", " \u{1f980}", " \u{65e5}\u{672c}"];
    let bytes = answer(&texts, &usage(3)).concat();
    for size in [1, 2, 3, 7, bytes.len()] {
        let bytes = bytes.clone();
        let server = with(move |_, to| {
            begin_stream(to)?;
            for piece in bytes.chunks(size) {
                chunk(to, piece)?;
            }
            end_stream(to)
        });
        let inference = infer(&server, &request(3));
        assert_eq!(inference.text, texts.concat(), "pieces of {size}");
        assert_eq!(inference.token_count().tokens, Some(3), "pieces of {size}");
    }
}

#[test]
fn lines_may_end_as_they_like_and_hold_comments() {
    let server = with(|_, to| {
        let events = answer(&["a", "b"], &usage(2)).concat();
        let text = String::from_utf8(events).expect("text").replace('\n', "\r\n");
        begin_stream(to)?;
        chunk(to, b": keep-alive\r\n\r\nevent: message\r\nid: 1\r\n")?;
        chunk(to, text.as_bytes())?;
        end_stream(to)
    });
    assert_eq!(infer(&server, &request(2)).text, "ab");
}

#[test]
fn a_packed_stream_is_unpacked() {
    let server = with(|asked, to| {
        assert!(
            asked
                .header("accept-encoding")
                .is_some_and(|kinds| kinds.contains("gzip"))
        );
        to.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
        )?;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for event in answer(&["a", "b", "c"], &usage(3)) {
            packer.write_all(&event)?;
            packer.flush()?;
            chunk(to, &std::mem::take(packer.get_mut()))?;
            std::thread::sleep(PACE);
        }
        packer.try_finish()?;
        chunk(to, &std::mem::take(packer.get_mut()))?;
        end_stream(to)
    });
    let inference = infer(&server, &request(3));
    assert_eq!(inference.text, "abc");
    let marks = judge(&request(3), &inference).expect("a sample").marks;
    assert!(!marks.contains(&Mark::NotStreamed), "it came as it was made");
}

#[test]
fn where_nothing_listens_the_address_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", port.local_addr().expect("bound"));
    drop(port);
    let mut engine = Server::new(target(&url)).expect("no key");
    let text = engine.load(&spec()).expect_err("nothing listens").to_string();
    assert!(
        text.contains(&format!("nothing listens at {url}")) && text.contains("--url"),
        "{text}"
    );
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    let mut engine = Server::new(target("http://no-such-host.invalid:8080")).expect("no key");
    let text = engine.load(&spec()).expect_err("no host").to_string();
    assert!(text.contains("no-such-host.invalid"), "{text}");
}

/// An RKLLM server: it knows two models, and is ready some looks after it was asked to load one.
struct Shelf {
    loaded: Mutex<Option<String>>,
    looks: AtomicUsize,
}

const SHORT: &str = "qwen3-0.6b";
const WHOLE: &str = "qwen3-0.6b-w8a8-rk3588";

fn shelf(loaded: Option<&str>) -> Scripted {
    let shelf = Shelf {
        loaded: Mutex::new(loaded.map(str::to_owned)),
        looks: AtomicUsize::new(0),
    };
    Scripted::start(move |asked, to| {
        let mut loaded = shelf.loaded.lock().expect("no panic");
        match asked.page.as_str() {
            "GET /v1/models" => document(to, "200 OK", &json!({"data": [{"id": SHORT}, {"id": "gemma"}]})),
            "GET /v1/models/available" => document(
                to,
                "200 OK",
                &json!({"models": [{"name": WHOLE}, {"name": "gemma"}], "loaded_model": null}),
            ),
            "GET /v1/models/loaded" => {
                let ready = loaded.is_some() && shelf.looks.fetch_add(1, Ordering::SeqCst) >= 3;
                document(
                    to,
                    "200 OK",
                    &json!({"loaded": ready, "model_name": loaded.clone().filter(|_| ready)}),
                )
            }
            "POST /v1/models/load" => {
                if asked.body["model"] == "broken" {
                    return document(
                        to,
                        "500 Internal Server Error",
                        &json!({"detail": "rkllm_init failed"}),
                    );
                }
                *loaded = Some(WHOLE.into());
                shelf.looks.store(0, Ordering::SeqCst);
                document(to, "200 OK", &json!({"success": true}))
            }
            "POST /v1/models/unload" => {
                *loaded = None;
                document(to, "200 OK", &json!({"success": true}))
            }
            CHAT if loaded.is_none() => {
                document(to, "400 Bad Request", &json!({"detail": "No model loaded"}))
            }
            _ => send(to, &answer(&["a", "b"], &usage(2))),
        }
    })
}

#[test]
fn a_model_is_loaded_waited_for_and_unloaded() {
    let server = shelf(None);
    let mut engine = Server::new(target(&server.url)).expect("no key");
    let models = engine.models().expect("listed");
    assert_eq!(
        (models.available, models.loaded),
        (vec![WHOLE.into(), "gemma".into()], Some(vec![]))
    );
    let spec = LoadSpec {
        max_context: 2048,
        npu_cores: Some(3),
        ..LoadSpec::new(SHORT)
    };
    engine.load(&spec).expect("loaded");
    assert_eq!(
        server.bodies("POST /v1/models/load"),
        [json!({"model": SHORT, "max_context_len": 2048, "num_npu_core": 3})]
    );
    let looks = server.bodies("GET /v1/models/loaded").len();
    assert!(
        looks >= 4,
        "{looks} looks, the first before loading, until it was ready"
    );
    engine.infer(&request(2)).expect("an inference");
    engine.unload().expect("unloaded");
    assert_eq!(server.bodies("POST /v1/models/unload").len(), 1);
}

#[test]
fn a_model_that_was_loaded_before_stays() {
    let server = shelf(Some(WHOLE));
    // It is ready from the first look on.
    for _ in 0..3 {
        Server::new(target(&server.url))
            .expect("no key")
            .models()
            .expect("listed");
    }
    let mut engine = Server::new(target(&server.url)).expect("no key");
    engine.load(&LoadSpec::new(SHORT)).expect("loaded");
    engine.unload().expect("nothing to do");
    assert_eq!(server.bodies("POST /v1/models/load").len(), 0);
    assert_eq!(server.bodies("POST /v1/models/unload").len(), 0);
}

#[test]
fn what_would_load_a_model_is_said_where_none_is_loaded() {
    let server = shelf(None);
    let mut engine = Server::new(Target {
        manages_models: false,
        ..target(&server.url)
    })
    .expect("no key");
    let text = engine
        .load(&LoadSpec::new("gemma"))
        .expect_err("not loaded")
        .to_string();
    let command = format!(
        "curl -X POST {}/v1/models/load -H 'Content-Type: application/json' -d '{{\"model\":\"gemma\"}}'",
        server.url
    );
    assert!(
        text.contains("gemma is not loaded") && text.contains(&command),
        "{text}"
    );

    // One that another client unloads in mid-run.
    let mut engine = Server::new(target(&server.url)).expect("no key");
    engine.load(&LoadSpec::new(SHORT)).expect("loaded");
    Server::new(target(&server.url))
        .expect("no key")
        .load(&LoadSpec::new(SHORT))
        .expect("is loaded");
    ureq::post(format!("{}/v1/models/unload", server.url))
        .send("{}")
        .expect("unloaded");
    let text = engine.infer(&request(2)).expect_err("gone").to_string();
    assert!(
        text.contains("No model loaded") && text.contains("curl -X POST"),
        "{text}"
    );
}

#[test]
fn a_model_that_the_server_cannot_load_says_why() {
    let server = shelf(None);
    let mut engine = Server::new(target(&server.url)).expect("no key");
    let text = engine
        .load(&LoadSpec::new("broken"))
        .expect_err("refused")
        .to_string();
    assert!(
        text.contains("loading broken on the server: 500 Internal Server Error: rkllm_init failed"),
        "{text}"
    );
}

#[test]
fn a_server_that_is_still_loading_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let server = Scripted::start(move |request, to| {
        if !is_stream(request) {
            return document(to, "404 Not Found", &json!({}));
        }
        if asked.fetch_add(1, Ordering::SeqCst) < 2 {
            return document(
                to,
                "503 Service Unavailable",
                &json!({"error": {"message": "Loading model"}}),
            );
        }
        send(to, &answer(&["a"], &usage(1)))
    });
    loaded(&server);
    assert_eq!(server.bodies(CHAT).len(), 2 + PROBES);
}

#[test]
fn a_depth_is_refused() {
    let server = with(|_, to| send(to, &answer(&["a"], &usage(1))));
    let text = loaded(&server)
        .infer(&Request {
            depth: 8,
            ..request(1)
        })
        .expect_err("refused")
        .to_string();
    assert!(text.contains("--depth"), "{text}");
}

#[test]
fn a_start_that_is_not_cold_is_refused() {
    let server = with(|_, to| send(to, &answer(&["a"], &usage(1))));
    let prefix = || Input::Text("Why is".into());
    for start in [
        CacheStart::WarmPrefix(prefix()),
        CacheStart::RestoredCache(prefix()),
    ] {
        let name = start.name();
        let text = loaded(&server)
            .infer(&Request {
                cache_start: start,
                ..request(1)
            })
            .expect_err("refused")
            .to_string();
        assert!(
            text.contains(name) && text.contains("only cold prompts"),
            "{text}"
        );
    }
}

#[test]
fn a_connection_that_was_not_kept_after_all_costs_nothing() {
    // As llama-server, which promises to keep a connection, and closes it after a stream.
    let server = Scripted::start(|asked, to| {
        if !is_stream(asked) {
            return document(to, "404 Not Found", &json!({}));
        }
        send(to, &answer(&["a"], &usage(1)))?;
        Ok(false)
    });
    let mut engine = loaded(&server);
    for _ in 0..20 {
        engine.infer(&request(1)).expect("an inference");
    }
    assert!(server.connections() >= 20);
}

/// A chunk of a chat whose delta is `delta`.
fn delta(delta: &Value) -> Vec<u8> {
    event(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

/// The events of an answer with these chunks, which ends at its limit, has a usage where one is given, and `[DONE]`.
fn of_chunks(chunks: Vec<Vec<u8>>, usage: Option<Value>) -> Vec<Vec<u8>> {
    let mut events = vec![delta(&json!({"role": "assistant", "content": ""}))];
    events.extend(chunks);
    events.push(event(
        &json!({"choices": [{"delta": {}, "finish_reason": "length"}]}),
    ));
    events.extend(usage.map(|usage| event(&json!({"choices": [], "usage": usage}))));
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

/// What the ledger says of one answer to a request for `asked` tokens.
fn judged(asked: u32, events: Vec<Vec<u8>>) -> Result<Accepted, Rejection> {
    let server = with(move |_, to| send(to, &events));
    judge(&request(asked), &infer(&server, &request(asked)))
}

fn names(accepted: &Accepted) -> Vec<&'static str> {
    accepted.marks.iter().map(Mark::name).collect()
}

#[test]
fn a_thinking_models_tokens_count_under_each_name_of_its_thoughts() {
    for name in ["reasoning_content", "reasoning", "thinking", "reasoning_text"] {
        let thought = delta(&json!({"content": "", name: " t"}));
        let chunks = [vec![thought; 12], vec![said(" t"); 4]].concat();
        let accepted = judged(16, of_chunks(chunks, Some(usage(16)))).expect("a sample");
        assert_eq!(accepted.marks, [], "{name}");
        let phases = accepted.phases;
        let ttft_ns = phases.ttft_ns.expect("known");
        assert!(
            ttft_ns < phases.total_ns / 2,
            "{name}: the first thought is the first token"
        );
        assert!(
            phases.decode_ns_per_token.is_some_and(|ns| ns >= 4e6),
            "{name}: {phases:?}"
        );
    }
}

#[test]
fn tokens_in_fields_that_are_not_read_leave_no_time_to_tell() {
    let musing = |text: &str| delta(&json!({"content": "", "musing": text}));
    let unread = |usage| Mark::UnreadDeltas {
        chunks: 12,
        fields: vec!["musing".into()],
        with_text: 4,
        usage,
    };
    for (of_stream, told) in [(Some(usage(16)), Some(16)), (None, None)] {
        let chunks = [vec![musing(" t"); 12], vec![said(" t"); 4]].concat();
        let accepted = judged(16, of_chunks(chunks, of_stream)).expect("a sample");
        assert!(accepted.marks.contains(&unread(told)), "{:?}", accepted.marks);
        let phases = accepted.phases;
        assert_eq!(
            (phases.ttft_ns, phases.decode_ns_per_token, phases.worst_gap_ns),
            (None, None, None)
        );
        assert!(phases.total_ns > 0);
        let why = accepted
            .marks
            .iter()
            .find_map(Mark::explanation)
            .expect("a reason");
        assert!(
            why.starts_with("no TTFT and no decode: 12 chunks held something"),
            "{why}"
        );
    }
    // Where the chunks with text are all that was counted, the others were none.
    let chunks = [vec![musing("x"); 3], vec![said(" t"); 8]].concat();
    let accepted = judged(8, of_chunks(chunks, Some(usage(8)))).expect("a sample");
    assert_eq!(accepted.marks, []);
    assert!(accepted.phases.ttft_ns.is_some());
    // An answer of which nothing is read says so.
    let error = judged(8, of_chunks(vec![musing("x"); 8], Some(usage(8)))).expect_err("no text");
    assert!(error.to_string().contains("8 chunks held musing"), "{error}");
}

#[test]
fn an_end_is_believed_by_its_word() {
    let ended = |reason: Value, tokens: usize, is_done: bool| {
        let mut events = vec![said(" t"); tokens];
        events.push(event(
            &json!({"choices": [{"delta": {}, "finish_reason": reason}]}),
        ));
        events.extend(is_done.then(|| b"data: [DONE]\n\n".to_vec()));
        events
    };
    for (reason, is_done, expected) in [
        ("abort", true, "finish_reason \"abort\" after 4 chunks"),
        ("abort", false, "finish_reason \"abort\" after 4 chunks"),
        ("error", true, "finish_reason \"error\""),
        ("content_filter", true, "finish_reason \"content_filter\""),
        ("cancelled", false, "finish_reason \"cancelled\""),
        (
            "banana",
            true,
            "after 4 of 8 tokens with the finish_reason \"banana\", which is unknown",
        ),
        (
            "banana",
            false,
            "without [DONE] and without a known finish_reason",
        ),
        ("", false, "without [DONE] and without a known finish_reason"),
    ] {
        let error = judged(8, ended(json!(reason), 4, is_done))
            .expect_err(reason)
            .to_string();
        assert!(error.contains(expected), "{reason}: {error}");
    }
    for (reason, tokens, mark) in [
        (json!("stop"), 8, None),
        (json!("eos_token"), 8, None),
        (json!("banana"), 8, Some("unknown_end")),
        (json!(""), 8, Some("no_finish_reason")),
        (Value::Null, 8, Some("no_finish_reason")),
    ] {
        let accepted = judged(8, ended(reason.clone(), tokens, true)).expect("a sample");
        let odd: Vec<_> = names(&accepted)
            .into_iter()
            .filter(|name| ["unknown_end", "no_finish_reason"].contains(name))
            .collect();
        assert_eq!(odd, mark.into_iter().collect::<Vec<_>>(), "{reason}");
    }
}

#[test]
fn a_connection_that_is_cut_after_an_end_is_a_failure_too() {
    for reason in ["", "stop"] {
        let server = with(move |_, to| {
            begin_stream(to)?;
            for _ in 0..4 {
                let said = json!({"choices": [{"delta": {"content": " t"}, "finish_reason": reason}]});
                chunk(to, &event(&said))?;
            }
            to.write_all(b"40\r\ndata: {\"cho")?;
            Ok(false)
        });
        let inference = infer(&server, &request(4));
        let error = judge(&request(4), &inference).expect_err("cut").to_string();
        assert!(error.contains("4 chunks with text"), "{reason}: {error}");
    }
    let server = with(|_, to| {
        begin_stream(to)?;
        chunk(to, &said(" t"))?;
        chunk(
            to,
            &event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}]})),
        )?;
        to.write_all(b"40\r\ndata: {\"usa")?;
        Ok(false)
    });
    let error = judge(&request(1), &infer(&server, &request(1)))
        .expect_err("cut")
        .to_string();
    assert!(
        error.contains("after 1 chunks with text and the finish_reason \"stop\""),
        "{error}"
    );
}

#[test]
fn an_error_in_the_stream_keeps_the_servers_words_whatever_its_shape() {
    for error in [
        "event: error\ndata: {\"message\": \"NPU\\u001b[2J hang\"}\n\n",
        "event: error\ndata: NPU\u{1b}[2J hang\n\n",
        "error: {\"code\":500,\"message\":\"NPU\\u001b[2J hang\"}\n\n",
        "data: {\"object\": \"error\", \"message\": \"NPU\\u001b[2J hang\", \"code\": 40303}\n\n",
        "data: {\"detail\": \"NPU\\u001b[2J hang\"}\n\n",
    ] {
        for is_done in [false, true] {
            let server = with(move |_, to| {
                begin_stream(to)?;
                chunk(to, &said("a"))?;
                chunk(to, error.as_bytes())?;
                if is_done {
                    chunk(to, b"data: [DONE]\n\n")?;
                }
                end_stream(to)
            });
            let text = judge(&request(4), &infer(&server, &request(4)))
                .expect_err(error)
                .to_string();
            assert_eq!(text, "the run failed: NPU\\u{1b}[2J hang", "{error}");
        }
    }
}

#[test]
fn an_error_instead_of_a_stream_keeps_the_servers_words() {
    for (status, body) in [
        ("200 OK", json!({"message": "NPU hang", "code": 500})),
        ("200 OK", json!({"object": "error", "message": "NPU hang"})),
        ("200 OK", json!({"detail": "NPU hang"})),
        (
            "500 Internal Server Error",
            json!({"errors": [{"message": "NPU hang"}]}),
        ),
        ("503 Service Unavailable", json!({"msg": "NPU hang"})),
    ] {
        let of_reply = body.clone();
        let server = with(move |_, to| document(to, status, &of_reply));
        let text = loaded(&server)
            .infer(&request(4))
            .expect_err("refused")
            .to_string();
        assert!(text.contains(": NPU hang"), "{body}: {text}");
    }
    // A stream by its kind, and a document by its content.
    let server = with(|_, to| {
        page(
            to,
            "200 OK",
            "text/event-stream",
            b"{\n  \"error\": {\"message\": \"NPU hang\"}\n}\n",
        )
    });
    let error = judge(&request(4), &infer(&server, &request(4))).expect_err("an error");
    assert_eq!(error.to_string(), "the run failed: NPU hang");
}

#[test]
fn what_keeps_a_connection_open_is_ignored() {
    let server = with(|_, to| {
        let mut events = Vec::new();
        for (keep, event) in [
            "data: \n\n",
            "event: ping\ndata: x\n\n",
            ": hi\n\n",
            "retry: 5\n\n",
            "data: {}\n\n",
            "\n",
        ]
        .iter()
        .cycle()
        .zip(answer(&["a", "b", "c", "d"], &usage(4)))
        {
            events.push([keep.as_bytes(), &event].concat());
        }
        send(to, &events)
    });
    let inference = infer(&server, &request(4));
    assert_eq!(judge(&request(4), &inference).expect("a sample").marks, []);
    assert_eq!(inference.text, "abcd");
}

/// A server that lists `listed`, takes `taken` as names of its model, and calls it `own` in its chunks.
fn named(listed: &'static [&'static str], taken: &'static [&'static str], own: &'static str) -> Scripted {
    Scripted::start(move |asked, to| {
        if asked.page == "GET /v1/models" && !listed.is_empty() {
            let list: Vec<Value> = listed.iter().map(|id| json!({"id": id})).collect();
            return document(to, "200 OK", &json!({"object": "list", "data": list}));
        }
        if !is_stream(asked) || !taken.iter().any(|name| asked.body["model"] == *name) {
            let words = format!("The model {} does not exist.", asked.body["model"]);
            return document(to, "404 Not Found", &json!({"error": {"message": words}}));
        }
        let mut events = answer(&["a", "b"], &usage(2));
        events[1] = event(&json!({"model": own, "choices": [{"delta": {"content": "a"}}]}));
        send(to, &events)
    })
}

const OWN: &str = "/llm/org/Kimi-K2";

#[test]
fn a_name_that_the_server_lists_is_taken_with_a_mark() {
    let kimi = LoadSpec {
        deadline: Duration::from_secs(30),
        ..LoadSpec::new("kimi")
    };
    for (listed, taken, marked) in [
        (&["kimi"][..], &["kimi"][..], true),
        (&["gemma", "kimi"], &["gemma", "kimi"], true),
        (&["kimi", "kimi-large"], &["kimi"], true),
        // Without a list, or where the list is wrong: the server takes no other name.
        (&[], &["kimi"], true),
        (&[OWN, "kimi"], &["kimi"], true),
    ] {
        let server = named(listed, taken, OWN);
        let mut engine = Server::new(target(&server.url)).expect("no key");
        engine.load(&kimi).expect("taken");
        let inference = engine.infer(&request(2)).expect("an inference");
        let abilities = rkllm_bench::inference::Abilities::of_header();
        let accepted = Ledger::new(abilities, &kimi)
            .judge(&request(2), None, &inference)
            .expect("a sample");
        let mark = Mark::AnsweredAs { name: OWN.into() };
        assert_eq!(
            accepted.marks.contains(&mark),
            marked,
            "{listed:?}: {:?}",
            accepted.marks
        );
    }
}

#[test]
fn advice_names_what_the_server_takes() {
    for (asked, listed, taken, own, advice) in [
        (
            "kimi",
            &["gemma", "kimi"][..],
            &["gemma", "kimi"][..],
            "gemma",
            "as in --model gemma",
        ),
        ("kimi", &[], &["kimi", OWN], OWN, "as in --model /llm/org/Kimi-K2"),
        (
            "kimi",
            &["kimi", "kimi-large"],
            &["kimi", "kimi-large"],
            "kimi-large",
            "as in --model kimi-large",
        ),
        (
            "x",
            &["kimi"],
            &["kimi", "x"],
            OWN,
            "name one that it lists with --model: kimi",
        ),
        (
            OWN,
            &["kimi"],
            &["kimi"],
            OWN,
            "name one that it lists with --model: kimi",
        ),
    ] {
        let server = named(listed, taken, own);
        let mut engine = Server::new(target(&server.url)).expect("no key");
        let text = engine
            .load(&LoadSpec::new(asked))
            .expect_err("refused")
            .to_string();
        assert!(text.contains(advice), "{asked} of {listed:?}: {text}");
    }
}

#[test]
fn a_model_that_changes_in_mid_run_is_no_sample() {
    let answered = AtomicUsize::new(0);
    let server = Scripted::start(move |asked, to| {
        if !is_stream(asked) {
            return document(to, "404 Not Found", &json!({}));
        }
        let name = if answered.fetch_add(1, Ordering::SeqCst) < PROBES {
            "m"
        } else {
            "other"
        };
        let mut events = answer(&["a", "b"], &usage(2));
        events[1] = event(&json!({"model": name, "choices": [{"delta": {"content": "a"}}]}));
        send(to, &events)
    });
    let error = judge(&request(2), &infer(&server, &request(2)))
        .expect_err("another")
        .to_string();
    assert!(error.contains("the model other answered instead of m"), "{error}");
}

/// A server that refuses requests with certain fields by their names.
fn picky(refused: &'static [(&'static str, &'static str)]) -> Scripted {
    Scripted::start(move |asked, to| {
        if !is_stream(asked) {
            return document(to, "404 Not Found", &json!({}));
        }
        for (field, words) in refused {
            if !asked.body[field].is_null() {
                return document(
                    to,
                    "400 Bad Request",
                    &json!({"error": {"message": words, "param": field}}),
                );
            }
        }
        send(to, &answer(&["a", "b"], &usage(2)))
    })
}

#[test]
fn a_limit_by_another_name_is_asked_for_by_that() {
    for (refused, name) in [
        (
            &[(
                "max_tokens",
                "max_tokens is not supported, use max_completion_tokens",
            )][..],
            "max_completion_tokens",
        ),
        (
            &[("max_tokens", "Unsupported parameter")],
            "max_completion_tokens",
        ),
        (
            &[("max_tokens", "unknown; there is max_new_tokens")],
            "max_new_tokens",
        ),
    ] {
        let server = picky(refused);
        let mut engine = loaded(&server);
        let inference = engine.infer(&request(2)).expect("an inference");
        assert_eq!(judge(&request(2), &inference).expect("a sample").marks, []);
        let bodies = server.bodies(CHAT);
        assert_eq!(bodies.len(), PROBES + 1 + 1, "it is refused once");
        assert!(
            bodies[1..]
                .iter()
                .all(|body| body["max_tokens"].is_null() && !body[name].is_null())
        );
        assert_eq!(bodies[PROBES + 1][name], 2);
    }
}

#[test]
fn a_limit_that_is_refused_for_its_value_is_the_servers_to_explain() {
    let server = picky(&[(
        "max_tokens",
        "'max_tokens' or 'max_completion_tokens' is too large: 4",
    )]);
    let text = Server::new(target(&server.url))
        .expect("no key")
        .load(&spec())
        .expect_err("refused")
        .to_string();
    assert!(text.contains("is too large: 4"), "{text}");
    assert_eq!(server.bodies(CHAT).len(), 1);
}

#[test]
fn an_answer_that_need_not_be_greedy_is_marked() {
    let greedy = picky(&[("temperature", "temperature: 0 is not supported")]);
    let open = picky(&[
        ("temperature", "temperature: 0 is not supported"),
        ("top_k", "unknown field top_k"),
        ("stream_options", "unknown field stream_options"),
    ]);
    for (server, fields) in [(greedy, &[][..]), (open, &["temperature", "top_k"])] {
        let inference = infer(&server, &request(2));
        let marks = judge(&request(2), &inference).expect("a sample").marks;
        let left_out = marks.iter().find_map(|mark| match mark {
            Mark::LeftOut { fields } => Some(fields.clone()),
            _ => None,
        });
        assert_eq!(left_out.unwrap_or_default(), fields);
    }
}

#[test]
fn characters_are_no_tokens() {
    let text = "The sky is blue, since air scatters short waves more than long ones.";
    let characters: Vec<Vec<u8>> = text
        .chars()
        .map(|character| said(&character.to_string()))
        .collect();
    let words: Vec<Vec<u8>> = [text, " ", text]
        .concat()
        .split_inclusive(' ')
        .map(said)
        .collect();
    let by_rule = |chunks: &[Vec<u8>], of_stream: Option<Value>| {
        judged(16, of_chunks(chunks.to_vec(), of_stream)).expect("a sample")
    };
    for (chunks, rule, of_stream) in [
        (&characters, CountRule::ChunksAreCharacters, None),
        (&characters, CountRule::ChunksAreCharacters, Some(usage(0))),
        // What it counts are its own chunks, and the answer's words.
        (&characters, CountRule::ChunksAreCharacters, Some(usage(68))),
        (&characters, CountRule::ChunksAreCharacters, Some(usage(13))),
        (&words, CountRule::ChunksAreWords, None),
    ] {
        let accepted = by_rule(chunks, of_stream.clone());
        let is_counted = |mark: &Mark| matches!(mark, Mark::CountedBy { rule: by, .. } if *by == rule);
        assert!(
            accepted.marks.iter().any(is_counted),
            "{of_stream:?}: {:?}",
            accepted.marks
        );
        assert_eq!(accepted.phases.decode_ns_per_token, None, "{of_stream:?}");
        assert!(
            accepted
                .phases
                .ttft_ns
                .is_some_and(|ns| ns < accepted.phases.total_ns)
        );
        let why = accepted
            .marks
            .iter()
            .find_map(Mark::explanation)
            .expect("a reason");
        assert!(why.starts_with("no decode: each chunk is "), "{why}");
    }
    let accepted = by_rule(&characters, Some(usage(16)));
    let counted = Mark::CountedBy {
        rule: CountRule::Usage,
        usage: Some(16),
        chunks: 68,
    };
    assert_eq!(accepted.marks, [counted], "usage counts tokens");
    assert!(accepted.phases.decode_ns_per_token.is_some());
}

#[test]
fn a_first_chunk_of_the_answer_before_does_not_make_the_ttft() {
    let server = with(|_, to| {
        begin_stream(to)?;
        for (wait, event) in [0, 20, 200, 10, 10, 10, 10, 10, 10, 0, 0, 0]
            .iter()
            .zip(answer(&["!", "a", "b", "c", "d", "e", "f", "g"], &usage(8)))
        {
            std::thread::sleep(Duration::from_millis(*wait));
            chunk(to, &event)?;
        }
        end_stream(to)
    });
    let accepted = judge(&request(8), &infer(&server, &request(8))).expect("a sample");
    assert_eq!(names(&accepted), ["stale_first_chunk"]);
    let ttft_ns = accepted.phases.ttft_ns.expect("known");
    assert!(ttft_ns >= 220_000_000, "{ttft_ns}");
    let decode = accepted.phases.decode_ns_per_token.expect("known");
    assert!(decode < 100e6, "{decode}: the prefill is no gap");
}

#[test]
fn an_answer_longer_than_asked_is_a_sample_with_its_own_count() {
    let accepted = judged(4, of_chunks(vec![said(" t"); 20], Some(usage(20)))).expect("a sample");
    assert_eq!(accepted.marks, [Mark::LongerThanAsked { asked: 4, got: 20 }]);
    assert!(accepted.phases.decode_ns_per_token.is_some_and(|ns| ns < 50e6));
    let why = accepted.marks[0].explanation().expect("a reason");
    assert!(
        why.contains("--max-new-tokens 4: 20 tokens came") && why.contains("Set --max-new-tokens"),
        "{why}"
    );
}

#[test]
fn a_refusal_with_a_good_status_is_one_on_all_pages() {
    let refusal = json!({"success": false, "message": "NPU is busy"});
    let server = Scripted::start(move |asked, to| match asked.page.as_str() {
        "GET /v1/models/loaded" => document(
            to,
            "200 OK",
            &json!({"loaded": false, "message": "no model is loaded"}),
        ),
        "POST /v1/models/load" => document(to, "200 OK", &refusal),
        _ => document(to, "200 OK", &json!({"error": "no list for you"})),
    });
    let mut engine = Server::new(target(&server.url)).expect("no key");
    let text = engine.load(&spec()).expect_err("refused").to_string();
    assert!(
        text.contains("loading m on the server: 200 OK: NPU is busy"),
        "{text}"
    );
    let text = engine.models().expect_err("refused").to_string();
    assert!(text.contains("no list for you"), "{text}");
}

#[test]
fn lists_of_models_have_several_shapes() {
    for list in [
        json!({"data": [{"id": "a"}, {"id": "b"}]}),
        json!({"models": [{"name": "a"}, {"model": "b"}]}),
        json!({"models": ["a", "b"]}),
        json!(["a", "b"]),
        json!({"models": {"a": {}, "b": {"size": 5}}}),
    ] {
        let of_reply = list.clone();
        let server = Scripted::start(move |asked, to| match asked.page.as_str() {
            "GET /v1/models" => document(to, "200 OK", &of_reply),
            _ => document(to, "404 Not Found", &json!({})),
        });
        let models = Server::new(target(&server.url))
            .expect("no key")
            .models()
            .expect("listed");
        assert_eq!(models.available, ["a", "b"], "{list}");
    }
}
