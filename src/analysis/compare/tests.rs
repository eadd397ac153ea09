//! Comparisons of runs whose figures are known.

use super::*;
use crate::analysis::metrics::Measure;
use crate::record::{ModelRecord, fixtures};
use crate::runtime::engine::scripted;

const MS: u64 = 1_000_000;

/// A run of model `m`: TTFT in ms, each sample of ten tokens 10 ms apart.
fn run(id: &str, ttft_ms: &[u64]) -> RunRecord {
    let samples: Vec<_> = ttft_ms.iter().map(|ms| (ms * MS, 10 * MS)).collect();
    fixtures::run(id, &samples)
}

/// A run of several models, with these TTFTs each.
fn models(of_models: &[(&str, &[u64])]) -> RunRecord {
    let models = of_models.iter().map(|(name, ttft_ms)| ModelRecord {
        name: (*name).to_owned(),
        ..run("r", ttft_ms).models.remove(0)
    });
    RunRecord {
        models: models.collect(),
        ..run("r", &[1])
    }
}

fn source(name: &str, runs: Vec<RunRecord>) -> Source {
    Source {
        name: name.into(),
        runs,
    }
}

#[track_caller]
fn row<'a>(comparison: &'a Comparison, measure: Measure, prompt: Option<&str>) -> &'a Row {
    let mut rows = comparison.suites.iter().flat_map(|suite| &suite.rows);
    rows.find(|row| row.measure == measure && row.prompt.as_deref() == prompt)
        .expect("a row")
}

fn ratio(row: &Row, subject: usize) -> Ratio {
    row.cells[subject].expect("a value").ratio.expect("a ratio")
}

#[track_caller]
fn assert_near(value: f64, expected: f64) {
    assert!((value / expected - 1.0).abs() < 1e-8, "{value}, not {expected}");
}

fn best(row: &Row) -> Vec<bool> {
    row.cells
        .iter()
        .map(|cell| cell.is_some_and(|cell| cell.best))
        .collect()
}

/// Intervals: `scipy.stats.ttest_ind(log(b), log(a), equal_var=False).confidence_interval(0.95)`, exponentiated.
#[test]
fn one_run_is_compared_by_the_samples_of_its_process_and_says_so() {
    let comparison = of_run(&models(&[("a", &[50, 51, 52]), ("b", &[99, 100, 103])]));
    let labels: Vec<&str> = comparison
        .subjects
        .iter()
        .map(|subject| subject.label.as_str())
        .collect();
    assert_eq!(labels, ["a", "b"]);
    let ttft = row(&comparison, Measure::Ttft, Some("a"));
    assert_near(ttft.cells[0].expect("a value").value, 50.993_463_214);
    assert_eq!(ttft.cells[0].expect("a value").ratio, None);
    let ratio = ratio(ttft, 1);
    let interval = ratio.interval.expect("an interval");
    assert_near(ratio.estimate, 1.973_829_483);
    assert_near(interval.lower, 1.885_801_890);
    assert_near(interval.upper, 2.065_966_128);
    assert_eq!(interval.over, Over::Samples);
    assert_eq!(best(ttft), [true, false]);
    assert!(
        comparison
            .notes
            .iter()
            .any(|note| note.contains("pairs of them (ab)")),
        "{:?}",
        comparison.notes
    );
    // Loaded once in each: nothing to take an interval of, and nobody is best.
    let load = row(&comparison, Measure::Load, None);
    assert_eq!(
        load.cells[1].expect("a value").ratio.expect("a ratio").interval,
        None
    );
    assert_eq!(best(load), [false, false]);
}

/// As above, over the means of runs.
#[test]
fn several_runs_are_compared_by_runs_whatever_their_samples_do() {
    let of = |name: &str, means: [u64; 3]| {
        let runs = means.iter().enumerate();
        source(
            name,
            runs.map(|(index, ms)| run(&format!("{name}{index}"), &[*ms, *ms]))
                .collect(),
        )
    };
    let comparison = compare(&[of("x", [50, 51, 52]), of("y", [99, 100, 103])]);
    let labels: Vec<&str> = comparison
        .subjects
        .iter()
        .map(|subject| subject.label.as_str())
        .collect();
    assert_eq!(labels, ["m @ x", "m @ y"]);
    let ratio = ratio(row(&comparison, Measure::Ttft, None), 1);
    let interval = ratio.interval.expect("an interval");
    assert_near(interval.lower, 1.885_801_890);
    assert_near(interval.upper, 2.065_966_128);
    assert_eq!(interval.over, Over::Runs);
    assert!(
        !comparison
            .notes
            .iter()
            .any(|note| note.contains("one run a subject"))
    );
}

#[test]
fn a_single_run_beside_several_has_no_interval_and_nobody_is_best() {
    let several = source("x", vec![run("1", &[50, 51]), run("2", &[50, 52])]);
    let comparison = compare(&[several, source("y", vec![run("3", &[99, 98])])]);
    let ttft = row(&comparison, Measure::Ttft, Some("a"));
    assert_eq!(ratio(ttft, 1).interval, None);
    assert_eq!(best(ttft), [false, false]);
}

