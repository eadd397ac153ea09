//! What a calibration shows, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::gate::{Fitness, Limits, MOST_RUNS, runs_needed};
use crate::metrics::Measure;

/// Runs a side that have a column.
const COLUMNS: [usize; 4] = [1, 3, 5, 10];

/// The table: for each metric its bound, its deviations, and the smallest bounds that are decided, in percent.
pub(crate) fn table(metrics: &[Fitness]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    let columns = ["metric", "bound", "between", "within"].map(str::to_owned);
    table.set_header(columns.into_iter().chain(COLUMNS.map(runs_a_side)));
    for metric in metrics {
        let deviation = metric.deviation;
        let cells = [
            metric.metric.to_string(),
            percent(metric.limit),
            percent(deviation.between),
            deviation.within.map_or_else(|| "-".into(), percent),
        ];
        let decidable = COLUMNS.map(|runs| metric.decidable(runs).map_or_else(|| "-".into(), percent));
        table.add_row(cells.into_iter().chain(decidable));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let table = table.to_string();
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    format!(
        "deviation between processes and within one, and the smallest bound that is decided with so many runs a side, %\n\
         {}\n",
        lines.join("\n")
    )
}

/// Whether the metrics are fit to be gated, with how many runs, or at which bounds they would be.
pub(crate) fn verdict(metrics: &[Fitness], limits: &Limits) -> String {
    let asked = format!("--max-regression {}%", percent(limits.max_regression));
    if let Some(runs) = runs_needed(metrics) {
        return format!("fit to gate at {asked} with {} or more\n", runs_a_side(runs));
    }
    let mut text = format!("not fit to gate at {asked}: too noisy, with {MOST_RUNS} runs a side too\n");
    for metric in metrics.iter().filter(|metric| !metric.is_decided(MOST_RUNS)) {
        let decidable = metric.decidable(MOST_RUNS).unwrap_or(f64::INFINITY);
        let _ = writeln!(
            text,
            "  {}: its bound is {} %, {} % would be decided",
            metric.metric,
            percent(metric.limit),
            rounded_up(decidable)
        );
    }
    text + &format!("it would be with {}\n", flags_that_do(metrics, limits))
}

/// The flags with which all metrics are decided.
fn flags_that_do(metrics: &[Fitness], limits: &Limits) -> String {
    // By the phase whose bound was given for itself; `None` is the bound of all.
    let mut bounds = BTreeMap::<Option<Measure>, f64>::new();
    for metric in metrics.iter().filter(|metric| !metric.is_decided(MOST_RUNS)) {
        let own = limits.given_for(&metric.metric);
        let bound = bounds.entry(own).or_default();
        *bound = bound.max(metric.decidable(MOST_RUNS).unwrap_or_default());
    }
    let flag = |(measure, bound): (Option<Measure>, f64)| match measure {
        None => format!("--max-regression {}%", rounded_up(bound)),
        Some(measure) => format!("--per-phase {}={}%", measure.name(), rounded_up(bound)),
    };
    bounds.into_iter().map(flag).collect::<Vec<_>>().join(" ")
}

fn runs_a_side(runs: usize) -> String {
    format!("{runs} run{}", if runs == 1 { "" } else { "s" })
}

/// A ratio in percent, without needless zeroes.
fn percent(ratio: f64) -> String {
    let text = format!("{:.2}", ratio * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A bound in percent that lies above: who gives it back has it decided.
fn rounded_up(ratio: f64) -> String {
    percent((ratio * 1000.0).ceil() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate;
    use crate::record::{RunRecord, fixtures};

    /// What is said of runs whose TTFT differs as given, in microseconds.
    fn said(ttft_us: &[u64], limits: &Limits) -> (String, String) {
        let run = |us: &u64| fixtures::run("run", &[(us * 1000, 10_000_000); 2]);
        let runs: Vec<RunRecord> = ttft_us.iter().map(run).collect();
        let metrics = gate::fitness(&runs.iter().collect::<Vec<_>>(), limits);
        (table(&metrics), verdict(&metrics, limits))
    }

    #[test]
    fn steady_runs_are_fit_and_the_table_says_from_which_bound_on() {
        let (table, verdict) = said(&[50_000, 50_100, 50_050, 49_990, 50_020], &Limits::new(0.05));
        assert_eq!(verdict, "fit to gate at --max-regression 5% with 1 run or more\n");
        let row = table.lines().find(|line| line.contains("m/quick/prefill/a"));
        let words: Vec<&str> = row.expect("a row").split_whitespace().collect();
        // By hand: s = 0.0887 %, t = 2.776 and 1.533 with 4 degrees of freedom.
        assert_eq!(
            words,
            [
                "m/quick/prefill/a",
                "5",
                "0.09",
                "0",
                "0.54",
                "0.31",
                "0.24",
                "0.17"
            ]
        );
    }

    #[test]
    fn noisy_runs_are_not_and_the_flags_that_would_do_are_named() {
        let noisy = [50_000, 54_000, 46_000, 51_000];
        let (_, verdict) = said(&noisy, &Limits::new(0.05));
        assert!(
            verdict.starts_with("not fit to gate at --max-regression 5%"),
            "{verdict}"
        );
        assert!(
            verdict.contains("m/quick/prefill/b: its bound is 5 %"),
            "{verdict}"
        );
        let flag = |verdict: &str| {
            let last = verdict.lines().last().expect("a line").to_owned();
            last.strip_prefix("it would be with ").expect("flags").to_owned()
        };
        let flags = flag(&verdict);
        let bound: gate::Percent = flags
            .strip_prefix("--max-regression ")
            .expect(&flags)
            .parse()
            .expect("%");
        let (_, verdict) = said(&noisy, &Limits::new(bound.0));
        assert!(verdict.starts_with("fit"), "{verdict}");

        let mut limits = Limits::new(bound.0);
        limits.per_phase.insert(Measure::Ttft, Some(0.01));
        let (_, verdict) = said(&noisy, &limits);
        assert!(flag(&verdict).starts_with("--per-phase ttft="), "{verdict}");
    }
}
