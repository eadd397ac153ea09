//! The overhead of the harness: time for each token, error of the stamps, allocations, memory.
//!
//! The whole path of the crate (guard, session, engine, worker) runs on a runtime that does nothing but call back
//! (`null_runtime.cpp`), beside a bare C loop on the same runtime. Run it by name:
//!
//! ```text
//! cargo bench --bench harness              # 1, 10, ... 1,000,000 tokens
//! cargo bench --bench harness -- 10000     # up to 10,000
//! ```
//!
//! The program that cargo builds is a driver. It builds itself again without the host runtime, as the tests do with
//! their stub of an SDK, and starts that build on the null runtime. So it needs no SDK, and on a board it measures the
//! board.

#![expect(
    unsafe_code,
    reason = "an allocator that counts, and the null runtime's C loop"
)]

mod allocator;
#[path = "../../tests/common/mod.rs"]
mod common;
mod measure;
mod tables;

use std::process::{ExitCode, Stdio};

use common::{OURS, command, compile_runtime, messages, program, scratch};

/// Set in the program on the null runtime, unset in its driver.
const PART: &str = "RKLLM_BENCH_HARNESS_PART";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<ExitCode> {
    if let Some(code) = rkllm_bench::engine::serve_if_worker() {
        return Ok(code);
    }
    let argument = std::env::args().skip(1).find(|argument| argument != "--bench");
    let most_tokens = match &argument {
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text}: the only argument is the largest number of tokens"))?,
        None => 1_000_000,
    };
    if std::env::var_os(PART).is_none() {
        return drive(most_tokens);
    }
    let rows = measure::rows(most_tokens)?;
    Ok(if tables::print(&rows) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds this program for the API of an SDK and runs it on the null runtime, which has the same API.
fn drive(most_tokens: u32) -> Result<ExitCode> {
    let folder = scratch("null-runtime");
    compile_runtime("benches/harness/null_runtime.cpp", &folder, OURS, "1.3.0");
    let mut build = OURS.cargo();
    build
        .args(["bench", "--no-default-features", "--no-run", "--bench", "harness"])
        .stderr(Stdio::inherit());
    let status = command(program(&messages(&mut build), "harness"))
        .arg(most_tokens.to_string())
        .env(PART, "measure")
        .env("LD_LIBRARY_PATH", &folder)
        .env("RKLLM_LIBRARY", folder.join("librkllmrt.so"))
        .status()?;
    Ok(match status.code() {
        Some(code) => ExitCode::from(u8::try_from(code)?),
        None => return Err(format!("the program on the null runtime: {status}").into()),
    })
}
