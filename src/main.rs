//! The `rkllm-bench` program: the models at hand, and the worker of programs that cannot be workers themselves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rkllm_bench::engine::serve_if_worker;
use rkllm_bench::ffi::library;
use rkllm_bench::models;

/// Benchmarks language models through the RKLLM runtime. Measuring is done by `cargo bench`.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 64 usage, 70 the models or the runtime cannot be read"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the models that `cargo bench` would run, and the runtime that would run them
    Models {
        /// A model file, or a folder of models
        #[arg(long, value_name = "DIR|FILE", env = "RKLLM_BENCH_MODELS", default_value = models::DEFAULT_DIR)]
        models: PathBuf,
        /// Version to assume of an SDK library whose file carries none
        #[arg(long, value_name = "VERSION", env = "RKLLM_BENCH_TRUST_SDK_VERSION")]
        trust_sdk_version: Option<String>,
    },
}

fn main() -> ExitCode {
    if let Some(code) = serve_if_worker() {
        return code;
    }
    let Arguments {
        command: Command::Models {
            models,
            trust_sdk_version,
        },
    } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(64)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match list(&models, trust_sdk_version.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(70)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the list is what was asked for")]
fn list(place: &std::path::Path, trust_sdk_version: Option<&str>) -> rkllm_bench::Result<()> {
    let runtime = library::verify(trust_sdk_version)?;
    println!(
        "runtime: {} from {}, API generation {}",
        runtime.name,
        runtime.path.display(),
        library::header_generation()
    );
    for model in models::find(place, None)? {
        println!("{}\t{}", model.name, model.path.display());
    }
    Ok(())
}
