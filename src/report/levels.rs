//! What a server does under load, for people.

use crate::levels::{Level, Percentiles};
use crate::report::layout;
use crate::report::numbers::value;

/// A table of the levels, at most `width` columns wide.
pub(crate) fn text(levels: &[Level], width: u16) -> String {
    let mut table = layout::table_of(width);
    table.set_header([
        "model", "clients", "requests", "failed", "tok/s", "req/s", "TTFT p50", "p90", "p99", "ITL p50",
        "p90", "p99",
    ]);
    for level in levels {
        let counts = [
            level.model.clone(),
            level.clients.to_string(),
            level.requests.to_string(),
            level.failed.to_string(),
        ];
        let rates = [level.tokens_per_second, level.requests_per_second];
        let shown = rates
            .into_iter()
            .chain(parts(level.ttft_ms))
            .chain(parts(level.inter_token_ms));
        table.add_row(counts.into_iter().chain(shown.map(show)));
    }
    layout::fold_first(&mut table, 8, 1..12);
    format!(
        "{}\n{}\n",
        layout::heading("throughput over all clients, and percentiles in ms"),
        layout::lines(&table)
    )
}

fn parts(percentiles: Percentiles) -> [Option<f64>; 3] {
    [percentiles.p50, percentiles.p90, percentiles.p99]
}

fn show(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), value)
}
