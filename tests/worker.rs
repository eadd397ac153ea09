//! A program that cannot be a worker itself uses the `rkllm-bench` binary as one.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use rkllm_bench::engine::{Engine, Worker};
use rkllm_bench::inference::{FailureKind, LoadSpec};
use rkllm_bench::inference::{Input, Request};
use rkllm_bench::{models, paths};

/// One test at a time: each looks at the processes that this one started.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spec() -> LoadSpec {
    LoadSpec {
        max_context: 512,
        threads: Some(1),
        ..LoadSpec::new(models::built_in("tiny", &paths::cache_dir()).expect("made").path)
    }
}

fn request() -> Request {
    Request::new(Input::Tokens((3..43).collect()), 8)
}

/// The processes that this one started.
fn children() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("listed");
    let of_task =
        |path: std::path::PathBuf| std::fs::read_to_string(path.join("children")).unwrap_or_default();
    let all: Vec<String> = tasks.map(|task| of_task(task.expect("listed").path())).collect();
    all.iter()
        .flat_map(|pids| pids.split_whitespace())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_killed_worker_is_reported_and_another_one_takes_its_place() {
    let _turn = turn();
    let mut worker = Worker::of_executable(env!("CARGO_BIN_EXE_rkllm-bench"));
    let loaded = worker.load(&spec()).expect("loaded");
    assert_eq!(
        loaded.runtime.version_line().expect("printed at init").runtime,
        "1.3.0"
    );
    let own = rkllm_bench::board::peak_rss_bytes().expect("known");
    let first = worker.infer(&request()).expect("inferred");
    assert_eq!(first.tokens.len(), 8);
    assert_ne!(first.peak_rss_bytes, Some(own), "the peak is the worker's");

    let pids = children();
    assert_eq!(pids.len(), 1);
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pids[0]])
        .status()
        .expect("started");
    assert!(killed.success());
    let failure = worker.infer(&request()).expect_err("nobody is there");
    assert_eq!(failure.kind, FailureKind::Lost);
    assert_eq!(
        failure.message,
        "the worker was killed by SIGKILL (signal 9), as the kernel does when memory is short"
    );

    worker.load(&spec()).expect("loaded again");
    let second = worker.infer(&request()).expect("inferred");
    let ids = |inference: &rkllm_bench::inference::Inference| -> Vec<i32> {
        inference.tokens.iter().map(|token| token.id).collect()
    };
    assert_eq!(
        ids(&second),
        ids(&first),
        "greedy decoding gives the same tokens in another process"
    );
}

/// The kernel ends a worker with the thread that started it, which need not be the one that uses it.
#[test]
fn a_worker_outlives_the_thread_that_loaded_it() {
    let _turn = turn();
    let load = || {
        let mut worker = Worker::of_executable(env!("CARGO_BIN_EXE_rkllm-bench"));
        worker.load(&spec()).expect("loaded");
        worker
    };
    let mut worker = std::thread::spawn(load).join().expect("loaded");
    assert_eq!(worker.infer(&request()).expect("inferred").tokens.len(), 8);
}

#[test]
fn a_refusal_comes_with_the_runtimes_own_words_and_the_worker_goes_on() {
    let _turn = turn();
    let mut worker = Worker::of_executable(env!("CARGO_BIN_EXE_rkllm-bench"));
    let missing = LoadSpec {
        model_path: "no such.gguf".into(),
        ..spec()
    };
    let failure = worker.load(&missing).expect_err("no file");
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.to_string().contains("E rkllm: "), "{failure}");
    worker.load(&spec()).expect("loaded");
    let outside = Request {
        input: Input::Tokens(vec![i32::MAX]),
        ..request()
    };
    let refused = worker
        .infer(&outside)
        .expect("an inference that says why it is none");
    assert!(refused.refusal.is_some());
    assert_eq!(worker.infer(&request()).expect("inferred").tokens.len(), 8);
}

/// A process that another one traces stays, for whoever started it, until its tracer has seen its end: as one that hangs in a
/// driver. The tracer ends when the file that it is given is gone.
const TRACED: &str = r"#!/usr/bin/env python3
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
libc.prctl(0x59616d61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)  # PR_SET_PTRACER, any
traced = os.getpid()
if os.fork() == 0:
    libc.ptrace(0x4206, traced, 0, 0)  # PTRACE_SEIZE
    while os.path.exists(FILE):
        time.sleep(0.05)
    os._exit(0)
time.sleep(600)
";

#[test]
fn a_worker_that_stays_when_it_is_killed_is_given_up_and_named() {
    use std::os::unix::fs::PermissionsExt as _;

    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let (program, file) = (folder.path().join("worker"), folder.path().join("held"));
    std::fs::write(&file, "").expect("written");
    std::fs::write(&program, TRACED.replace("FILE", &format!("{file:?}"))).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    let mut worker = Worker::of_executable(&program);
    let asked = LoadSpec {
        deadline: std::time::Duration::from_secs(5),
        ..spec()
    };
    let failure = worker.load(&asked).expect_err("no answer");
    assert_eq!(failure.kind, FailureKind::Lost);
    let [pid] = &children()[..] else {
        panic!("{failure}: {:?}", children());
    };
    let expected = format!("process {pid} was killed and is still there");
    assert!(failure.message.contains(&expected), "{failure}");
    std::fs::remove_file(&file).expect("removed");
}
