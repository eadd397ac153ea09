//! The verdict as a `JUnit` report: a test suite for each model and suite, a test case for each metric.
//!
//! Without times and without an identifier of the report: neither is a fact of the comparison.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::words;
use crate::analysis::gate::{Absent, Comparison, Judged, Overall, Verdict};
use crate::report::words::plain;

/// Name of the report, and of the suite of what belongs to no model.
const NAME: &str = "rkllm-bench gate";

/// The verdict as `JUnit` XML.
///
/// Regressions are failures. Undecided and absent metrics and sides that are not comparable are errors.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "nothing is written but memory"
)]
pub fn junit(comparison: &Comparison) -> String {
    let mut suites = Suites::default();
    for judged in &comparison.metrics {
        let metric = &judged.metric;
        suites.add(&metric.model, &metric.suite, of_metric(judged));
    }
    for absent in &comparison.absent {
        let mut parts = absent.id.split('/');
        let (model, suite) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        suites.add(model, suite, of_absent(absent));
    }
    let mut report = Report::new(NAME);
    let all = of_whole(comparison).into_iter().chain(suites.0.into_values());
    report.add_test_suites(all.map(|suite| with_properties(suite, comparison)));
    report.to_string().expect("a report is XML")
}

/// Test suites by model and suite.
#[derive(Default)]
struct Suites(BTreeMap<(String, String), TestSuite>);

impl Suites {
    fn add(&mut self, model: &str, suite: &str, mut case: TestCase) {
        let (model, suite) = (plain(model), plain(suite));
        case.set_classname(format!("{model}.{suite}"));
        let name = format!("{model}/{suite}");
        self.0
            .entry((model, suite))
            .or_insert_with(|| TestSuite::new(name))
            .add_test_case(case);
    }
}

fn of_metric(judged: &Judged) -> TestCase {
    let line = plain(&words::numbers(judged));
    let status = match judged.verdict {
        Verdict::Regressed => failing(NonSuccessKind::Failure, "regression", &line),
        Verdict::CannotTell { .. } => failing(NonSuccessKind::Error, "cannot_tell", &line),
        Verdict::Improved | Verdict::Equivalent | Verdict::NotWorse => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(plain(&judged.id), status);
    case.set_system_out(format!("{}: {line}", judged.verdict.name()));
    case
}

fn of_absent(absent: &Absent) -> TestCase {
    let status = failing(NonSuccessKind::Error, "absent", &plain(&absent.reason));
    TestCase::new(plain(&absent.id), status)
}

/// A problem of the whole comparison that no metric shows. A report without any failure would count as a pass.
fn of_whole(comparison: &Comparison) -> Option<TestSuite> {
    let (name, kind) = match comparison.overall {
        Overall::NotComparable => ("comparable", "not_comparable"),
        Overall::CannotTell if comparison.metrics.is_empty() => ("metrics", "cannot_tell"),
        _ => return None,
    };
    let mut status = failing(NonSuccessKind::Error, kind, &words::verdict(comparison));
    let differences: Vec<String> = words::blocking(comparison).map(words::difference).collect();
    status.set_description(differences.join("\n"));
    let mut case = TestCase::new(name, status);
    case.set_classname(NAME);
    let mut suite = TestSuite::new(NAME);
    suite.add_test_case(case);
    Some(suite)
}

fn failing(kind: NonSuccessKind, ty: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty).set_message(message);
    status
}

/// Adds the design of the comparison and the permitted differences.
fn with_properties(mut suite: TestSuite, comparison: &Comparison) -> TestSuite {
    suite.add_property(Property::new("runs", words::design(comparison.design)));
    for difference in words::experiment(comparison) {
        let name = format!("allowed {}", difference.aspect.name());
        suite.add_property(Property::new(name, words::difference(difference)));
    }
    for note in &comparison.notes {
        suite.add_property(Property::new("note", plain(note)));
    }
    suite
}
