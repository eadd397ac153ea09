//! Tests with a worker that sends scripted replies, and of how a worker ends.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Reply, Worker, patience};
use crate::inference::{Failure, FailureKind, Finish, Inference, Request};
use crate::runtime::engine::{Engine as _, scripted};

/// A worker that prints `log` to its log and answers each request with the next reply. Then it waits for another request.
fn answering(log: &str, replies: &[Reply]) -> (tempfile::TempDir, Worker) {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let mut body = format!("#!/bin/sh\nprintf '%s\\n' '{log}' >&2\n");
    for (index, reply) in replies.iter().enumerate() {
        let file = folder.path().join(index.to_string());
        let line = serde_json::to_string(reply).expect("JSON") + "\n";
        std::fs::write(&file, line).expect("written");
        write!(body, "read -r request\ncat '{}'\n", file.to_string_lossy()).expect("text");
    }
    body += "read -r request\n";
    let path = folder.path().join("worker");
    std::fs::write(&path, body).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    (folder, Worker::of_executable(path))
}

fn loaded() -> Reply {
    Reply::Loaded(scripted::loaded(scripted::ABILITIES))
}

fn inference() -> Inference {
    scripted::inference(0, &[1, 2], 3)
}

fn is_there(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

#[test]
fn what_the_runtime_printed_goes_with_what_it_explains() {
    let refused = Inference {
        refusal: Some("-1".into()),
        ..inference()
    };
    let ended_in_error = Inference {
        finish: Finish::Error,
        ..inference()
    };
    let own_lines = Failure {
        last_lines: vec!["its own".into()],
        ..Failure::refused("no")
    };
    let replies = [
        loaded(),
        Reply::Inferred(refused),
        Reply::Inferred(ended_in_error),
        Reply::Inferred(inference()),
        Reply::Failed(Failure::refused("no")),
        Reply::Failed(own_lines),
        Reply::Unloaded,
    ];
    let (_folder, mut worker) = answering("W no template\nE bad input\nlast", &replies);
    assert_eq!(worker.process_id(), None);
    assert_eq!(worker.warnings(), Vec::<String>::new());
    assert_eq!(worker.unload(), Ok(()), "there is nothing to unload");
    worker.load(&scripted::spec(2)).expect("loaded");
    let process = worker.process_id().expect("running");
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    assert!(
        status.contains(&format!("PPid:\t{}\n", std::process::id())),
        "{status}"
    );
    assert_eq!(worker.warnings(), ["W no template"]);
    assert_eq!(worker.warnings(), Vec::<String>::new(), "each is reported once");
    let request = scripted::request(2);
    let refusal = |worker: &mut Worker| worker.infer(&request).expect("an answer").refusal;
    assert_eq!(refusal(&mut worker).as_deref(), Some("-1: E bad input"));
    assert_eq!(
        refusal(&mut worker).as_deref(),
        Some("the runtime reported an error: E bad input")
    );
    assert_eq!(refusal(&mut worker), None);
    let lines = |worker: &mut Worker| worker.infer(&request).expect_err("a failure").last_lines;
    assert_eq!(lines(&mut worker), ["W no template", "E bad input", "last"]);
    assert_eq!(lines(&mut worker), ["its own"]);
    assert!(is_there(process));
    assert_eq!(worker.unload(), Ok(()));
    assert!(!is_there(process), "it left");
    assert_eq!(worker.process_id(), None);
}

#[test]
fn an_answer_to_another_request_is_no_answer() {
    let (_folder, mut worker) = answering("", &[loaded(), loaded()]);
    worker.load(&scripted::spec(2)).expect("loaded");
    let failure = worker.infer(&scripted::request(2)).expect_err("loaded again");
    assert_eq!(failure.kind, FailureKind::Lost);
    assert!(failure.message.contains("unexpected reply"), "{failure}");
    let (_folder, mut worker) = answering("", &[loaded(), loaded()]);
    worker.load(&scripted::spec(2)).expect("loaded");
    assert!(
        worker
            .unload()
            .expect_err("loaded again")
            .message
            .contains("unexpected reply")
    );
}

#[test]
fn a_worker_that_ended_is_reported_with_its_status_alone() {
    let (_folder, mut worker) = answering("", &[loaded()]);
    worker.load(&scripted::spec(2)).expect("loaded");
    // It reads the request, and ends.
    let failure = worker.infer(&scripted::request(2)).expect_err("it ended");
    assert_eq!(failure.message, "the worker exited with code 0");
    assert_eq!(worker.process_id(), None);
    let failure = worker.infer(&scripted::request(2)).expect_err("none is running");
    assert_eq!(failure.message, "no worker is running");
    assert_eq!(failure.kind, FailureKind::Lost);
}

#[test]
fn a_worker_that_is_dropped_is_gone() {
    let (_folder, mut worker) = answering("", &[loaded(), loaded()]);
    worker.load(&scripted::spec(2)).expect("loaded");
    let process = worker.process_id().expect("running");
    assert!(is_there(process));
    drop(worker);
    assert!(!is_there(process));
}

#[test]
fn each_run_of_a_request_has_its_deadline() {
    let of = |depth: u32| {
        patience(&Request {
            depth,
            deadline: Duration::from_mins(1),
            ..scripted::request(2)
        })
    };
    assert_eq!(of(0), Duration::from_secs(65));
    assert_eq!(of(1), Duration::from_secs(125));
}

#[test]
fn a_worker_whose_answer_is_none_is_reported_as_killed() {
    let (folder, _) = answering("", &[]);
    let path = folder.path().join("worker");
    std::fs::write(&path, "#!/bin/sh\necho nonsense\nexec sleep 600\n").expect("written");
    let mut worker = Worker::of_executable(path);
    let failure = worker.load(&scripted::spec(2)).expect_err("no answer");
    assert_eq!(failure.message, "the worker sent an invalid reply and was killed");
}
