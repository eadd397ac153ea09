//! Builds and runs bench executables for the tests, on either runtime.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    reason = "a helper of tests"
)]

#[cfg(feature = "host")]
pub mod facade;
#[cfg(feature = "host")]
pub mod gguf;
#[cfg(feature = "host")]
pub mod host;
pub mod http;
#[cfg(feature = "host")]
pub mod power;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rkllm_bench::record::RunRecord;
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The folder of this package.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Variables that choose a runtime or steer a bench; a test sets those it means.
const STEERING: [&str; 9] = [
    "RKLLM_SDK",
    "RKLLM_INCLUDE_DIR",
    "RKLLM_LIB_DIR",
    "RKLLM_LIBRARY",
    "RKLLM_BENCH_MODELS",
    "RKLLM_BENCH_MODEL",
    "LD_LIBRARY_PATH",
    "CARGO_MANIFEST_DIR",
    "STUB_SCRIPT",
];

/// A command free of what this process was steered by.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for variable in STEERING {
        command.env_remove(variable);
    }
    // What cargo tells a test of its package. ring's build script watches it: a cargo started here would build ring and all above
    // it again, and the next cargo from outside once more.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_LINKS" || name == "OUT_DIR" {
            command.env_remove(variable);
        }
    }
    command.current_dir(ROOT);
    heed_signals();
    command
}

/// Sees to it that what this process starts heeds the signals that ask to stop. Whatever runs the tests may ignore them, as
/// `nohup` and a shell's background commands do, and children inherit that; a signal with a handler has its default again
/// in a child.
fn heed_signals() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").expect("read");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = u64::from_str_radix(mask.expect("a mask").trim(), 16).expect("hexadecimal");
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            if mask & (1 << (signal - 1)) != 0 {
                signal_hook::flag::register(signal, Arc::default()).expect("a handler");
            }
        }
    });
}

/// cargo, as the one that runs the tests.
pub fn cargo() -> Command {
    command(env!("CARGO"))
}

/// Both streams of a finished command as text.
pub fn text_of(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a command to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} did not start: {error}"))
}

/// Runs a command that must succeed and gives its text.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let text = text_of(&output);
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{text}",
        output.status
    );
    text
}

/// What cargo says of a build, message by message.
#[track_caller]
pub fn messages(build: &mut Command) -> Vec<Value> {
    let output = run(build.arg("--message-format=json"));
    assert!(output.status.success(), "{build:?} failed:\n{}", text_of(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The program of this package's target `name` among what a build made.
#[track_caller]
pub fn program(messages: &[Value], name: &str) -> PathBuf {
    let made = messages.iter().filter(|message| {
        let ours =
            message["manifest_path"].as_str() == Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        ours && message["target"]["name"] == name
    });
    let path = made
        .filter_map(|message| message["filenames"][0].as_str())
        .next_back();
    path.map_or_else(|| panic!("the build made no {name}"), PathBuf::from)
}

/// A folder for one run's results.
#[derive(Debug)]
pub struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A fresh one.
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// Below it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A measuring bench executable whose results land here.
    pub fn bench(&self, executable: &Path) -> Command {
        let mut command = command(executable);
        command
            .arg("--bench")
            .args(["--output".as_ref(), self.path("runs").as_os_str()]);
        command.env("CRITERION_HOME", self.path("criterion"));
        // Each place has an NPU of its own, as far as the lock knows.
        command.env("RKLLM_BENCH_LOCK_DIR", self.dir.path());
        command.env("TMPDIR", self.dir.path());
        command
    }

    /// A script for the stub runtime, for the variable `STUB_SCRIPT`.
    pub fn script(&self, lines: &[&str]) -> PathBuf {
        let path = self.path("stub-script");
        std::fs::write(&path, lines.join("\n")).expect("written");
        path
    }

    /// The one run record that was written here.
    #[track_caller]
    pub fn record(&self) -> RunRecord {
        let files = self.records();
        assert_eq!(files.len(), 1, "{files:?}");
        RunRecord::load(&files[0]).expect("a whole record")
    }

    /// All run records that were written here.
    pub fn records(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.path("runs")) else {
            return Vec::new();
        };
        // A run that was killed may leave half a file of another name.
        let records = entries.map(|entry| entry.expect("listed").path());
        records
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect()
    }
}

/// The stub runtime as an SDK, and the quick bench built on it.
#[derive(Debug)]
pub struct Sdk {
    /// Folder with `librkllmrt.so`.
    pub lib: PathBuf,
    /// The quick bench.
    pub program: PathBuf,
    /// The build script.
    pub build_script: PathBuf,
    /// A file that passes for a model.
    pub model: PathBuf,
}

impl Sdk {
    /// The quick bench on the stub, started by hand.
    pub fn quick(&self, place: &Place) -> Command {
        let mut command = place.bench(&self.program);
        command
            .args(["--noplot", "--verbose", "--max-new-tokens", "8", "--models"])
            .arg(&self.model);
        command
    }
}

/// Built once for each test binary.
pub static SDK: LazyLock<Sdk> = LazyLock::new(|| {
    let lib = OURS.stub();
    let model = scratch("models").join("stub-model.rkllm");
    std::fs::write(&model, "not a model").expect("written");
    let mut build = OURS.cargo();
    let messages = messages(build.args(["bench", "--no-default-features", "--no-run", "--bench", "quick"]));
    let (program_of_quick, build_script) = (
        program(&messages, "quick"),
        program(&messages, "build-script-build"),
    );
    Sdk {
        lib,
        program: program_of_quick,
        build_script,
        model,
    }
});

/// A folder that stays between runs of the tests.
pub fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).expect("made");
    dir
}

