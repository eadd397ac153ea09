//! The array that github-action-benchmark reads with `tool: customSmallerIsBetter`. Its entries have `name`, `unit`,
//! `value`, and optionally `range` and `extra` (its src/extract.ts, `BenchmarkResult`). In one file smaller is always
//! better, so rates become times.

use serde::Serialize;

use super::{Summary, summaries};
use crate::analysis::metrics::Worse;
use crate::record::RunRecord;

const MS_PER_S: f64 = 1e3;

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

/// All metrics, for `tool: customSmallerIsBetter`: a rate in tok/s is given as its reciprocal, ms a token.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "keys are text and nothing is written but memory"
)]
pub fn github_action_benchmark(runs: &[RunRecord]) -> String {
    let entries: Vec<Entry> = summaries(runs).iter().map(entry).collect();
    crate::base::json::pretty(&entries).expect("entries are JSON") + "\n"
}

fn entry(summary: &Summary) -> Entry {
    // A reciprocal has the same deviation of logarithms.
    let (value, unit) = match summary.metric.measure.worse() {
        Worse::Lower => (MS_PER_S / summary.value, "ms/token"),
        Worse::Higher => (summary.value, summary.metric.measure.unit()),
    };
    let deviation = summary.deviation.map(|deviation| deviation * value);
    Entry {
        name: summary.metric.to_string(),
        unit,
        value,
        range: deviation
            .filter(|deviation| deviation.is_finite())
            .map(|deviation| format!("± {deviation:.3}")),
        extra: format!("runs: {}\nsamples: {}", summary.runs, summary.samples),
    }
}
