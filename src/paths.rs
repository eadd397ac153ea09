//! Where files go.

use std::path::{Path, PathBuf};

/// The target folder of the build that made this executable: `CARGO_TARGET_DIR`, else the folder above the
/// executable that cargo tagged as a cache, else `target` in the working directory.
pub fn target_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let tagged = executable
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file());
    tagged.map_or_else(|| PathBuf::from("target"), Path::to_owned)
}

/// Where criterion keeps its results: `CRITERION_HOME`, else `criterion` in the target folder.
pub fn criterion_home() -> PathBuf {
    match std::env::var_os("CRITERION_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => dir.into(),
        None => target_dir().join("criterion"),
    }
}

/// Where run records go unless the user says otherwise.
pub fn runs_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("runs")
}

/// Where reports for people go unless the user says otherwise.
pub fn reports_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("reports")
}

/// Where named baselines are kept.
pub fn baselines_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("baselines")
}

/// Where built-in models are kept.
pub fn cache_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("models")
}

/// Where paired runs go unless the user says otherwise: a folder for each.
pub fn ab_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("ab")
}

/// Where calibrations are kept: a file for each set of things that must be equal for figures to compare.
pub fn calibrations_dir() -> PathBuf {
    target_dir().join("rkllm-bench").join("calibrations")
}
