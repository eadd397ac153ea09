//! The program `rkllm-bench`: what is done with models and with the records of runs, besides measuring.

use std::process::ExitCode;

fn main() -> ExitCode {
    rkllm_bench::cli_main()
}
