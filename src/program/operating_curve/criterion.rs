//! Criterion's own verdict on recorded samples. A criterion process compares one run with another.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use criterion::BenchmarkId;

use super::pool::{PHASES, Run};
use crate::base::child;
use crate::base::error::{Error, Result};
use crate::base::paths;
use crate::base::scratch::Scratch;
use crate::bench::criterion::replay;
use crate::report::terminal::Verdict;

/// How long criterion may take for one run.
const PATIENCE: Duration = Duration::from_mins(10);
/// Environment variable with the file of durations for criterion's process: nanoseconds by benchmark.
const DURATIONS_VARIABLE: &str = "RKLLM_BENCH_OPERATING_CURVE_DURATIONS";

/// Runs as criterion's process, if this process is one. Otherwise returns `None`.
pub(crate) fn serve_if_criterion() -> Option<ExitCode> {
    let path = std::env::var_os(DURATIONS_VARIABLE)?;
    let durations = std::fs::read(path).ok()?;
    let durations: BTreeMap<String, Vec<u64>> = serde_json::from_slice(&durations).ok()?;
    let mut criterion = replay::criterion();
    let mut group = criterion.benchmark_group("pool");
    for (id, durations) in &durations {
        let durations: Vec<Duration> = durations.iter().copied().map(Duration::from_nanos).collect();
        replay::replay_benchmark(&mut group, BenchmarkId::from_parameter(id), &durations, false);
    }
    group.finish();
    Some(ExitCode::SUCCESS)
}

/// Whether criterion calls each benchmark of a suite regressed, with one run on each side.
///
/// # Errors
/// If criterion's process fails, or gives no verdict on a benchmark.
pub(super) fn regressed(base: &Run, candidate: &Run) -> Result<Vec<bool>> {
    let home = Scratch::new().map_err(Error::io(std::env::temp_dir()))?;
    run(home.path(), base, "--save-baseline")?;
    let text = run(home.path(), candidate, "--baseline")?;
    let verdicts: Vec<bool> = text
        .lines()
        .filter_map(Verdict::of_line)
        .map(|verdict| verdict == Verdict::Regressed)
        .collect();
    if verdicts.len() == benchmarks(base).len() {
        Ok(verdicts)
    } else {
        Err(Error::Worker(format!(
            "criterion did not give a verdict on each benchmark:\n{text}"
        )))
    }
}

fn run(home: &Path, run: &Run, flag: &str) -> Result<String> {
    let failed = |error: std::io::Error| Error::Worker(format!("criterion's process: {error}"));
    let durations = home.join("durations.json");
    let text = serde_json::to_vec(&benchmarks(run)).map_err(|error| failed(error.into()))?;
    std::fs::write(&durations, text).map_err(Error::io(&durations))?;
    let mut command = Command::new(paths::RUNNING);
    command
        .args(["--bench", "--noplot", flag, "base"])
        .env(DURATIONS_VARIABLE, &durations)
        .env("CRITERION_HOME", home)
        .stderr(Stdio::null());
    let (_, stdout) = child::output_within(&mut command, PATIENCE).map_err(failed)?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// The durations of a suite for criterion, ns by `<phase>/<prompt>`.
fn benchmarks(run: &Run) -> BTreeMap<String, Vec<u64>> {
    let mut benchmarks = BTreeMap::new();
    for (prompt, samples) in &run.samples {
        for (index, phase) in PHASES.iter().enumerate() {
            let durations = samples.iter().map(|sample| sample[index]).collect();
            benchmarks.insert(format!("{}/{prompt}", phase.name()), durations);
        }
    }
    benchmarks
}