/// The target folder of builds on a stub: one of their own, since they would replace the programs that the other tests use. It begins
/// with the dependencies of these tests, which are theirs too.
pub static SDK_TARGET: LazyLock<PathBuf> = LazyLock::new(|| {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = parent.join("sdk-target");
    if !folder.exists() {
        let fresh = tempfile::tempdir_in(parent).expect("a folder").keep();
        succeed(
            command("sh")
                .args(["-c", COPY_DEPENDENCIES, "sh"])
                .arg(parent.parent().expect("cargo's target folder").join("release"))
                .arg(fresh.join("release")),
        );
        // Another test that was faster has made the same.
        let _ = std::fs::rename(&fresh, &folder);
    }
    folder
});

/// Libraries and what cargo knows of them, with their times; no programs, which are most of the bytes.
const COPY_DEPENDENCIES: &str = r#"
    set -e
    mkdir -p "$2/deps"
    cp -a --reflink=auto "$1/.fingerprint" "$1/build" "$2"
    find "$1/deps" \( -name 'lib*' -o -name '*.d' \) -exec cp -a --reflink=auto -t "$2/deps" {} +
"#;

/// A release of the SDK: its header, and the number that tells the stub of its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    pub version: &'static str,
    pub generation: u32,
}

/// The releases whose headers differ, oldest first; the last one is invented.
pub const RELEASES: [Release; 8] = [
    release("1.1.4", 110),
    release("1.2.0", 120),
    release("1.2.1", 121),
    release("1.2.2", 121),
    release("1.2.3", 121),
    OURS,
    release("1.3.1", 131),
    release("1.4.0", 140),
];

/// The one whose header is this project's own.
pub const OURS: Release = release("1.3.0", 130);

const fn release(version: &'static str, generation: u32) -> Release {
    Release { version, generation }
}

impl Release {
    /// Folder of its `rkllm.h`.
    pub fn include(self) -> PathBuf {
        if self == OURS {
            Path::new(ROOT).join("vendor/rkllm")
        } else {
            Path::new(ROOT).join("tests/fixtures/headers").join(self.version)
        }
    }

