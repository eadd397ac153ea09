//! The formats on comparisons of known runs and on hostile names.

use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};

use super::*;
use crate::analysis::compare::{Source, compare, of_run};
use crate::record::{ModelRecord, RunRecord, fixtures};

const MS: u64 = 1_000_000;
const HOSTILE: &str = "=a|b\\|c`d``e<b>&amp;\n\u{1b}[31m\u{0}@me #1 *_~[x](y) \" '";

/// A run of `count` models, the second twice as slow to the first token, the third three times, and so on.
fn run(name: &str, count: u64) -> RunRecord {
    let models = (0..count).map(|index| {
        let ttft = |ms: u64| (ms * MS * (index + 1), 10 * MS);
        ModelRecord {
            name: format!("{name}{index}"),
            ..fixtures::run("r", &[ttft(50), ttft(51)]).models.remove(0)
        }
    });
    RunRecord {
        models: models.collect(),
        ..fixtures::run("run-1", &[(MS, MS)])
    }
}

fn all() -> Vec<Comparison> {
    let mut hostile = run(HOSTILE, 3);
    hostile.suite.name = HOSTILE.into();
    for model in &mut hostile.models {
        model.prompts[0].id = HOSTILE.into();
    }
    hostile.models[2].prompts[1].max_new_tokens = 1;
    vec![
        of_run(&run("m", 1)),
        of_run(&run("m", 2)),
        of_run(&run("a-model-of-a-long-name-", 6)),
        of_run(&hostile),
        compare(&[]),
        compare(&[Source {
            name: HOSTILE.into(),
            runs: vec![],
        }]),
    ]
}

#[test]
fn each_format_says_the_same_twice_and_ends_its_last_line() {
    for comparison in all() {
        for format in [Format::Text, Format::Markdown, Format::Csv, Format::Json] {
            let text = format.render(&comparison);
            assert_eq!(text, format.render(&comparison));
            assert!(text.is_empty() || text.ends_with('\n'), "{format:?}: {text:?}");
        }
    }
}

#[test]
fn text_has_80_columns_and_nothing_that_a_terminal_obeys() {
    for comparison in all() {
        let text = text(&comparison);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!text.contains(['\u{1b}', '\0']), "{text:?}");
    }
}

#[test]
fn a_ratio_stands_below_its_value() {
    let text = text(&of_run(&run("m", 2)));
    let start = text.find("ttft/a").expect("a row");
    let lines: Vec<Vec<&str>> = text[start..]
        .lines()
        .take(2)
        .map(|line| line.split_whitespace().collect())
        .collect();
    // sqrt(50 * 51) and twice that. Logarithms are ln(51 / 50) apart on both sides: error ln(51 / 50) / sqrt(2), two
    // degrees of freedom, t 4.302653, so 2 times or by exp(0.060249).
    assert_eq!(lines[0], ["ttft/a", "ms", "50.50", "*", "101.0"]);
    assert_eq!(lines[1], ["x2.000", "[1.883,", "2.124]"], "{text}");
}

#[test]
fn more_subjects_than_fit_are_folded_each_with_the_first() {
    let text = text(&of_run(&run("m", 6)));
    let heads: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("metric"))
        .map(|line| line.split_whitespace().skip(2).collect())
        .collect();
    assert_eq!(
        heads,
        [vec!["#1", "#2", "#3"], vec!["#1", "#4", "#5"], vec!["#1", "#6"]]
    );
    assert!(text.contains("#6 m5, 1 run"), "{text}");
}

#[test]
fn hostile_names_break_no_markdown() {
    for comparison in all() {
        let markdown = markdown(&comparison);
        let mut options = Options::default();
        options.extension.table = true;
        let arena = Arena::new();
        let root = parse_document(&arena, &markdown, &options);
        let (mut rows, mut markup) = (0, 0);
        for node in root.descendants() {
            match &node.data.borrow().value {
                NodeValue::TableRow(false) => {
                    rows += 1;
                    assert_eq!(
                        node.children().count(),
                        2 + comparison.subjects.len(),
                        "{markdown}"
                    );
                }
                NodeValue::Emph | NodeValue::Strong if node.children().count() != 1 => markup += 1,
                NodeValue::Emph | NodeValue::Link(_) | NodeValue::Image(_) => markup += 1,
                _ => (),
            }
        }
        assert_eq!(
            rows,
            comparison
                .suites
                .iter()
                .map(|suite| suite.rows.len())
                .sum::<usize>()
        );
        assert_eq!(markup, 0, "{markdown}");
    }
}

#[test]
fn csv_has_a_row_for_each_value_and_no_formula() {
    for comparison in all() {
        let text = csv(&comparison);
        let values: usize = comparison
            .suites
            .iter()
            .flat_map(|suite| &suite.rows)
            .map(|row| row.cells.iter().flatten().count())
            .sum();
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), values);
        assert!(
            rows.iter()
                .flatten()
                .all(|cell| !cell.starts_with(['=', '+', '-', '@']))
        );
    }
    let text = csv(&of_run(&run("m", 2)));
    let row = text
        .lines()
        .find(|row| row.starts_with("quick,ttft,a,ms,m1,m1,run-1,1,"))
        .expect("a row");
    let cells: Vec<&str> = row.split(',').collect();
    // Value, ratio and interval, as in `a_ratio_stands_below_its_value`.
    let expected = [
        100.995_049_383_620_78,
        2.0,
        1.883_061_624_148_34,
        2.124_200_264_454_49,
    ];
    for (cell, expected) in cells[8..12].iter().zip(expected) {
        let value = cell.parse::<f64>().expect("a number");
        assert!(
            (value / expected - 1.0).abs() < 1e-9,
            "{value}, not {expected}: {row}"
        );
    }
    assert_eq!(cells[12..], ["samples", "false"]);
}

#[test]
fn json_says_what_it_is() {
    let json: serde_json::Value = serde_json::from_str(&json(&of_run(&run("m", 2)))).expect("JSON");
    assert_eq!(json["kind"], "rkllm-bench model comparison");
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["subjects"][1]["label"], "m1");
    assert_eq!(json["suites"][0]["rows"][0]["measure"], "prefill");
    assert_eq!(
        json["suites"][0]["rows"][0]["cells"][0]["ratio"],
        serde_json::Value::Null
    );
}
