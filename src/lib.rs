//! A Criterion-style benchmark harness for large language models on Rockchip NPUs.
//!
//! It links the RKLLM runtime directly, loads each model, runs each prompt of a suite and measures prefill and decode
//! with criterion's statistics. Without a board it runs for real on a host runtime with the same C API, built on
//! llama.cpp; its figures are figures of the machine's CPU and say so.
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
//! The name is that of a suite in this crate's `prompts/`, or a JSON file of the same shape beside your `Cargo.toml`.
//!
//! # As a library
//!
//! Load a model, run a prompt, read the phases:
//!
//! ```
//! use std::time::Duration;
//! use rkllm_bench::engine::{Engine, InProcess, LoadSpec};
//! use rkllm_bench::inference::{Input, Request};
//!
//! # #[cfg(feature = "host")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = rkllm_bench::models::built_in_tiny(&rkllm_bench::paths::cache_dir())?;
//! let mut engine = InProcess::new();
//! let loaded = engine.load(&LoadSpec {
//!     model_path: model.path,
//!     max_context: 512,
//!     max_new_tokens: 8,
//!     threads: Some(1),
//!     cpu_mask: None,
//!     trust_sdk_version: None,
//!     deadline: Duration::from_secs(60),
//! })?;
//! let inference = engine.infer(&Request {
//!     input: Input::Text("Why is the sky blue?".into()),
//!     max_new_tokens: 8,
//!     deadline: Duration::from_secs(60),
//! })?;
//! let phases = inference.phases().ok_or("no token came")?;
//! assert_eq!(inference.tokens.len(), 8);
//! println!("{}: first token after {} ns", loaded.runtime.library.name, phases.ttft_ns);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "host"))]
//! # fn main() {}
//! ```
//!
//! # Limits
//!
//! No board was at hand when this was written: everything about the NPU runtime comes from its documents, from its
//! users' reports and from stubs of the same ABI. docs/architecture.md says which is which.

pub mod board;
pub mod engine;
mod error;
pub mod ffi;
mod float;
mod harness;
pub mod inference;
pub mod ledger;
pub mod models;
mod options;
pub mod paths;
mod progress;
pub mod prompts;
pub mod record;
pub mod recorder;
pub mod replay;
pub mod report;
mod signals;

pub use error::{Error, Result};
pub use harness::bench_main;

/// The `main` of a bench target, for a suite by name or by file.
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
