//! What a server does under load, for people.

use crate::analysis::concurrency::{Level, Percentiles};
use crate::base::layout;
use crate::report::grid::Grid;
use crate::report::numbers::value;
use crate::report::words::plain;

/// A table of the levels, at most `width` columns wide.
pub(crate) fn text(levels: &[Level], width: u16) -> String {
    let header = [
        "model",
        "clients",
        "requests",
        "failed",
        "tok/s",
        "req/s",
        "TTFT\np50",
        "TTFT\np90",
        "TTFT\np99",
        "ITL\np50",
        "ITL\np90",
        "ITL\np99",
    ];
    let mut table = Grid::new(header, 1..12);
    for level in levels {
        let counts = [
            plain(&level.model),
            level.clients.to_string(),
            level.requests.to_string(),
            level.failed.to_string(),
        ];
        let rates = [level.tokens_per_second, level.requests_per_second];
        let shown = rates
            .into_iter()
            .chain(parts(level.ttft_ms))
            .chain(parts(level.inter_token_ms));
        table.row(counts.into_iter().chain(shown.map(show)));
    }
    format!(
        "{}{}\n",
        layout::heading(width, "throughput over all clients, and percentiles in ms"),
        table.fitted(width)
    )
}

fn parts(percentiles: Percentiles) -> [Option<f64>; 3] {
    [percentiles.p50, percentiles.p90, percentiles.p99]
}

fn show(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), value)
}
