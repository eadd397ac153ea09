//! The option that chooses the folder of run records.

use std::path::PathBuf;

use crate::base::paths;

/// The folder of run records.
#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// Folder of the run records [default: rkllm-bench/runs in cargo's target folder, where `cargo bench` writes them]
    #[arg(long, value_name = "DIR", env = "RKLLM_BENCH_OUTPUT")]
    records: Option<PathBuf>,
}

impl Folder {
    pub(super) fn path(&self) -> PathBuf {
        self.records.clone().unwrap_or_else(paths::runs_dir)
    }
}
