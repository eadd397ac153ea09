//! Figures in the formats of other programs. Each is a pure function of run records. docs/exports.md names the programs
//! that read them.

mod bencher;
mod csv;
mod github_action_benchmark;
mod llama_bench;

use std::collections::BTreeMap;

pub use bencher::bencher;
pub use csv::csv;
pub use github_action_benchmark::github_action_benchmark;
pub use llama_bench::llama_bench_jsonl;

use crate::analysis::metrics::{self, Metric, Prompts};
use crate::base::stats::{RunValue, mean, variance};
use crate::record::RunRecord;

/// A format; the value of `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// For github-action-benchmark with `tool: customSmallerIsBetter`; rates become times
    GithubActionBenchmark,
    /// Bencher Metric Format, for `bencher run --adapter json`
    Bencher,
    /// Rows of `llama-bench -o jsonl`, for llama.cpp's compare-llama-bench.py
    LlamaBenchJsonl,
    /// One row for each sample
    Csv,
}

impl Target {
    /// Whether it combines the runs of a suite into one figure.
    pub const fn aggregates(self) -> bool {
        matches!(self, Self::GithubActionBenchmark | Self::Bencher)
    }

    /// The runs in this format, with a newline at its end. [`llama_bench_jsonl`] uses `commit`.
    pub fn render(self, runs: &[RunRecord], commit: Option<&str>) -> String {
        match self {
            Self::GithubActionBenchmark => github_action_benchmark(runs),
            Self::Bencher => bencher(runs),
            Self::LlamaBenchJsonl => llama_bench_jsonl(runs, commit),
            Self::Csv => csv(runs),
        }
    }
}

/// One metric over all runs that have it.
struct Summary {
    metric: Metric,
    /// Geometric mean over samples and runs.
    value: f64,
    /// Standard deviation of the logarithms: between runs if there are several, else between the samples of one run;
    /// absent for a single value.
    deviation: Option<f64>,
    runs: usize,
    samples: usize,
}

/// The metrics of each model and suite, over the prompts with samples in all its runs.
fn summaries(runs: &[RunRecord]) -> Vec<Summary> {
    let mut scopes = BTreeMap::<(&str, &str), Prompts>::new();
    for run in runs {
        let prompts = metrics::prompts_with_samples(run);
        for model in &run.models {
            let own: Prompts = prompts
                .iter()
                .filter(|(name, _)| *name == model.name)
                .cloned()
                .collect();
            if own.is_empty() {
                continue;
            }
            let scope = scopes.entry((&run.suite.name, &model.name));
            scope.and_modify(|scope| *scope = &*scope & &own).or_insert(own);
        }
    }
    let mut values = BTreeMap::<Metric, Vec<RunValue>>::new();
    for ((suite, _), scope) in &scopes {
        for run in runs.iter().filter(|run| run.suite.name == *suite) {
            for (metric, value) in metrics::of_run(run, scope) {
                if scope.iter().any(|(model, _)| *model == metric.model) {
                    values.entry(metric).or_default().push(value);
                }
            }
        }
    }
    values.retain(|metric, _| {
        let of_suite = runs.iter().filter(|run| run.suite.name == metric.suite);
        metrics::carries(metric, of_suite)
    });
    values.into_iter().filter_map(summary).collect()
}

fn summary((metric, values): (Metric, Vec<RunValue>)) -> Option<Summary> {
    let means: Vec<f64> = values.iter().map(|run| run.mean).collect();
    let between = variance(&means);
    let within = values.first().and_then(|run| run.within);
    let value = mean(&means)?.exp();
    value.is_finite().then(|| Summary {
        metric,
        value,
        deviation: between.or(within).map(f64::sqrt),
        runs: values.len(),
        samples: values.iter().map(|run| run.samples).sum(),
    })
}

#[cfg(test)]
mod tests;
