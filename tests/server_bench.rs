//! The bench target `server` and `rkllm-bench overhead`, as users start them.

#![allow(clippy::expect_used, reason = "tests")]
#![cfg(feature = "host")]

mod common;

use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use common::http::{Asked, Scripted, answer, begin_stream, chunk, document, end_stream, event, said, send};
use common::{Place, facade, host, run, succeed, text_of};
use rkllm_bench::concurrency::levels;
use rkllm_bench::inference::Input;
use rkllm_bench::prompts::Suite;
use rkllm_bench::record::RunRecord;
use serde_json::{Value, json};

static SERVER: LazyLock<PathBuf> = LazyLock::new(|| host::bench("server"));

const KEY: &str = "RKLLM_BENCH_API_KEY";

/// A server with so many models that answers what is asked with as many tokens as asked for.
fn counting(models: &'static [&'static str]) -> Scripted {
    Scripted::start(move |asked, to| reply(models, asked, to))
}

fn reply(models: &[&str], asked: &Asked, to: &mut TcpStream) -> io::Result<bool> {
    match asked.page.as_str() {
        "GET /v1/models" => {
            let list: Vec<Value> = models.iter().map(|id| json!({"id": id})).collect();
            document(to, "200 OK", &json!({"data": list}))
        }
        "POST /v1/chat/completions" => {
            let tokens = asked.body["max_tokens"].as_u64().expect("a number");
            let texts = vec![" t"; usize::try_from(tokens).expect("few")];
            let usage = json!({
                "prompt_tokens": 500, "completion_tokens": tokens, "prompt_tokens_details": {"cached_tokens": 0}
            });
            send(to, &answer(&texts, &usage))
        }
        _ => document(to, "404 Not Found", &json!({"detail": "Not Found"})),
    }
}

fn bench(place: &Place, server: &Scripted) -> Command {
    let mut command = place.bench(&SERVER);
    command.args(["--url", &server.url, "--noplot"]);
    command.env("RKLLM_BENCH_MAX_NEW_TOKENS", "4");
    command.env("CARGO_TARGET_DIR", place.path("target"));
    command
}

/// The records of a place, in order of their suites' names.
fn records(place: &Place) -> Vec<RunRecord> {
    let files = std::fs::read_dir(place.path("runs")).expect("a folder");
    let paths = files.map(|file| file.expect("an entry").path());
    let mut records: Vec<RunRecord> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| RunRecord::load(&path).expect("a record"))
        .collect();
    records.sort_by(|a, b| a.suite.name.cmp(&b.suite.name));
    records
}

#[test]
fn without_an_address_there_is_nothing_to_do() {
    let place = Place::new();
    let text = succeed(&mut place.bench(&SERVER));
    assert!(text.contains("no --url, so there is nothing to do"), "{text}");
}

#[test]
fn an_address_is_refused_where_the_runtime_is_called_directly() {
    let place = Place::new();
    let output = run(place.bench(&host::QUICK).args(["--url", "http://127.0.0.1:1"]));
    assert_eq!(output.status.code(), Some(64));
    let text = text_of(&output);
    assert!(text.contains("cargo bench --bench server -- --url"), "{text}");
}

