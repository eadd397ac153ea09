//! A calibration's result, for people.

use std::collections::BTreeMap;

use super::conditions;
use super::grid::Grid;
use super::numbers::{bound_above, percent};
use super::words::plain;
use crate::analysis::gate::{Fitness, Limits, MOST_RUNS, runs_needed};
use crate::analysis::metrics::Measure;
use crate::analysis::summary::Disturbance;
use crate::base::layout::{folded_to, list, whole};

/// Numbers of runs a side with a column each.
const COLUMNS: [usize; 4] = [1, 3, 5, 10];
const TITLE: &str = "deviation between processes and within one, and the smallest bound that is decided with this number of \
    runs a side, %";

/// The tables: for each metric its bound, its deviations, and the smallest bounds that are decided, in percent.
pub(crate) fn table(metrics: &[Fitness], width: u16) -> String {
    let of_one = |a: &Fitness, b: &Fitness| heading(a) == heading(b);
    let tables = metrics
        .chunk_by(of_one)
        .map(|metrics| "\n".to_owned() + &of_suite(metrics, width));
    folded_to(width, TITLE) + &tables.collect::<String>()
}

fn heading(metric: &Fitness) -> (&str, &str) {
    (&metric.metric.model, &metric.metric.suite)
}

/// The metrics of one model and suite, under their common name.
fn of_suite(metrics: &[Fitness], width: u16) -> String {
    let columns = ["metric", "bound", "between", "within"].map(str::to_owned);
    let header = columns
        .into_iter()
        .chain(COLUMNS.map(|runs| runs_a_side(runs).replace(' ', "\n")));
    let mut table = Grid::new(header, 1..8);
    for metric in metrics {
        let deviation = metric.deviation;
        let cells = [
            name(metric),
            percent(metric.limit),
            percent(deviation.between),
            deviation.within.map_or_else(|| "-".into(), percent),
        ];
        let decidable = COLUMNS.map(|runs| metric.decidable(runs).map_or_else(|| "-".into(), bound));
        table.row(cells.into_iter().chain(decidable));
    }
    let heading = metrics.first().map(|metric| {
        let (model, suite) = heading(metric);
        format!("{}/{}", plain(model), plain(suite))
    });
    folded_to(width, &whole(&heading.unwrap_or_default())) + &table.fitted(width)
}

/// The metric's name below its model and suite.
fn name(metric: &Fitness) -> String {
    let measure = metric.metric.measure.name();
    match &metric.metric.prompt {
        Some(prompt) => format!("{measure}/{}", plain(prompt)),
        None => measure.to_owned(),
    }
}

/// A bound in percent; `>100` if a gate could not use it.
fn bound(ratio: f64) -> String {
    if ratio > 1.0 {
        ">100".to_owned()
    } else {
        percent(ratio)
    }
}

/// Whether the metrics are fit for a gate, and with how many runs, or else at which bounds they would be.
pub(crate) fn verdict(metrics: &[Fitness], limits: &Limits, disturbance: &Disturbance, width: u16) -> String {
    let asked = format!("--max-regression {}%", percent(limits.max_regression));
    let first = if disturbance.is_most() {
        folded_to(width, &conditions::advice(disturbance))
    } else {
        String::new()
    };
    if let Some(runs) = runs_needed(metrics) {
        let fit = format!("fit to gate at {asked} with {} or more", runs_a_side(runs));
        return first + &folded_to(width, &fit);
    }
    let undecided = || metrics.iter().filter(|metric| !metric.is_decided(MOST_RUNS));
    let items: Vec<String> = undecided().map(item).collect();
    let title = format!("not fit to gate at {asked}: too noisy, with {MOST_RUNS} runs a side too");
    let text = list(width, &title, &items);
    let what_helps = if disturbance.is_most() {
        String::new()
    } else {
        let flags = flags_that_do(metrics, limits);
        let flags = flags.map(|flags| format!("it would be with {}", whole(&flags)));
        flags.map_or_else(String::new, |flags| folded_to(width, &flags)) + &folded_to(width, &against_noise())
    };
    first + &text + &what_helps
}

fn against_noise() -> String {
    format!("{}, or {}", conditions::against_noise(), conditions::in_turns())
}

/// An undecided metric, and the bound that would be decided.
fn item(metric: &Fitness) -> String {
    let would = match metric.decidable(MOST_RUNS).and_then(bound_above) {
        Some(bound) => format!("{} % would be decided", percent(bound)),
        None => "no sane bound would be decided".to_owned(),
    };
    format!(
        "{}: its bound is {} %, {would}",
        whole(&plain(&metric.metric.to_string())),
        percent(metric.limit)
    )
}

/// The flags with which all metrics are decided. They leave out metrics that no sensible bound decides; absent if none
/// would be left.
fn flags_that_do(metrics: &[Fitness], limits: &Limits) -> Option<String> {
    let mut bounds = BTreeMap::<Measure, Option<f64>>::new();
    for metric in metrics.iter().filter(|metric| !metric.is_decided(MOST_RUNS)) {
        let own = metric.decidable(MOST_RUNS).and_then(bound_above);
        for measure in limits.names_of(&metric.metric) {
            let bound = bounds.entry(measure).or_insert(own);
            *bound = bound.zip(own).map(|(one, other)| one.max(other));
        }
    }
    let is_off = |metric: &Fitness| bounds.get(&metric.metric.measure) == Some(&None);
    if metrics.iter().all(is_off) {
        return None;
    }
    let phase = |(measure, bound): (&Measure, &Option<f64>)| match bound {
        Some(bound) => format!("{}={}%", measure.name(), percent(*bound)),
        None => format!("{}=off", measure.name()),
    };
    let phases: Vec<String> = bounds.iter().map(phase).collect();
    Some(format!("--per-phase {}", phases.join(",")))
}

