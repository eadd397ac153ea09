//! The array that github-action-benchmark reads for its tools `customBiggerIsBetter` and `customSmallerIsBetter`: entries of
//! `name`, `unit`, `value`, and optionally `range` and `extra` (its src/extract.ts, `BenchmarkResult`).

use serde::Serialize;

use super::{Summary, summaries};
use crate::metrics::Worse;
use crate::record::RunRecord;

#[derive(Serialize)]
struct Entry {
    name: String,
    unit: &'static str,
    value: f64,
    /// The standard deviation; absent for a single value.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

/// The metrics that get worse in one way: one file has one direction.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "keys are text and nothing is written but memory"
)]
pub fn github_action_benchmark(runs: &[RunRecord], worse: Worse) -> String {
    let wanted = summaries(runs)
        .into_iter()
        .filter(|summary| summary.metric.measure.worse() == worse);
    let entries: Vec<Entry> = wanted.map(|summary| entry(&summary)).collect();
    serde_json::to_string_pretty(&entries).expect("entries are JSON") + "\n"
}

fn entry(summary: &Summary) -> Entry {
    let deviation = summary.deviation.map(|deviation| deviation * summary.value);
    Entry {
        name: summary.metric.to_string(),
        unit: summary.metric.measure.unit(),
        value: summary.value,
        range: deviation
            .filter(|deviation| deviation.is_finite())
            .map(|deviation| format!("± {deviation:.3}")),
        extra: format!("runs: {}\nsamples: {}", summary.runs, summary.samples),
    }
}