#[test]
fn wrong_uses_are_refused_by_name() {
    let server = counting(&["a", "b"]);
    for (arguments, expected) in [
        (&["--url", "board"][..], "--url: it has no scheme"),
        (
            &["--url", &server.url, "--threads", "1"],
            "--threads (or its variable) with --url",
        ),
        (
            &["--url", &server.url, "--models", "x"],
            "--models (or its variable) with --url",
        ),
        (
            &["--url", &server.url, "--profile-time", "1"],
            "--profile-time with --url",
        ),
        (&["--url", &server.url, "--suite", "quik"], "quik"),
        (
            &["--url", &server.url],
            "has 2 models: name one with --model, or run all with --all-models; available: a, b",
        ),
        (
            &["--url", &server.url, "--model", "a", "--all-models"],
            "cannot be used with",
        ),
    ] {
        let place = Place::new();
        let output = run(place.bench(&SERVER).args(arguments));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_suite_is_measured_recorded_replayed_reported_and_gated() {
    let place = Place::new();
    let server = counting(&["org/model-a"]);
    let proxy = "http://127.0.0.1:1";
    for _ in 0..2 {
        let text = succeed(
            bench(&place, &server)
                .arg("--verbose")
                .env("RKLLM_BENCH_MAX_NEW_TOKENS", "12")
                .env(KEY, "s3cret")
                .envs(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|variable| (variable, proxy))),
        );
        for expected in [
            "model-a/server-quick/decode/question",
            "model-a/server-quick/ttft/summary",
            "server: scripted at http://127.0.0.1:",
            "requests: 30 = 30 successful + 0 failed",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("s3cret"));
    }
    for asked in server.asked() {
        assert_eq!(asked.header("authorization"), Some("Bearer s3cret"));
    }
    let records = records(&place);
    assert_eq!(records.len(), 2);
    for record in &records {
        let of_server = record.parameters.server.as_ref().expect("a server");
        assert_eq!(
            (of_server.url.as_str(), of_server.concurrency),
            (server.url.as_str(), None)
        );
        assert_eq!(record.models[0].name, "model-a");
        assert!(
            record.models[0]
                .prompts
                .iter()
                .all(|prompt| prompt.samples.len() == 10)
        );
        let text = serde_json::to_string(record).expect("JSON");
        assert!(!text.contains("s3cret"));
    }
    assert!(
        place
            .path("criterion/model-a_server-quick/decode/question/new/estimates.json")
            .is_file()
    );
    let paths: Vec<PathBuf> = std::fs::read_dir(place.path("runs"))
        .expect("a folder")
        .map(|file| file.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    let output = run(host::tool(&place)
        .args(["gate", "--max-regression", "5000%", "--baseline"])
        .arg(&paths[0])
        .arg("--runs")
        .arg(&paths[1]));
    let text = text_of(&output);
    assert!(text.contains("model-a/server-quick\n"), "{text}");
    assert!(
        [Some(0), Some(2)].contains(&output.status.code()),
        "comparable: {text}"
    );
}

#[test]
fn a_request_that_fails_is_counted_with_its_cause_and_the_rest_go_on() {
    let place = Place::new();
    let suite = Suite::find("quick", ".".as_ref()).expect("built in");
    let Input::Text(second) = suite.prompts[1].input.clone() else {
        panic!("a prompt of text")
    };
    let server = Scripted::start(move |asked, to| {
        if asked.body["messages"][0]["content"] == *second {
            return document(to, "500 Internal Server Error", &json!({"detail": "NPU hang"}));
        }
        reply(&["m"], asked, to)
    });
    let output = run(&mut bench(&place, &server));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("500 Internal Server Error: NPU hang") && text.contains("1 prompt given up"),
        "{text}"
    );
    let record = place.record();
    let samples: Vec<usize> = record.models[0]
        .prompts
        .iter()
        .map(|prompt| prompt.samples.len())
        .collect();
    assert_eq!(
        samples.iter().filter(|count| **count == 10).count(),
        2,
        "{samples:?}"
    );
}

#[test]
fn all_models_run_one_after_the_other() {
    let place = Place::new();
    let server = counting(&["a", "b"]);
    succeed(bench(&place, &server).args(["--all-models", "--quick", "question"]));
    let record = place.record();
    let names: Vec<&str> = record.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let asked = server.bodies("POST /v1/chat/completions");
    let order: Vec<&str> = asked.iter().filter_map(|body| body["model"].as_str()).collect();
    let first_b = order.iter().position(|model| *model == "b").expect("asked");
    assert!(order[first_b..].iter().all(|model| *model == "b"), "{order:?}");
}

#[test]
fn several_clients_are_levels_of_their_own() {
    let place = Place::new();
    let busy = Arc::new(std::sync::Mutex::new((0_usize, 0_usize)));
    let seen = Arc::clone(&busy);
    let server = Scripted::start(move |asked, to| {
        let is_answer = asked.page.starts_with("POST");
        if is_answer {
            let mut busy = seen.lock().expect("no panic");
            busy.0 += 1;
            busy.1 = busy.1.max(busy.0);
        }
        let outcome = reply(&["m"], asked, to);
        if is_answer {
            seen.lock().expect("no panic").0 -= 1;
        }
        outcome
    });
    let text = succeed(bench(&place, &server).args(["--concurrency", "1,3", "question"]));
    assert!(text.contains("throughput over all clients"), "{text}");
    assert_eq!(
        busy.lock().expect("no panic").1,
        3,
        "never more at once than clients"
    );
    let records = records(&place);
    let suites: Vec<&str> = records.iter().map(|record| record.suite.name.as_str()).collect();
    assert_eq!(suites, ["server-quick-c1", "server-quick-c3"]);
    for (record, clients) in records.iter().zip([1, 3]) {
        let level = &levels(record)[0];
        assert_eq!(
            (level.clients, level.requests, level.failed),
            (clients, 10 * usize::from(clients), 0)
        );
        assert!(level.tokens_per_second.is_some_and(|rate| rate > 0.0));
        let samples = &record.models[0].prompts[0].samples;
        assert!(
            samples
                .windows(2)
                .all(|pair| pair[0].inference.call_ns <= pair[1].inference.call_ns)
        );
    }
}

#[test]
fn what_a_server_adds_is_told_with_intervals() {
    let place = Place::new();
    let server = facade::serve(host::MODEL.clone());
    let _turn = host::turn();
    let mut command = host::tool(&place);
    command
        .args([
            "overhead",
            "--url",
            &server.url,
            "--model",
            "tiny-random-weights",
            "--pairs",
            "4",
            "--threads",
            "1",
        ])
        .args(["--max-new-tokens", "8", "--models"])
        .arg(&*host::MODEL)
        .args(["--output".as_ref(), place.path("runs").as_os_str()]);
    let text = succeed(&mut command);
    for expected in ["added [95 %]", "question", "all", "records: "] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let records = records(&place);
    let suites: Vec<&str> = records.iter().map(|record| record.suite.name.as_str()).collect();
    assert_eq!(suites, ["quick", "server-quick"]);
    for (direct, through) in records[0].models[0]
        .prompts
        .iter()
        .zip(&records[1].models[0].prompts)
    {
        assert_eq!(direct.prompt_tokens, through.prompt_tokens, "the same prompt");
        assert_eq!((direct.samples.len(), through.samples.len()), (4, 4));
        // One at a time: no inference of the one overlaps with one of the other.
        for a in &direct.samples {
            for b in &through.samples {
                let (a, b) = (&a.inference, &b.inference);
                assert!(a.return_ns <= b.call_ns || b.return_ns <= a.call_ns);
            }
        }
    }
    // The same once more as JSON.
    let place = Place::new();
    let output = run(command
        .arg("--json")
        .env("CRITERION_HOME", place.path("criterion")));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON alone on stdout");
    assert_eq!(document["kind"], "rkllm-bench overhead");
    assert_eq!(document["ttft"]["pairs"], 12);
}

/// A server that answers each request for an answer with `events`.
fn answering(events: impl Fn(usize) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |asked, to| match asked.page.as_str() {
        "POST /v1/chat/completions" => {
            let tokens = asked.body["max_tokens"].as_u64().expect("a number");
            send(to, &events(usize::try_from(tokens).expect("few")))
        }
        _ => reply(&["m"], asked, to),
    })
}

