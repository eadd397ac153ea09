//! Turns, end to end on the host runtime: who measures when, as the records' stamps have it, and what ends a wait.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};

use common::host::{quick, turn};
use common::{Place, command, run, send, text_of};
use rkllm_bench::record::{RunRecord, Status};
use rkllm_bench::turns::{self, Ended, run_in_turns};

/// A bench of one prompt with so many samples, and one inference of warm-up.
fn bench(place: &Place, samples: usize) -> Command {
    let mut command = quick(place);
    command.args(["--record-only", "decode/question", "--sample-size"]);
    command.arg(samples.to_string());
    command
}

/// Call and return of each inference, in the order that they were made.
fn inferences(record: &RunRecord) -> Vec<(u64, u64)> {
    let prompts = record.models.iter().flat_map(|model| &model.prompts);
    prompts
        .flat_map(|prompt| prompt.warm_up.iter().chain(&prompt.samples))
        .map(|sample| (sample.inference.call_ns, sample.inference.return_ns))
        .collect()
}

/// All inferences of both records in the order of their calls: call, return, and whose it was.
fn timeline(places: [&Place; 2]) -> Vec<(u64, u64, usize)> {
    let mut all = Vec::new();
    for (who, place) in places.into_iter().enumerate() {
        let stamps = inferences(&place.record());
        all.extend(stamps.into_iter().map(|(call, back)| (call, back, who)));
    }
    all.sort_unstable();
    all
}

fn codes(ended: &[Ended]) -> Vec<Option<i32>> {
    ended.iter().map(|ended| ended.status.code()).collect()
}

#[test]
fn two_benches_never_measure_at_once_and_each_goes_first_as_often() {
    let _turn = turn();
    let (first, second) = (Place::new(), Place::new());
    let ended = run_in_turns([bench(&first, 3), bench(&second, 5)], &|| false).expect("run");
    assert_eq!(codes(&ended), [Some(0), Some(0)], "{ended:?}");
    let timeline = timeline([&first, &second]);
    for pair in timeline.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two at once: {timeline:?}");
    }
    let order: Vec<usize> = timeline.iter().map(|(_, _, who)| *who).collect();
    assert_eq!(
        order,
        [0, 1, 1, 0, 0, 1, 1, 0, 1, 1],
        "and what is left is the second's"
    );
    for ended in ended {
        let text = ended.last_lines.join("\n");
        assert!(
            text.contains("decode tok/s") && text.contains("s waiting for turns"),
            "{text}"
        );
    }
}

#[test]
fn commands_that_know_no_turns_run_one_after_the_other() {
    let place = Place::new();
    let log = place.path("log");
    let shell = |name: &str, code: u8| {
        let mut shell = command("bash");
        let script = format!(
            r#"echo begin {name} >> "$0"; for line in $(seq 30); do echo {name} $line >&2; done; echo end {name} >> "$0"
            exit {code}"#
        );
        shell.arg("-c").arg(script).arg(&log);
        shell
    };
    let ended = run_in_turns([shell("a", 3), shell("b", 0)], &|| false).expect("run");
    assert_eq!(codes(&ended), [Some(3), Some(0)]);
    let order = std::fs::read_to_string(&log).expect("written");
    assert_eq!(order, "begin a\nend a\nbegin b\nend b\n");
    let last: Vec<String> = (11..=30).map(|line| format!("a {line}")).collect();
    assert_eq!(ended[0].last_lines, last);

    let groups = r#"test "$(cut -d' ' -f5 /proc/$$/stat)" = $$ && echo own"#;
    let shell = || {
        let mut shell = command("bash");
        shell.args(["-c", groups]);
        shell
    };
    for ended in run_in_turns([shell(), shell()], &|| false).expect("run") {
        assert_eq!(ended.last_lines, ["own"], "a Ctrl-C is not for them");
    }
}

#[test]
fn a_command_that_does_not_start_leaves_nothing_running() {
    let place = Place::new();
    let pid = place.path("pid");
    let mut first = command("bash");
    // It gives its turn back and waits for the next, as a bench does.
    let script = r#"import os, socket, sys
turns = socket.socket(socket.AF_UNIX); turns.connect(os.environ["RKLLM_BENCH_TURNS"])
open(sys.argv[1], "w").write(str(os.getpid())); turns.send(b"y"); turns.recv(1)"#;
    first
        .args(["-c", r#"exec python3 -c "$0" "$1""#, script])
        .arg(&pid);
    let error = run_in_turns([first, command("/no/such/bench")], &|| false).expect_err("no second");
    assert!(error.to_string().contains("/no/such/bench"), "{error}");
    let pid = std::fs::read_to_string(&pid).expect("written");
    assert!(!common::is_alive(pid.parse().expect("a number")), "{pid}");
}

#[test]
fn a_stop_reaches_both_and_their_records_are_saved() {
    let _turn = turn();
    let places = [Place::new(), Place::new()];
    let begun = |place: &Place| !place.records().is_empty();
    let commands = [bench(&places[0], 1000), bench(&places[1], 1000)];
    let ended = run_in_turns(commands, &|| places.iter().all(begun)).expect("run");
    assert_eq!(codes(&ended), [Some(143), Some(143)], "{ended:?}");
    for place in &places {
        assert_eq!(place.record().status, Status::Stopped);
    }

    let place = Place::new();
    let commands = [bench(&place, 1000), bench(&Place::new(), 1)];
    let ended = run_in_turns(commands, &|| begun(&place)).expect("run");
    assert_eq!(codes(&ended), [Some(143)], "the second was not started");
}

/// A bench that has made its first inference and waits for its next turn while `body` runs, and how it ended.
fn while_it_waits(place: &Place, body: impl FnOnce(UnixStream, u32)) -> Output {
    let path = place.path("turns");
    let listener = UnixListener::bind(&path).expect("bound");
    let child = bench(place, 3)
        .env(turns::VARIABLE, &path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let (mut socket, _) = listener.accept().expect("it takes part");
    let mut asked = [0];
    for answer in [Some(b"g"), None] {
        socket.read_exact(&mut asked).expect("it yields");
        assert_eq!(&asked, b"y");
        if let Some(answer) = answer {
            socket.write_all(answer).expect("its turn");
        }
    }
    body(socket, child.id());
    child.wait_with_output().expect("it ends")
}

fn assert_stopped_with_one_inference(place: &Place, text: &str) {
    let record = place.record();
    assert_eq!(record.status, Status::Stopped, "{text}");
    assert_eq!(inferences(&record).len(), 1, "{text}");
}

#[test]
fn a_bench_whose_turns_nobody_gives_any_more_stops() {
    let _turn = turn();
    let place = Place::new();
    let output = while_it_waits(&place, |socket, _| drop(socket));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("the program that gives the turns has ended"),
        "{text}"
    );
    assert_stopped_with_one_inference(&place, &text);
}

#[test]
fn a_signal_ends_a_wait_with_the_record_saved() {
    let _turn = turn();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new();
        let mut kept = None;
        let output = while_it_waits(&place, |socket, pid| {
            kept = Some(socket);
            send(signal, pid);
        });
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert_stopped_with_one_inference(&place, &text);
    }
}

#[test]
fn a_socket_that_is_not_there_is_named() {
    let place = Place::new();
    let output = run(bench(&place, 1).env(turns::VARIABLE, "/no/such/socket"));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("/no/such/socket") && text.contains(turns::VARIABLE),
        "{text}"
    );
    assert!(place.records().is_empty());
    // What does not measure takes no turns.
    let output = run(quick(&place)
        .arg("--list")
        .env(turns::VARIABLE, "/no/such/socket"));
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
}
