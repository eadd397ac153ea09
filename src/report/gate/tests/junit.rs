//! `JUnit` reports against a schema and through the parser of another consumer.

use crate::base::number::Long as _;
use junit_parser::{TestStatus, TestSuites};
use uppsala::XsdValidator;

use super::*;

const XSD: &str = include_str!("../../../../tests/fixtures/junit.xsd");

/// What the schema finds wrong.
fn violations(xml: &str) -> Vec<String> {
    let schema = uppsala::parse(XSD).expect("the schema is XML");
    let schema = XsdValidator::from_schema(&schema).expect("a schema");
    let document = uppsala::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let errors = schema.validate(&document);
    errors.iter().map(ToString::to_string).collect()
}

fn read(xml: &str) -> TestSuites {
    junit_parser::from_reader(xml.as_bytes()).unwrap_or_else(|error| panic!("{error}: {xml}"))
}

/// The outcomes of all cases, by the type that a reader sees.
fn outcomes(suites: &TestSuites) -> Vec<(String, String)> {
    let outcome = |status: &TestStatus| match status {
        TestStatus::Success => "pass".to_owned(),
        TestStatus::Failure(failure) => format!("failure {}", failure.failure_type),
        TestStatus::Error(error) => format!("error {}", error.error_type),
        TestStatus::Skipped(_) => "skipped".to_owned(),
    };
    let cases = suites.suites.iter().flat_map(|suite| &suite.cases);
    cases
        .map(|case| (case.original_name.clone(), outcome(&case.status)))
        .collect()
}

#[test]
fn reports_keep_the_schema() {
    for comparison in all() {
        let xml = junit(&comparison);
        assert_eq!(violations(&xml), Vec::<String>::new(), "{xml}");
    }
}

#[test]
fn the_schema_finds_what_is_wrong() {
    let good = junit(&regression());
    let broken = [
        ("<testcase name=", "<testcase title="),
        (" classname=\"m.quick\"", ""),
        ("<system-out>", "<failure/><failure/><system-out>"),
        ("tests=\"12\"", "tests=\"many\""),
        ("<properties>", "<surprise/><properties>"),
    ];
    for (from, to) in broken {
        assert!(good.contains(from), "{from} is not in {good}");
        assert_ne!(
            violations(&good.replacen(from, to, 1)),
            Vec::<String>::new(),
            "{to}"
        );
    }
}

#[test]
fn counts_and_outcomes_come_back() {
    for comparison in all() {
        let suites = read(&junit(&comparison));
        let outcomes = outcomes(&suites);
        let count = |start: &str| {
            outcomes
                .iter()
                .filter(|(_, outcome)| outcome.starts_with(start))
                .count()
                .long()
        };
        assert_eq!(suites.tests, outcomes.len().long());
        assert_eq!(suites.failures, count("failure"));
        assert_eq!(suites.errors, count("error"));
        let passes = comparison.overall == Overall::NoRegression;
        assert_eq!(
            suites.failures + suites.errors == 0,
            passes,
            "{:?}",
            comparison.overall
        );
        if !comparison.metrics.is_empty() {
            assert_eq!(outcomes.len(), comparison.metrics.len() + comparison.absent.len());
        }
    }
}

#[test]
fn each_verdict_has_its_outcome() {
    let verdicts = [
        (Verdict::Regressed, "failure regression"),
        (Verdict::CannotTell { more: None }, "error cannot_tell"),
        (Verdict::Improved, "pass"),
        (Verdict::Equivalent, "pass"),
        (Verdict::NotWorse, "pass"),
    ];
    for (verdict, expected) in verdicts {
        let comparison = by_hand(Overall::Regression, vec![judged("m", "a", verdict)]);
        let suites = read(&junit(&comparison));
        let case = &suites.suites[0].cases[0];
        assert_eq!(outcomes(&suites), [("m/quick/decode/a".into(), expected.into())]);
        assert_eq!(case.classname.as_deref(), Some("m.quick"));
        assert_eq!(suites.suites[0].name, "m/quick");
        assert_eq!(
            case.system_out,
            Some(format!(
                "{}: 12.50 → 12.10 tok/s, worse by +3.1 % [+2.2, +4.0], bound 5 %",
                verdict.name()
            ))
        );
    }
}

#[test]
fn what_is_absent_is_an_error_beside_its_suite() {
    let outcomes = outcomes(&read(&junit(&absent())));
    assert_eq!(
        outcomes.last(),
        Some(&("m/quick/*/b".into(), "error absent".into()))
    );
}

#[test]
fn sides_that_are_not_comparable_are_one_error_with_the_differences() {
    let suites = read(&junit(&not_comparable()));
    assert_eq!(
        outcomes(&suites),
        [("comparable".into(), "error not_comparable".into())]
    );
    let error = suites.suites[0].cases[0].status.error_as_ref();
    assert_eq!(error.message, "not comparable: the sides differ in parameters");
    assert_eq!(error.text, "max_context: 512 → 512, 8192");
    let properties = &suites.suites[0].properties.vec;
    assert_eq!(
        properties[1],
        (
            "allowed model".into(),
            "m: file: 010101010101… → abababababab…".into()
        )
    );
}

#[test]
fn nothing_to_judge_is_not_a_pass() {
    let suites = read(&junit(&by_hand(Overall::CannotTell, Vec::new())));
    assert_eq!(
        outcomes(&suites),
        [("metrics".into(), "error cannot_tell".into())]
    );
}
