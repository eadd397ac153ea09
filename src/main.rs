//! The `rkllm-bench` program: the models at hand, and the worker of programs that cannot be workers themselves.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rkllm_bench::engine::serve_if_worker;
use rkllm_bench::ffi::library;
use rkllm_bench::{Error, models, paths};

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
    /// List the models that `cargo bench` would run, the built-in ones, and the runtime that would run them
    Models {
        /// A model file, or a folder of models
        #[arg(long, value_name = "DIR|FILE", env = "RKLLM_BENCH_MODELS", default_value = models::DEFAULT_DIR)]
        models: PathBuf,
        /// Version to assume of an SDK library whose file carries none
        #[arg(long, value_name = "VERSION", env = "RKLLM_BENCH_TRUST_SDK_VERSION")]
        trust_sdk_version: Option<String>,
        /// Remove the built-in models that were made; they are made again when they are asked for
        #[arg(long)]
        remove_built_in: bool,
    },
}

fn main() -> ExitCode {
    if let Some(code) = serve_if_worker() {
        return code;
    }
    let Arguments { command } = match Arguments::try_parse() {
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
    let Command::Models {
        models,
        trust_sdk_version,
        remove_built_in,
    } = command;
    let outcome = if remove_built_in {
        models::remove_built_in(&paths::cache_dir()).map(|bytes| format!("removed {}\n", megabytes(bytes)))
    } else {
        list(&models, trust_sdk_version.as_deref())
    };
    match outcome {
        Ok(text) => {
            // A reader that has left, as `head` does, is no error.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(if matches!(error, Error::Model(_)) { 64 } else { 70 })
        }
    }
}

fn list(place: &Path, trust_sdk_version: Option<&str>) -> rkllm_bench::Result<String> {
    let runtime = library::verify(trust_sdk_version)?;
    let mut lines = vec![format!(
        "runtime: {} from {}, API generation {}",
        runtime.name,
        runtime.path.display(),
        library::header_generation()
    )];
    if place.exists() || place != Path::new(models::DEFAULT_DIR) {
        for model in models::find(place, &[])? {
            lines.push(format!("{}\t{}", model.name, model.path.display()));
        }
    }
    for name in models::built_in_names() {
        let made = models::built_in_path(name, &paths::cache_dir()).filter(|path| path.is_file());
        let state = made.map_or_else(
            || "made when it is asked for".to_owned(),
            |path| path.display().to_string(),
        );
        lines.push(format!("{}{name}\t{state}", models::BUILT_IN));
    }
    Ok(lines.join("\n") + "\n")
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}
