//! Bencher Metric Format: a value with bounds for each benchmark and measure
//! (bencher.dev/docs/reference/bencher-metric-format).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Summary, summaries};
use crate::analysis::metrics::Measure;
use crate::record::RunRecord;

/// The format's names of the fields.
#[derive(Serialize)]
struct Metric {
    value: f64,
    /// One standard deviation below; absent for a single value.
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    /// One standard deviation above.
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

/// All metrics. Benchmarks are `model/suite` and `model/suite/prompt`. A measure's name includes its unit, because the
/// format has no field for it.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "keys are text and nothing is written but memory"
)]
pub fn bencher(runs: &[RunRecord]) -> String {
    let mut benchmarks = BTreeMap::<String, BTreeMap<String, Metric>>::new();
    for summary in summaries(runs) {
        let measures = benchmarks.entry(benchmark(&summary)).or_default();
        measures.insert(measure(summary.metric.measure), metric(&summary));
    }
    crate::base::json::pretty(&benchmarks).expect("values are JSON") + "\n"
}

fn benchmark(summary: &Summary) -> String {
    let metric = &summary.metric;
    let name = format!("{}/{}", metric.model, metric.suite);
    let name = match &metric.prompt {
        Some(prompt) => format!("{name}/{prompt}"),
        None => name,
    };
    shortened(name)
}

/// Bencher accepts names of 1,024 bytes; a longer name is truncated and ends in a digest.
fn shortened(name: String) -> String {
    use sha2::{Digest as _, Sha256};
    const LONGEST: usize = 1024;
    const DIGITS: usize = 16;
    if name.len() <= LONGEST {
        return name;
    }
    let digest = hex::encode(Sha256::digest(&name));
    let mut end = LONGEST - DIGITS - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{}", &name[..end], &digest[..DIGITS])
}

/// A slug such as `prefill-tok-per-s`.
fn measure(measure: Measure) -> String {
    let unit = match measure.unit() {
        "tok/s" => "tok-per-s",
        "MB" => "mb",
        unit => unit,
    };
    format!("{}-{unit}", measure.name().replace('_', "-"))
}

fn metric(summary: &Summary) -> Metric {
    let bound = |sign: f64| {
        let bound = summary.value * (sign * summary.deviation?).exp();
        bound.is_finite().then_some(bound)
    };
    Metric {
        value: summary.value,
        lower_value: bound(-1.0),
        upper_value: bound(1.0),
    }
}
