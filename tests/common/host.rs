//! Bench executables on the host runtime, and the built-in model for them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use rkllm_bench::record::RunRecord;

use super::{Place, cargo, command, messages, program, scratch, succeed};

/// The quick bench, as `cargo bench` runs it.
pub static QUICK: LazyLock<PathBuf> = LazyLock::new(|| bench("quick"));

/// The table bench.
pub static TABLE: LazyLock<PathBuf> = LazyLock::new(|| bench("table"));

pub fn bench(name: &str) -> PathBuf {
    let messages = messages(cargo().args(["bench", "--no-run", "--bench", name]));
    program(&messages, name)
}

/// One run at a time: they would share the cores otherwise.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The built-in model in a folder of its own, where no other model can be found.
pub static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    rkllm_bench::models::built_in("tiny", &scratch("built-in"))
        .expect("the built-in model is made")
        .path
});

/// A short quick bench of the built-in model.
pub fn quick(place: &Place) -> Command {
    let mut command = place.bench(&QUICK);
    command.args(["--max-new-tokens", "16", "--models"]).arg(&*MODEL);
    command
}

/// The record of a quick bench, for those who need any.
pub static RUN: LazyLock<RunRecord> = LazyLock::new(|| {
    let place = Place::new();
    let _turn = turn();
    succeed(quick(&place).args(["--noplot", "--record-only"]));
    place.record()
});

/// The program `rkllm-bench`, with a target folder of its own in `place`.
pub fn tool(place: &Place) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_rkllm-bench"));
    command.env("CARGO_TARGET_DIR", place.path("target"));
    command
}
