//! Stops, end to end: each phase by each signal ends with the signal's code, and with what was recorded saved and said.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use common::http::{Asked, Scripted, answer, document, send as stream};
use common::{Place, children, command, host, is_alive, send, text_of, wait_until};
use rkllm_bench::record::{RunRecord, Status};
use rkllm_bench::turns;
use serde_json::json;

static SERVER: LazyLock<PathBuf> = LazyLock::new(|| host::bench("server"));

const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];
/// What a stop takes at most here. It is about a second; a machine that does much else may take longer.
const AT_MOST: Duration = Duration::from_secs(20);

/// A run that is in a phase, and what keeps it there.
struct Held {
    child: Child,
    /// Dropped when the run has ended.
    _by: Vec<Box<dyn std::any::Any>>,
}

impl Held {
    fn alone(child: Child) -> Self {
        Self {
            child,
            _by: Vec::new(),
        }
    }
}

/// What is left of a run.
struct Left {
    code: Option<i32>,
    text: String,
}

fn started(bench: &mut Command) -> Child {
    let piped = bench
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    piped.spawn().expect("started")
}

/// A quick bench that goes on for as long as any test does.
fn endless(place: &Place) -> Command {
    let mut bench = host::quick(place);
    bench.args(["--noplot", "--sample-size", "10000"]);
    bench
}

/// One that reaches criterion's part soon and is there for long.
fn long_in_criterion(place: &Place) -> Command {
    let mut bench = host::quick(place);
    bench.args(["--noplot", "--nresamples", "1000000"]);
    bench
}

fn inferences(place: &Place) -> usize {
    let records = place
        .records()
        .into_iter()
        .filter_map(|path| RunRecord::load(&path).ok());
    let prompts = records
        .flat_map(|record| record.models)
        .flat_map(|model| model.prompts);
    prompts
        .map(|prompt| prompt.warm_up.len() + prompt.samples.len())
        .sum()
}

fn words_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

fn is_criterion(pid: u32) -> bool {
    let words = words_of(pid);
    words.contains("--color=never") || words.contains("--profile-time")
}

/// The worker of a bench.
fn worker_of(bench: u32) -> Option<u32> {
    let is_worker = |pid: &u32| words_of(*pid).contains("--rkllm-bench-worker");
    children(bench).into_iter().find(is_worker)
}

fn until_criterion(child: Child) -> Child {
    let id = child.id();
    wait_until(|| children(id).into_iter().any(is_criterion));
    child
}

