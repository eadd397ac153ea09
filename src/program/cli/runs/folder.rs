//! The option that chooses the folder of run records.

use std::path::PathBuf;

use crate::base::paths;

/// Where the records are.
#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// The folder of run records [default: where `cargo bench` leaves them, rkllm-bench/runs in cargo's target folder]
    #[arg(long, value_name = "DIR", env = "RKLLM_BENCH_OUTPUT")]
    records: Option<PathBuf>,
}

impl Folder {
    pub(super) fn path(&self) -> PathBuf {
        self.records.clone().unwrap_or_else(paths::runs_dir)
    }
}
