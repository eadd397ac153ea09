//! Names, figures and ratios as the cells of a table, and the legend below it.

use crate::analysis::compare::{Cell, Ratio, Row};
use crate::report::numbers::value;

/// How the best is marked.
const BEST: &str = "*";
pub(super) const LEGEND: &str = "each figure is a geometric mean; after x the ratio to the first subject that has the suite, with its own \
    95 % interval; * marks the best and those not distinguishable from it";

/// The row's name within its suite.
pub(super) fn id(row: &Row) -> String {
    match &row.prompt {
        Some(prompt) => format!("{}/{prompt}", row.measure.name()),
        None => row.measure.name().to_owned(),
    }
}

/// A value with the mark of the best: `12.50 *`.
pub(super) fn figure(cell: &Cell) -> String {
    let mark = if cell.best {
        format!(" {BEST}")
    } else {
        String::new()
    };
    format!("{}{mark}", value(cell.value))
}

/// A ratio with its interval: `x0.874 [0.861, 0.887]`.
pub(super) fn factor(ratio: &Ratio) -> String {
    match ratio.interval {
        Some(interval) => format!(
            "x{} [{}, {}]",
            value(ratio.estimate),
            value(interval.lower),
            value(interval.upper)
        ),
        None => format!("x{}", value(ratio.estimate)),
    }
}
