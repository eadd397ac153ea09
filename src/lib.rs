//! A Criterion-style benchmark harness for large language models on Rockchip NPUs.
//!
//! It links the RKLLM runtime, loads each model, runs each prompt of a suite, and measures prefill and decode with
//! criterion's statistics. Without a board it uses a host runtime with the same C API, built on llama.cpp. Those
//! figures measure the machine's CPU, and every report says so.
//!
//! # A bench target
//!
//! ```toml
//! [[bench]]
//! name = "quick"
//! harness = false
//! ```
//!
//! ```no_run
//! // benches/quick.rs
//! rkllm_bench::main!("quick");
//! ```
//!
//! The name is that of a suite in `prompts/` of this crate, or of a JSON file with the same format beside your
//! `Cargo.toml`.
//!
//! # As a library
//!
//! Run a suite over a model and read the figures:
//!
//! ```
//! use rkllm_bench::{Figures, Run, models, paths, prompts::Suite};
//!
//! # #[cfg(feature = "host")]
//! # fn main() -> rkllm_bench::Result<()> {
//! let suite = Suite::find("quick", ".".as_ref())?;
//! let model = models::built_in("tiny", &paths::cache_dir())?;
//! let mut run = Run::new(suite, vec![model]);
//! run.suite.set_max_new_tokens(8);
//! run.parameters.samples = 2;
//! let record = run.record()?;
//! for prompt in &record.models[0].prompts {
//!     let rate = Figures::of(prompt).decode_tok_per_s.unwrap_or(f64::NAN);
//!     println!("{}: {rate:.1} tok/s, {}", prompt.id, record.faults());
//! }
//! # assert_eq!(record.models[0].prompts[2].samples.len(), 2);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "host"))]
//! # fn main() {}
//! ```
//!
//! Or load a model, run a prompt, read the phases:
//!
//! ```
//! use rkllm_bench::engine::{Engine, InProcess, LoadSpec};
//! use rkllm_bench::inference::{Input, Request};
//!
//! # #[cfg(feature = "host")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = rkllm_bench::models::built_in("tiny", &rkllm_bench::paths::cache_dir())?;
//! let mut engine = InProcess::new();
//! let loaded = engine.load(&LoadSpec { threads: Some(1), ..LoadSpec::new(model.path) })?;
//! let inference = engine.infer(&Request::new(Input::Text("Why is the sky blue?".into()), 8))?;
//! let phases = inference.phases().ok_or("no token came")?;
//! assert_eq!(inference.tokens.len(), 8);
//! println!("{}: first token after {:?} ns", loaded.runtime.name(), phases.ttft_ns);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "host"))]
//! # fn main() {}
//! ```
//!
//! # Limits
//!
//! No board was available during development. Everything about the NPU runtime comes from its documents, from reports
//! of its users and from stubs of the same ABI. docs/architecture.md says which is which.

#![warn(clippy::as_conversions, clippy::disallowed_methods)]

// The layers, in order: a folder imports only from those above it. `tests/layers` checks this against the sources
// and docs/architecture.md.
mod base;

pub mod inference;

mod inputs;

mod machine;

pub mod record;

mod analysis;

pub mod report;

mod runtime;

mod measure;

mod bench;

mod program;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[allow(clippy::expect_used, reason = "a property that does not hold ends the test")]
pub mod fuzz;

pub use analysis::figures::{Figures, Interval};
pub use analysis::{checks, compare, concurrency, gate, metrics, reference, summary};
pub use base::error::{Error, Result};
pub use base::paths;
pub use bench::harness::{bench_main, server_main};
pub use inputs::{model_name, models, prompts};
pub use machine::{board, doctor, sampler};
pub use measure::run::Run;
pub use measure::{recorder, turns};
pub use program::cli::cli_main;
pub use record::{baseline, ledger};
pub use report::export;
pub use runtime::{engine, ffi};

/// Defines the `main` of a bench target for a suite, given by name or by file.
///
/// ```no_run
/// rkllm_bench::main!("prompts/mine.json");
/// ```
#[macro_export]
macro_rules! main {
    ($suite:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::bench_main($suite, env!("CARGO_MANIFEST_DIR"))
        }
    };
}

/// Defines the `main` of a bench target that measures a server: `rkllm_bench::server_main!();` in `benches/server.rs`.
/// Without `--url` it only prints that there is nothing to do.
#[macro_export]
macro_rules! server_main {
    () => {
        fn main() -> ::std::process::ExitCode {
            $crate::server_main(env!("CARGO_MANIFEST_DIR"))
        }
    };
}