fn runs_a_side(runs: usize) -> String {
    format!("{runs} run{}", if runs == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::gate;
    use crate::record::{RunRecord, fixtures};
    use crate::report::WIDTH;

    /// What is said of runs whose TTFT differs as given, in microseconds.
    fn said(ttft_us: &[u64], limits: &Limits) -> (String, String) {
        let metrics = fitness(ttft_us, limits);
        let calm = Disturbance::default();
        (table(&metrics, WIDTH), verdict(&metrics, limits, &calm, WIDTH))
    }

    fn fitness(ttft_us: &[u64], limits: &Limits) -> Vec<Fitness> {
        let run = |us: &u64| fixtures::run("run", &[(us * 1000, 10_000_000); 2]);
        let runs: Vec<RunRecord> = ttft_us.iter().map(run).collect();
        gate::fitness(&runs.iter().collect::<Vec<_>>(), limits)
    }

    /// The limits with the flags that are proposed.
    fn with_flags(verdict: &str, limits: &Limits) -> Limits {
        let (_, flags) = verdict.split_once("--per-phase ").expect(verdict);
        let mut limits = limits.clone();
        for phase in flags.split_whitespace().next().expect("flags").split(',') {
            let phase: gate::PerPhase = phase.parse().expect("a phase and its bound");
            limits.per_phase.insert(phase.measure, phase.limit);
        }
        limits
    }

    #[test]
    fn steady_runs_are_fit_and_the_table_says_from_which_bound_on() {
        let (table, verdict) = said(&[50_000, 50_100, 50_050, 49_990, 50_020], &Limits::new(0.05));
        assert_eq!(verdict, "fit to gate at --max-regression 5% with 1 run or more\n");
        assert!(table.contains("\nm/quick\n"), "{table}");
        let row = table.lines().find(|line| line.starts_with("prefill/a"));
        let words: Vec<&str> = row.expect("a row").split_whitespace().collect();
        // By hand: s = 0.0887 %, t = 2.776 and 1.533 with 4 degrees of freedom.
        assert_eq!(
            words,
            ["prefill/a", "5", "0.09", "0", "0.54", "0.31", "0.24", "0.17"]
        );
    }

    #[test]
    fn noisy_runs_are_not_and_the_flags_that_would_do_are_named() {
        let noisy = [50_000, 54_000, 46_000, 51_000];
        let limits = Limits::new(0.05);
        let (_, verdict) = said(&noisy, &limits);
        assert!(
            verdict.starts_with("not fit to gate at --max-regression 5%"),
            "{verdict}"
        );
        assert!(
            verdict.contains("m/quick/prefill/b: its bound is 5 %"),
            "{verdict}"
        );
        let (_, verdict) = said(&noisy, &with_flags(&verdict, &limits));
        assert!(verdict.starts_with("fit"), "{verdict}");

        let mut limits = Limits::new(0.5);
        limits.per_phase.insert(Measure::Ttft, Some(0.01));
        let (_, verdict) = said(&noisy, &limits);
        assert!(
            verdict.contains("it would be with --per-phase prefill=") && verdict.contains(",ttft="),
            "{verdict}"
        );
    }

    #[test]
    fn what_no_sane_bound_decides_is_left_out() {
        let limits = Limits::new(0.05);
        let wild = [50_000, 90_000, 20_000, 70_000];
        let (table, verdict) = said(&wild, &limits);
        assert!(verdict.contains("prefill=off,total="), "{verdict}");
        assert!(
            !verdict.contains("00 %") && table.contains(">100"),
            "{table}{verdict}"
        );
        let (_, verdict) = said(&wild, &with_flags(&verdict, &limits));
        assert!(verdict.starts_with("fit"), "{verdict}");

        let all: Vec<Fitness> = fitness(&wild, &limits)
            .into_iter()
            .filter(|metric| metric.metric.measure == Measure::Prefill)
            .collect();
        let verdict = super::verdict(&all, &limits, &Disturbance::default(), WIDTH);
        assert!(
            !verdict.contains("it would be") && verdict.contains("what helps"),
            "{verdict}"
        );
    }

    #[test]
    fn disturbed_runs_are_told_first_and_no_bound_is_proposed() {
        let limits = Limits::new(0.05);
        let disturbance = Disturbance {
            samples: 9,
            of: 10,
            kinds: vec!["other_process".into()],
        };
        for (runs, is_fit) in [([50_000, 90_000], false), ([50_000, 50_001], true)] {
            let verdict = super::verdict(&fitness(&runs, &limits), &limits, &disturbance, WIDTH);
            assert!(
                verdict.starts_with("9 of 10 samples were disturbed (other_process)"),
                "{verdict}"
            );
            assert_eq!(verdict.contains("\nfit to gate"), is_fit, "{verdict}");
            assert!(!verdict.contains("--per-phase"), "{verdict}");
        }
    }
}
