//! Foreign clients of `librkllmrt.so`: they get what a Rust client gets.
#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

mod common;

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use common::gguf::{self, Lack};
use common::{Client, SMALL, infer_param, small};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

/// The directory of `librkllmrt.so`, beside the one this test runs from. A library older than a source would be one
/// that an earlier build left there: cargo does not build examples for a test that is run by name.
fn library_dir() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    let dir = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>")
        .join("examples");
    let built = modified(&dir.join("librkllmrt.so"));
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "examples", "build.rs", "../rkllm/rkllm.h"].map(|source| crate_dir.join(source));
    assert!(
        built.is_some_and(|built| sources.iter().all(|source| newest(source) <= built)),
        "no librkllmrt.so in {}, or one older than the sources: `cargo test --release --workspace` builds it along \
         with all tests, `cargo build --release --workspace --example rkllmrt` alone",
        dir.display()
    );
    dir
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// When a file, or the newest one in a directory, was last changed.
fn newest(path: &Path) -> SystemTime {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("the sources are listed");
        let times = entries.map(|entry| newest(&entry.expect("an entry").path()));
        times.max().expect("the directory is not empty")
    } else {
        modified(path).unwrap_or_else(|| panic!("{} is not there", path.display()))
    }
}

fn client_source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

/// Runs a program to its end. A program that is not there fails the test like any other failure.
#[track_caller]
fn succeed(command: &mut Command, needed_for: &str) -> String {
    let run: Result<Output, _> = command.output();
    let output = run.unwrap_or_else(|error| {
        panic!(
            "{}: {error}. {needed_for}; scripts/setup installs it",
            command.get_program().display()
        )
    });
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}\n{stderr}",
        output.status
    );
    stdout.into_owned()
}

/// What both clients print of a run, by a Rust client: ids, the bytes of the text, the counters at FINISH.
fn expected() -> String {
    let run = Client::small().run(&PROMPT, &infer_param());
    let ids: Vec<String> = run.ids().iter().map(i32::to_string).collect();
    let text = run
        .text()
        .bytes()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!(
        "ids {}\ntext {text}\nfinish {} {}",
        ids.join(" "),
        run.finish.prefill_tokens,
        run.finish.generate_tokens
    )
}

#[track_caller]
fn check(stdout: &str) {
    let first = stdout.lines().next().unwrap_or_default();
    let version =
        "I rkllm: rkllm-runtime version: 1.3.0, rknpu driver version: none, platform: HOST (llama.cpp ";
    assert!(first.starts_with(version), "the first line on stdout: {first}");
    let log = |line: &&str| line.starts_with("I rkllm: model: small (random weights) (to llama.cpp: llama ");
    assert!(
        stdout.lines().any(|line| log(&line)),
        "the log names the model: {stdout}"
    );
    assert!(stdout.contains(&expected()), "{stdout}\nwithout\n{}", expected());
    assert!(stdout.ends_with("done\n"), "{stdout}");
}

/// Compiles a client in C++ with the header.
fn compiled(source: &str, directory: &Path) -> Command {
    let (program, library) = (directory.join("client"), library_dir());
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rkllm");
    let mut compiler = Command::new(env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    compiler
        .args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(header);
    compiler
        .arg(client_source(source))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&library)
        .arg("-lrkllmrt");
    succeed(&mut compiler, "It compiles the C++ client");
    let mut client = Command::new(program);
    client.env("LD_LIBRARY_PATH", library);
    client
}

#[test]
fn a_cpp_program_with_the_header() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut client = compiled("client.cpp", directory.path());
    check(&succeed(client.arg(small()), "It is the C++ client"));
}

#[test]
fn what_a_callback_throws_is_an_error_of_the_call() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let client = compiled("throwing.cpp", directory.path());
    let n_vocab = u32::try_from(SMALL.n_vocab).expect("a small one");
    let without = |lack: Lack| {
        let path = directory.path().join("bare.gguf");
        gguf::write_without(&[lack], n_vocab, small(), &path);
        path
    };
    let run = |model: &Path, what: &str| {
        let output = Command::new(client.get_program())
            .envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .args([model.as_os_str(), what.as_ref()])
            .output()
            .expect("started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let errors: Vec<String> = text(&output.stderr).lines().map(str::to_owned).collect();
        let shown: Vec<String> = text(&output.stdout)
            .lines()
            .filter(|line| !line.contains(" rkllm: "))
            .map(str::to_owned)
            .collect();
        (output.status, shown, errors)
    };
    let again = "again 0, tokens 4, finished";
    for (what, shown, error) in [
        (
            "exception",
            ["status -1", "tokens 2, failed", again],
            "E rkllm: result_callback threw at the second token",
        ),
        (
            "number",
            ["status -1", "tokens 2, failed", again],
            "E rkllm: result_callback threw an exception without a text",
        ),
        (
            "finish",
            ["status -1", "tokens 4, finished, failed", again],
            "E rkllm: result_callback threw at the end",
        ),
        (
            "async",
            ["status 0", "tokens 2, failed", again],
            "E rkllm: result_callback threw at the second token",
        ),
    ] {
        let (status, out, errors) = run(small(), what);
        assert!(status.success(), "{what}: {status}, {errors:?}");
        assert_eq!(out, shown, "{what}");
        assert!(errors.contains(&error.to_owned()), "{what}: {errors:?}");
    }
    let (status, out, errors) = run(small(), "cancel");
    assert!(status.success(), "{status}, {errors:?}");
    assert_eq!(out, ["status 0", "cancelled", "tokens 4, finished", again]);
    let (status, _, errors) = run(small(), "exit");
    assert_eq!(status.signal(), Some(6), "it aborts: {errors:?}");
    let said = "E rkllm: a callback ended its thread (pthread_exit), which the runtime does not survive";
    assert!(errors.contains(&said.to_owned()), "{errors:?}");
    for (what, lack, error) in [
        (
            "tokenizer",
            Lack::Tokenizer,
            "tokenizer_callback threw no tokenizer",
        ),
        (
            "embed",
            Lack::Tensor(c"token_embd.weight"),
            "embed_callback threw no embeddings",
        ),
    ] {
        let (status, out, errors) = run(&without(lack), what);
        assert!(status.success(), "{what}: {status}, {errors:?}");
        assert_eq!(out.first().map(String::as_str), Some("status -1"), "{what}");
        assert!(
            errors.iter().any(|line| line.contains(error)),
            "{what}: {errors:?}"
        );
    }
}

#[test]
fn a_python_program_with_ctypes() {
    let mut python = Command::new("python3");
    python
        .arg(client_source("client.py"))
        .arg(library_dir().join("librkllmrt.so"))
        .arg(small());
    check(&succeed(&mut python, "It runs the Python client"));
}

#[test]
fn the_library_exports_the_fifteen_functions_and_nothing_else() {
    let symbols = succeed(
        Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(library_dir().join("librkllmrt.so")),
        "It lists the library's symbols",
    );
    let names: Vec<&str> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(names.len(), 15, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("rkllm_")), "{names:?}");
}