/// In options: git, which is asked for the commit, does not answer.
fn options(place: &Place) -> Held {
    let (bin, asked) = (place.path("bin"), place.path("asked"));
    std::fs::create_dir(&bin).expect("made");
    script(
        &bin.join("git"),
        &format!("echo > {}; exec sleep 600", asked.display()),
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let child = started(endless(place).env("PATH", path));
    wait_until(|| asked.exists());
    Held::alone(child)
}

fn script(path: &std::path::Path, body: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("set");
}

/// A test waits for another run that holds the results.
fn waiting_for_the_lock(place: &Place) -> Held {
    let folder = place.path("criterion");
    std::fs::create_dir_all(&folder).expect("made");
    let lock = std::fs::File::create(folder.join("rkllm-bench.lock")).expect("made");
    lock.lock().expect("free");
    let mut child = started(host::quick(place).arg("--test"));
    let mut seen = Vec::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    let mut byte = [0];
    while !String::from_utf8_lossy(&seen).contains("waiting for process") {
        stderr.read_exact(&mut byte).expect("it waits");
        seen.push(byte[0]);
    }
    child.stderr = Some(stderr);
    Held {
        child,
        _by: vec![Box::new(lock)],
    }
}

/// A worker that does not go on, in loading or soon after.
fn with_a_stopped_worker(place: &Place) -> Held {
    let child = started(&mut endless(place));
    let mut worker = None;
    wait_until(|| {
        worker = worker_of(child.id());
        worker.is_some()
    });
    send("STOP", worker.expect("found"));
    wait_until(|| !place.records().is_empty());
    Held::alone(child)
}

fn in_samples(place: &Place) -> Held {
    let child = started(&mut endless(place));
    wait_until(|| inferences(place) > 3);
    Held::alone(child)
}

fn in_this_process(place: &Place) -> Held {
    let child = started(endless(place).arg("--in-process"));
    wait_until(|| inferences(place) > 3);
    Held::alone(child)
}

fn in_criterions_part(place: &Place) -> Held {
    Held::alone(until_criterion(started(&mut long_in_criterion(place))))
}

/// At its result, which nobody reads: stdout is a pipe that is full.
fn in_a_write_to_a_full_pipe(place: &Place) -> Held {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let filler = writer.try_clone().expect("a pipe");
    // Blocks once the pipe is full, and is left to itself.
    std::thread::spawn(move || {
        let mut filler = filler;
        let _ = filler.write_all(&vec![b' '; 1 << 21]);
    });
    writer.flush().expect("flushed");
    let mut bench = host::quick(place);
    bench.args(["--noplot"]).stdin(Stdio::null());
    let child = bench
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    wait_until(|| {
        let files = place.records();
        let mut records = files.iter().filter_map(|path| RunRecord::load(path).ok());
        records.any(|record| record.is_complete())
    });
    Held {
        child,
        _by: vec![Box::new(reader)],
    }
}

fn in_profiling(place: &Place) -> Held {
    let mut bench = host::quick(place);
    Held::alone(until_criterion(started(bench.args(["--profile-time", "600"]))))
}

/// It has made one inference and waits for its next turn.
fn waiting_for_a_turn(place: &Place) -> Held {
    let path = place.path("turns");
    let listener = UnixListener::bind(&path).expect("bound");
    let child = started(endless(place).env(turns::VARIABLE, &path));
    let (mut socket, _) = listener.accept().expect("it takes part");
    let mut asked = [0];
    socket.read_exact(&mut asked).expect("it yields");
    socket.write_all(b"g").expect("its turn");
    socket.read_exact(&mut asked).expect("it yields again");
    Held {
        child,
        _by: vec![Box::new(socket)],
    }
}

const LOAD: &str = "POST /v1/models/load";

/// A server that answers, except on the page `silent`.
fn server(silent: &'static str) -> Scripted {
    Scripted::start(move |asked: &Asked, to: &mut TcpStream| {
        if asked.page == silent {
            std::thread::sleep(Duration::from_mins(2));
        }
        match asked.page.as_str() {
            "GET /v1/models" => document(to, "200 OK", &json!({"data": [{"id": "a"}]})),
            "GET /v1/models/loaded" if silent == LOAD => document(to, "200 OK", &json!({"loaded": false})),
            "POST /v1/chat/completions" => {
                let tokens = asked.body["max_tokens"].as_u64().expect("a number");
                let texts = vec![" t"; usize::try_from(tokens).expect("few")];
                let usage = json!({"prompt_tokens": 500, "completion_tokens": tokens,
                                   "prompt_tokens_details": {"cached_tokens": 0}});
                stream(to, &answer(&texts, &usage))
            }
            _ => document(to, "404 Not Found", &json!({"detail": "Not Found"})),
        }
    })
}

fn of_server(place: &Place, server: &Scripted) -> Command {
    let mut bench = place.bench(&SERVER);
    bench.args(["--url", &server.url, "--noplot", "--max-new-tokens", "4"]);
    bench
}

fn held_by_a_server(place: &Place, silent: &'static str) -> Held {
    let server = server(silent);
    let child = started(&mut of_server(place, &server));
    wait_until(|| server.asked().iter().any(|asked| asked.page == silent));
    Held {
        child,
        _by: vec![Box::new(server)],
    }
}

fn asking_a_server_for_its_models(place: &Place) -> Held {
    held_by_a_server(place, "GET /v1/models")
}

fn waiting_for_an_answer(place: &Place) -> Held {
    held_by_a_server(place, "POST /v1/chat/completions")
}

fn loading_on_a_server(place: &Place) -> Held {
    held_by_a_server(place, LOAD)
}

/// What is left in the record's folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    /// One record that says so.
    Stopped,
    /// One record that is whole.
    Complete,
}

type Phase = (&'static str, fn(&Place) -> Held, Kept, &'static str);

const PHASES: [Phase; 12] = [
    ("options", options, Kept::Nothing, "nothing was recorded"),
    (
        "the list of a server's models",
        asking_a_server_for_its_models,
        Kept::Nothing,
        "stopped",
    ),
    (
        "the lock",
        waiting_for_the_lock,
        Kept::Nothing,
        "nothing was recorded",
    ),
    (
        "a worker that hangs",
        with_a_stopped_worker,
        Kept::Stopped,
        "what was recorded is in",
    ),
    (
        "loading on a server",
        loading_on_a_server,
        Kept::Stopped,
        "what was recorded is in",
    ),
    (
        "a server's answer",
        waiting_for_an_answer,
        Kept::Stopped,
        "what was recorded is in",
    ),
    ("samples", in_samples, Kept::Stopped, "what was recorded is in"),
    (
        "samples in this process",
        in_this_process,
        Kept::Stopped,
        "what was recorded is in",
    ),
    (
        "turns",
        waiting_for_a_turn,
        Kept::Stopped,
        "what was recorded is in",
    ),
    (
        "a result that nobody reads",
        in_a_write_to_a_full_pipe,
        Kept::Complete,
        "the record is complete",
    ),
    (
        "criterion's part",
        in_criterions_part,
        Kept::Complete,
        "the record is complete",
    ),
    ("profiling", in_profiling, Kept::Nothing, ""),
];

