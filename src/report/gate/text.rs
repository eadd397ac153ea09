//! The verdict for a terminal.
//!
//! It has no colours and at most 80 columns, so that a log, a pipe and a terminal show the same.

use super::parts::Parts;
use super::{advice, figures, words};
use crate::analysis::gate::{Absent, Comparison, Difference, Judged};
use crate::base::layout::{WIDTH, folded_to, list, whole};
use crate::report::grid::Grid;
use crate::report::numbers::percent;
use crate::report::words::{counted, plain};

/// With more metrics than this, those that are equivalent or not worse are only counted.
const LONG_TABLE: usize = 30;

/// The verdict as lines of at most 80 columns.
pub fn text(comparison: &Comparison) -> String {
    text_within(comparison, WIDTH)
}

/// The same, of at most `width` columns.
pub(crate) fn text_within(comparison: &Comparison, width: u16) -> String {
    let list = |title: &str, items: &[String]| list(width, title, items);
    let verdict = folded_to(width, &words::verdict(comparison));
    let mut sections = vec![verdict + &folded_to(width, &words::design(comparison.design))];
    sections.push(list("disturbed", &advice::disturbed(comparison)));
    let blocking: Vec<String> = words::blocking(comparison).map(blocking).collect();
    sections.push(list("differences", &blocking));
    sections.extend(tables(comparison, width));
    sections.push(list("cannot tell", &advice::lines(comparison)));
    let absent: Vec<String> = comparison.absent.iter().map(absent).collect();
    sections.push(list("absent", &absent));
    let experiment: Vec<String> = words::experiment(comparison).map(words::difference).collect();
    sections.push(list("the experiment (--allow)", &experiment));
    let notes: Vec<String> = comparison.notes.iter().map(|note| plain(note)).collect();
    sections.push(list("notes", &notes));
    if !comparison.metrics.is_empty() {
        sections.push(folded_to(width, &words::legend(comparison)));
    }
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn blocking(difference: &Difference) -> String {
    format!(
        "{} (--allow {})",
        words::difference(difference),
        difference.aspect.name()
    )
}

fn absent(absent: &Absent) -> String {
    format!("{}: {}", whole(&plain(&absent.id)), plain(&absent.reason))
}

/// The metrics under their model and suite, the most important first.
fn tables(comparison: &Comparison, width: u16) -> Vec<String> {
    let Parts { noteworthy, rest } = Parts::of(comparison);
    let is_long = comparison.metrics.len() > LONG_TABLE;
    let mut shown = noteworthy;
    if !is_long {
        shown.extend(&rest);
    }
    let of_one = |a: &&Judged, b: &&Judged| heading(a) == heading(b);
    let tables = shown.chunk_by(of_one).map(|metrics| table(metrics, width));
    let mut sections: Vec<String> = tables.collect();
    if is_long && !rest.is_empty() {
        let and = if sections.is_empty() { "" } else { "and " };
        sections.push(format!(
            "{and}{} equivalent or not worse\n",
            counted(rest.len(), "metric")
        ));
    }
    sections
}

fn heading(judged: &Judged) -> (&str, &str) {
    (&judged.metric.model, &judged.metric.suite)
}

/// Metrics of one model and suite under their common name.
fn table(metrics: &[&Judged], width: u16) -> String {
    let header = ["metric", "baseline → candidate", "worse by", "bound", "verdict"];
    let mut table = Grid::new(header, 3..4);
    for judged in metrics {
        table.row(row(judged));
    }
    let name = metrics.first().map(|judged| {
        let (model, suite) = heading(judged);
        format!("{}/{}", plain(model), plain(suite))
    });
    folded_to(width, &whole(&name.unwrap_or_default())) + &table.fitted(width)
}

fn row(judged: &Judged) -> [String; 5] {
    let measure = judged.metric.measure.name();
    let id = match &judged.metric.prompt {
        Some(prompt) => format!("{measure}/{}", plain(prompt)),
        None => measure.to_owned(),
    };
    [
        id,
        words::values(judged),
        figures::worse_by(judged),
        percent(judged.limit) + " %",
        judged.verdict.name().to_owned(),
    ]
}