#[test]
fn those_that_cannot_be_told_from_the_best_are_marked_with_it() {
    let comparison = of_run(&models(&[
        ("a", &[50, 51, 52]),
        ("b", &[50, 52, 52]),
        ("c", &[99, 100, 103]),
    ]));
    assert_eq!(best(row(&comparison, Measure::Ttft, None)), [true, true, false]);
    // A rate is better the higher it is.
    assert_eq!(
        best(row(&comparison, Measure::Prefill, None)),
        [true, true, false]
    );
    let alike = of_run(&models(&[("a", &[50, 51, 52]), ("b", &[50, 52, 52])]));
    assert_eq!(best(row(&alike, Measure::Ttft, None)), [false, false]);
}

#[test]
fn figures_over_prompts_are_of_those_that_all_have() {
    let mut run = models(&[("a", &[50, 50]), ("b", &[50, 50])]);
    // The slow prompt of one model alone would make it look slow.
    let slow = models(&[("a", &[800, 800])]).models.remove(0).prompts.remove(0);
    run.models[0].prompts.push(crate::record::PromptRecord {
        id: "c".into(),
        ..slow
    });
    let comparison = of_run(&run);
    assert_eq!(comparison.suites[0].common_prompts, ["a", "b"]);
    assert_near(
        row(&comparison, Measure::Ttft, None).cells[0]
            .expect("a value")
            .value,
        50.0,
    );
    let own = row(&comparison, Measure::Ttft, Some("c"));
    assert_near(own.cells[0].expect("a value").value, 800.0);
    assert_eq!(own.cells[1], None);
}

#[test]
fn prompts_of_other_input_or_limits_are_not_compared() {
    let mut other = run("2", &[50, 50]);
    other.models[0].prompts[1].max_new_tokens += 1;
    other.suite.sha256 = "11".into();
    let sources = |other: RunRecord| [source("x", vec![run("1", &[50, 50])]), source("y", vec![other])];
    let comparison = compare(&sources(other.clone()));
    assert_eq!(comparison.suites[0].common_prompts, ["a"]);
    assert!(
        !comparison.suites[0]
            .rows
            .iter()
            .any(|row| row.prompt.as_deref() == Some("b"))
    );
    assert!(
        comparison
            .notes
            .contains(&"quick: not compared, since input or limits differ: b".to_owned()),
        "{:?}",
        comparison.notes
    );
    other.models[0].prompts[0].input = crate::inference::Input::Text("another".into());
    assert_eq!(compare(&sources(other)).suites, []);
}

#[test]
fn another_suite_is_another_table() {
    let mut other = run("2", &[70, 70]);
    other.suite.name = "table".into();
    let comparison = compare(&[source("x", vec![run("1", &[50, 50])]), source("y", vec![other])]);
    let suites: Vec<(&str, usize)> = comparison
        .suites
        .iter()
        .map(|suite| (suite.suite.as_str(), suite.reference))
        .collect();
    assert_eq!(suites, [("quick", 0), ("table", 1)]);
    for suite in &comparison.suites {
        assert!(
            suite
                .rows
                .iter()
                .all(|row| row.cells.iter().flatten().all(|cell| cell.ratio.is_none()))
        );
    }
}

#[test]
fn what_differs_is_noted_and_does_not_block() {
    let mut other = run("2", &[50, 50]);
    other.parameters.threads = Some(7);
    other.models[0].prompts[0].prompt_tokens = Some(120);
    if let Some(loaded) = &mut other.models[0].loaded {
        scripted::library(loaded).library.name = "librkllmrt.so".into();
    }
    let comparison = compare(&[source("x", vec![run("1", &[50, 50])]), source("y", vec![other])]);
    for expected in [
        "m @ y differs from m @ x in threads (parameters): 7, there 1",
        "m @ y differs from m @ x in library (runtime): librkllmrt.so, there scripted",
    ] {
        assert!(
            comparison.notes.iter().any(|note| note == expected),
            "{:?}",
            comparison.notes
        );
    }
    assert!(
        comparison
            .notes
            .iter()
            .any(|note| note.contains("different numbers of tokens"))
    );
    assert!(!comparison.suites[0].rows.is_empty());
}

#[test]
fn disturbed_samples_of_a_subject_are_noted() {
    let mut other = run("2", &[50, 50]);
    other.models[0].prompts[1].samples[0].marks = vec![crate::record::ledger::Mark::Throttled];
    let comparison = compare(&[source("x", vec![run("1", &[50, 50])]), source("y", vec![other])]);
    let notes = comparison.notes.iter().filter(|note| note.contains("disturbed"));
    assert_eq!(
        notes.collect::<Vec<_>>(),
        ["m @ y: 1 of 4 samples were disturbed (throttled); --strict takes none of those"]
    );
}

#[test]
fn a_model_without_samples_is_named_and_takes_nothing_from_the_others() {
    let mut run = models(&[("a", &[50, 50]), ("b", &[60, 60]), ("c", &[60, 60])]);
    run.models[0].prompts.clear();
    let comparison = of_run(&run);
    assert_eq!(comparison.suites[0].reference, 1);
    assert_eq!(comparison.suites[0].common_prompts, ["a", "b"]);
    let ttft = row(&comparison, Measure::Ttft, None);
    assert_eq!(ttft.cells[0], None);
    assert_near(ratio(ttft, 2).estimate, 1.0);
    assert!(
        comparison
            .notes
            .contains(&"a: no samples of suite quick".to_owned())
    );
    assert_eq!(compare(&[]).suites, []);
}