/// Sends the signal and waits for the end, with all descendants.
#[track_caller]
fn stop(held: Held, signal: &str) -> Left {
    let Held { child, _by } = held;
    let pid = child.id();
    let below = children(pid);
    send(signal, pid);
    let left = end_of(child);
    wait_until(|| below.iter().all(|pid| !is_alive(*pid)));
    left
}

/// The end of a run. One that does not end is killed, and has no code.
fn end_of(mut child: Child) -> Left {
    let start = Instant::now();
    while child.try_wait().expect("waited").is_none() {
        if start.elapsed() > AT_MOST {
            let _ = child.kill();
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output: Output = child.wait_with_output().expect("ended");
    Left {
        code: output
            .status
            .code()
            .or(output.status.signal().map(|signal| -signal)),
        text: text_of(&output),
    }
}

#[track_caller]
fn assert_stopped(what: &str, place: &Place, left: &Left, code: i32, kept: Kept, said: &str) {
    let text = &left.text;
    assert_eq!(left.code, Some(code), "{what}: {text}");
    assert!(text.contains(said), "{what}: {said:?} is not in {text}");
    assert!(
        !text.contains("panicked") && !text.contains("disk"),
        "{what}: {text}"
    );
    let records = place.records();
    if kept == Kept::Nothing {
        assert!(records.is_empty(), "{what}: {records:?} {text}");
        return;
    }
    let status = place.record().status;
    let is_complete = kept == Kept::Complete;
    let expected = if is_complete {
        Status::Complete
    } else {
        Status::Stopped
    };
    assert_eq!(status, expected, "{what}: {text}");
    assert!(text.contains(&*records[0].to_string_lossy()), "{what}: {text}");
}

#[test]
fn each_phase_ends_by_each_signal_with_its_code_and_what_was_recorded() {
    let _turn = host::turn();
    for (phase, begin, kept, said) in PHASES {
        for (signal, code) in SIGNALS {
            let place = Place::new();
            let left = stop(begin(&place), signal);
            assert_stopped(&format!("{phase}, {signal}"), &place, &left, code, kept, said);
        }
    }
}

#[test]
fn a_stop_between_levels_ends_all_of_them_and_names_what_was_not_started() {
    let _turn = host::turn();
    for (signal, code) in SIGNALS {
        let place = Place::new();
        let server = server("");
        let mut bench = of_server(&place, &server);
        bench.args(["--concurrency", "1,2,4", "--nresamples", "1000000"]);
        let left = stop(Held::alone(until_criterion(started(&mut bench))), signal);
        assert_stopped(
            signal,
            &place,
            &left,
            code,
            Kept::Complete,
            "the record is complete",
        );
        let expected = "not started: server-quick-c2, server-quick-c4";
        assert!(left.text.contains(expected), "{}", left.text);
    }
}

#[test]
fn ab_and_calibrate_end_with_their_benches() {
    let _turn = host::turn();
    let bench = |place: &Place| {
        let bench = endless(place);
        let words = std::iter::once(bench.get_program()).chain(bench.get_args());
        // Where the record goes is theirs to say.
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let at = words.iter().position(|word| word == "--output").expect("given");
        [&words[..at], &words[at + 2..]].concat()
    };
    for (signal, code) in SIGNALS {
        let place = Place::new();
        let words = bench(&place);
        let line = words.join(" ");
        let mut ab = host::tool(&place);
        ab.args(["ab", "--base", &line, "--candidate", &line, "--output"])
            .arg(place.path("ab"));
        let mut calibrate = host::tool(&place);
        calibrate.args(["calibrate", "--"]).args(&words);
        for tool in [&mut ab, &mut calibrate] {
            let child = started(tool);
            let id = child.id();
            let mut worker = None;
            wait_until(|| {
                let mut benches = children(id).into_iter();
                worker = benches.find_map(worker_of);
                worker.is_some()
            });
            let left = stop(Held::alone(child), signal);
            assert_eq!(left.code, Some(code), "{}", left.text);
            assert!(
                left.text.contains("stopped; the ") && left.text.contains(" are in "),
                "{}",
                left.text
            );
            wait_until(|| !is_alive(worker.expect("found")));
        }
    }
}

#[test]
fn a_command_behind_a_shell_ends_too() {
    let _turn = host::turn();
    let place = Place::new();
    let bench = endless(&place);
    let words = std::iter::once(bench.get_program()).chain(bench.get_args());
    let line = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ");
    let mut calibrate = host::tool(&place);
    // A shell that goes on behind its command does not become it.
    calibrate.args(["calibrate", "--", "sh", "-c", &format!("{line}; true")]);
    let child = started(&mut calibrate);
    let id = child.id();
    let mut bench = None;
    wait_until(|| {
        bench = children(id).into_iter().flat_map(children).next();
        bench.is_some_and(|bench| worker_of(bench).is_some())
    });
    let left = stop(Held::alone(child), "TERM");
    assert_eq!(left.code, Some(143), "{}", left.text);
    wait_until(|| !is_alive(bench.expect("found")));
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let _turn = host::turn();
    // As `timeout` and a terminal's process group send it.
    let place = Place::new();
    let held = in_samples(&place);
    send("TERM", held.child.id());
    send("TERM", held.child.id());
    let left = end_of(held.child);
    assert_stopped(
        "twice",
        &place,
        &left,
        143,
        Kept::Stopped,
        "what was recorded is in",
    );
}

#[test]
fn a_service_managers_stop_of_all_processes_is_one_stop() {
    let _turn = host::turn();
    for begin in [in_samples, in_criterions_part] {
        let place = Place::new();
        let held = begin(&place);
        // The worst order: the child is gone before this process knows.
        for pid in children(held.child.id()) {
            send("TERM", pid);
        }
        send("TERM", held.child.id());
        let left = end_of(held.child);
        assert_eq!(left.code, Some(143), "{}", left.text);
        assert!(!left.text.contains("was killed by"), "{}", left.text);
        let record = place.record();
        let prompts = record.models.iter().flat_map(|model| &model.prompts);
        assert!(
            prompts.into_iter().all(|prompt| prompt.failures.is_empty()),
            "{}",
            left.text
        );
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let _turn = host::turn();
    for signal in ["HUP", "INT", "TERM"] {
        let place = Place::new();
        let bench = endless(&place);
        let mut shell = command("sh");
        // As nohup, and a shell for its background commands, start it.
        shell.args(["-c", &format!("trap '' {signal}; exec \"$@\""), "sh"]);
        shell.arg(bench.get_program()).args(bench.get_args());
        for (name, value) in bench.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        let child = started(&mut shell);
        wait_until(|| inferences(&place) > 0);
        send(signal, child.id());
        let seen = inferences(&place);
        wait_until(|| inferences(&place) > seen + 10);
        let other = if signal == "TERM" { "INT" } else { "TERM" };
        let code = if signal == "TERM" { 130 } else { 143 };
        let left = stop(Held::alone(child), other);
        assert_stopped(
            signal,
            &place,
            &left,
            code,
            Kept::Stopped,
            "what was recorded is in",
        );
    }
}

#[test]
fn an_answer_that_came_while_this_process_was_stopped_is_taken() {
    let _turn = host::turn();
    let place = Place::new();
    // The deadline of an answer is 1 s, and 5 s for the worker to keep it.
    let child =
        started(host::quick(&place).args(["--record-only", "--timeout", "1", "--sample-size", "300"]));
    wait_until(|| inferences(&place) > 0);
    send("STOP", child.id());
    std::thread::sleep(Duration::from_secs(8));
    send("CONT", child.id());
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{}", text_of(&output));
    let record = place.record();
    let prompts = record.models.iter().flat_map(|model| &model.prompts);
    assert!(prompts.into_iter().all(|prompt| prompt.failures.is_empty()));
}

#[test]
fn in_a_process_group_of_its_own_a_second_ctrl_c_does_not_wait_for_what_ignores_the_first() {
    let _turn = host::turn();
    let place = Place::new();
    let stubborn = place.path("stubborn");
    let begun = place.path("begun");
    script(
        &stubborn,
        &format!("trap '' INT TERM; echo > {}; sleep 60; sleep 60", begun.display()),
    );
    let mut calibrate = host::tool(&place);
    calibrate
        .arg("calibrate")
        .arg("--")
        .arg(&stubborn)
        .process_group(0);
    let child = started(&mut calibrate);
    wait_until(|| begun.exists());
    let below = children(child.id());
    send("INT", child.id());
    std::thread::sleep(Duration::from_secs(1));
    assert!(is_alive(child.id()), "it waits for what it asked to end");
    send("INT", child.id());
    let left = end_of(child);
    for pid in below {
        let _ = command("kill").args(["-KILL", "--", &format!("-{pid}")]).output();
    }
    assert_eq!(left.code, Some(130), "{}", left.text);
    assert!(
        left.text.contains("stopped; the ") && left.text.contains(" are in "),
        "{}",
        left.text
    );
}