/// A row of the terminal's table of prompts, as its cells.
fn row<'a>(text: &'a str, prompt: &str) -> Vec<&'a str> {
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .find(|cells| cells.len() == 8 && cells[0] == prompt)
        .unwrap_or_else(|| panic!("{prompt}: {text}"))
}

/// The text without the breaks of its lines.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn figures_that_nobody_knows_are_absent_with_the_reason() {
    let place = Place::new();
    let server = answering(|tokens| {
        let musing =
            event(&json!({"choices": [{"delta": {"content": "", "musing": " t"}, "finish_reason": null}]}));
        let usage = json!({"prompt_tokens": 500, "completion_tokens": tokens, "prompt_tokens_details": {"cached_tokens": 0}});
        let mut events = answer(&vec![" t"; tokens / 4], &usage);
        let musings = std::iter::repeat_n(musing, tokens - tokens / 4);
        events.splice(1..1, musings);
        events
    });
    let output = run(bench(&place, &server)
        .env("RKLLM_BENCH_MAX_NEW_TOKENS", "16")
        .args(["--quick", "question"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    // prompt, tokens in and out, TTFT, prefill, decode, worst gap, memory.
    assert_eq!(
        row(&text, "question"),
        ["question", "500", "16", "-", "-", "-", "-", "-"]
    );
    let reason =
        "unread_deltas: no TTFT and no decode: 12 chunks held something in fields that are not read (musing)";
    assert!(unfolded(&text).contains(reason), "{text}");
    assert!(
        text.lines()
            .all(|line| !line.contains("unread_deltas") || line.chars().count() <= 80),
        "{text}"
    );
    for absent in ["/ttft/", "/decode/"] {
        assert!(!text.contains(&format!("m/server-quick{absent}")), "{text}");
    }
    let sample = &place.record().models[0].prompts[0].samples[0];
    assert_eq!(
        (sample.phases.ttft_ns, sample.phases.decode_ns_per_token),
        (None, None)
    );
    let unread = sample
        .inference
        .stream
        .as_ref()
        .and_then(|stream| stream.unread.clone());
    assert_eq!(unread.map(|unread| unread.chunks), Some(12));

    let reports =
        std::fs::read_dir(place.path("reports")).or_else(|_| std::fs::read_dir(place.path("runs/reports")));
    for report in reports
        .expect("reports")
        .map(|file| file.expect("an entry").path())
    {
        let text = std::fs::read_to_string(&report).expect("text");
        assert!(
            unfolded(&text).contains("no TTFT and no decode: 12 chunks"),
            "{}: {text}",
            report.display()
        );
        if report.extension().is_some_and(|ending| ending == "json") {
            let document: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(document["summary"]["avg_ttft_ms"], Value::Null);
            assert_eq!(document["summary"]["avg_tokens_per_second"], Value::Null);
        }
    }
    let record = std::fs::read_dir(place.path("runs")).expect("a folder");
    let record = record
        .map(|file| file.expect("an entry").path())
        .find(|path| path.is_file())
        .expect("a record");
    for (format, unwanted) in [
        ("csv", ",0,"),
        ("bencher", "ttft"),
        ("github-action-benchmark", "ttft"),
    ] {
        let text = succeed(
            host::tool(&place)
                .args(["export", "--to", format, "--runs"])
                .arg(&record),
        );
        assert!(
            !text.contains(unwanted) || (format == "csv" && text.contains(",16,,,,")),
            "{format}: {text}"
        );
    }
}

#[test]
fn characters_have_a_ttft_and_no_rate() {
    let place = Place::new();
    let server = answering(|_| {
        let text = "The sky is blue, since air scatters short waves more than long ones.";
        let end = event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
        let said = text.chars().map(|character| said(&character.to_string()));
        said.chain([end, b"data: [DONE]\n\n".to_vec()]).collect()
    });
    let output = run(bench(&place, &server).args(["--quick", "question"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let cells = row(&text, "question");
    assert!(cells[2] == "-" && cells[3] != "-" && cells[5] == "-", "{cells:?}");
    assert!(
        unfolded(&text)
            .contains("counted_by: no decode: each chunk is one character, and the server sends no usage"),
        "{text}"
    );
    let kept = |phase: &str| {
        place
            .path(&format!("criterion/m_server-quick/{phase}/question"))
            .is_dir()
    };
    assert!(kept("ttft") && !kept("decode"), "{text}");
}

#[test]
fn a_server_that_ignores_the_limit_is_measured_and_the_flag_is_named() {
    let place = Place::new();
    let server = answering(|_| {
        let usage = json!({"prompt_tokens": 500, "completion_tokens": 13, "prompt_tokens_details": {"cached_tokens": 0}});
        answer(&[" t"; 13], &usage)
    });
    let output = run(bench(&place, &server).args(["--quick", "question"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(row(&text, "question")[2], "13");
    let reason = "longer_than_asked: the server ignores --max-new-tokens 4: 13 tokens came";
    assert!(unfolded(&text).contains(reason), "{text}");
}

#[test]
fn answers_that_the_server_aborts_fail_with_its_word() {
    let place = Place::new();
    let requests = std::sync::atomic::AtomicUsize::new(0);
    let server = answering(move |tokens| {
        let usage = json!({"prompt_tokens": 500, "completion_tokens": tokens, "prompt_tokens_details": {"cached_tokens": 0}});
        let mut events = answer(&vec![" t"; tokens], &usage);
        if requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 2 {
            events = vec![
                said(" t"),
                event(&json!({"choices": [{"delta": {}, "finish_reason": "abort"}]})),
                b"data: [DONE]\n\n".to_vec(),
            ];
        }
        events
    });
    let output = run(bench(&place, &server).args(["--quick", "question"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        unfolded(&text).contains("finish_reason \"abort\" after 1 chunks"),
        "{text}"
    );
}

#[test]
fn what_a_server_adds_is_not_that_of_the_answer_before() {
    let place = Place::new();
    let server = Scripted::start(|asked, to| {
        if asked.page != "POST /v1/chat/completions" {
            return document(to, "404 Not Found", &json!({}));
        }
        begin_stream(to)?;
        let usage = json!({"prompt_tokens": 500, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 0}});
        for (number, event) in answer(&["!", "a", "b", "c", "d", "e", "f", "g"], &usage)
            .iter()
            .enumerate()
        {
            std::thread::sleep(std::time::Duration::from_millis(if number == 2 {
                400
            } else {
                8
            }));
            chunk(to, event)?;
        }
        end_stream(to)
    });
    let _turn = host::turn();
    let mut command = host::tool(&place);
    command
        .args([
            "overhead",
            "--url",
            &server.url,
            "--model",
            "tiny-random-weights",
            "--pairs",
            "2",
            "--threads",
            "1",
        ])
        .args(["--max-new-tokens", "8", "--models"])
        .arg(&*host::MODEL)
        .args(["--output".as_ref(), place.path("runs").as_os_str()]);
    let text = succeed(&mut command);
    assert!(
        unfolded(&text).contains("stale_first_chunk, 6 of 6 samples: the first chunk came after"),
        "{text}"
    );
    let server_record = &records(&place)[1];
    for prompt in &server_record.models[0].prompts {
        for sample in &prompt.samples {
            assert!(
                sample.phases.ttft_ns.is_some_and(|ns| ns >= 400_000_000),
                "{sample:?}"
            );
        }
    }
}