    /// Folder of its stub runtime, compiled where it is missing or older than its source.
    pub fn stub(self) -> PathBuf {
        let dir = scratch(&format!("stub-{}", self.version));
        compile_stub(&dir, self, self.version);
        dir
    }

    /// cargo for a build on its stub, in [`SDK_TARGET`].
    pub fn cargo(self) -> Command {
        let mut command = cargo();
        command
            .env("RKLLM_INCLUDE_DIR", self.include())
            .env("RKLLM_LIB_DIR", self.stub())
            .env("CARGO_TARGET_DIR", SDK_TARGET.as_path())
            // As this package has it: the example crate has no profile, and would have all of its dependencies built again.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            // From one release to the next only the bindings differ.
            .env("CARGO_INCREMENTAL", "1");
        command
    }
}

/// Compiles the stub runtime of a release into `dir`, with `version` in its file.
pub fn compile_stub(dir: &Path, release: Release, version: &str) {
    compile_runtime("tests/stub/rkllmrt_stub.cpp", dir, release, version);
}

/// Compiles a C++ file of this package into `dir` as the runtime of a release, where it is missing or older.
pub fn compile_runtime(source: &str, dir: &Path, release: Release, version: &str) {
    let library = dir.join("librkllmrt.so");
    let source = Path::new(ROOT).join(source);
    let written = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    if written(&library).is_some_and(|made| Some(made) > written(&source)) {
        return;
    }
    let fresh = tempfile::NamedTempFile::new_in(dir).expect("a file");
    succeed(
        command("c++")
            .args([
                "-std=c++17",
                "-O1",
                "-fPIC",
                "-shared",
                "-pthread",
                "-Wl,-soname,librkllmrt.so",
            ])
            .arg(format!("-DSTUB_VERSION=\"{version}\""))
            .arg(format!("-DSTUB_GENERATION={}", release.generation))
            .arg("-I")
            .arg(release.include())
            .arg(&source)
            .arg("-o")
            .arg(fresh.path()),
    );
    fresh.persist(&library).expect("renamed");
}

/// All three prompts of the quick suite have ten samples each, and criterion's figures of each phase are in `text`.
#[track_caller]
pub fn assert_every_prompt_has_its_figures(record: &RunRecord, text: &str) {
    let prompts = &record.models[0].prompts;
    assert_eq!(prompts.len(), 3);
    for prompt in prompts {
        assert_eq!(prompt.samples.len(), 10, "{}: {text}", prompt.id);
        for phase in rkllm_bench::record::phase::phases(&record.parameters, prompt) {
            let id = format!("stub-model/quick/{}/{}", phase.name(), prompt.id);
            assert!(text.contains(&id), "{id} is not in:\n{text}");
        }
    }
}

/// A suite of one prompt of six ids: cold, and behind four of them by a run and by a file.
pub fn suite_of_starts() -> PathBuf {
    let suite = scratch("suites").join("starts.json");
    let text = r#"{"name": "starts", "tests": [{"id": "a", "token_ids": [1, 2, 3, 4, 5, 6], "prefix_tokens": 4,
                   "cache_starts": ["cold", "warm_prefix", "restored_cache"]}]}"#;
    std::fs::write(&suite, text).expect("written");
    suite
}

/// Waits until something has happened, and no longer than a minute.
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not happen within a minute");
}

/// The processes that `parent` started, by whichever of its threads.
pub fn children(parent: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).expect("listed");
    tasks
        // A thread may end meanwhile.
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|listed| {
            let pids: Vec<u32> = listed
                .split_whitespace()
                .map(|pid| pid.parse().expect("a number"))
                .collect();
            pids
        })
        .collect()
}

/// Whether a process still runs.
pub fn is_alive(pid: u32) -> bool {
    // A zombie whom nobody has reaped yet does no harm and holds no memory.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.trim_start().starts_with('Z'))
    })
}

/// Sends a signal.
#[track_caller]
pub fn send(signal: &str, pid: u32) {
    succeed(command("kill").args([format!("-{signal}"), pid.to_string()]));
}
