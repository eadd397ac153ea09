//! The summary of one model over all its prompts.

use super::table::show;
use crate::analysis::summary::{Requests, Spread, Summary, Tokens};
use crate::base::layout::folded_to;
use crate::report::conditions;
use crate::report::grid::Grid;

/// Counts, and the spread of the figures over all samples.
pub(super) fn text(summary: &Summary, width: u16) -> String {
    let header = ["over all prompts", "average", "median", "minimum", "maximum"];
    let mut table = Grid::new(header, 1..5);
    for (name, spread) in [
        ("TTFT ms", summary.ttft_ms),
        ("total ms", summary.total_ms),
        ("prefill tok/s", summary.prefill_tok_per_s),
        ("decode tok/s", summary.decode_tok_per_s),
        ("memory MB", summary.peak_memory_mb),
    ] {
        table.row(row(name, spread));
    }
    let meanings = conditions::meanings(summary).map(|meaning| folded_to(width, &meaning));
    format!(
        "{}{}\n{}\n{}{}",
        table.fitted(width),
        requests(summary.requests),
        tokens(summary.tokens),
        folded_to(width, &conditions::marked(summary)),
        meanings.collect::<String>()
    )
}

fn row(name: &str, spread: Option<Spread>) -> [String; 5] {
    let of = |value: fn(Spread) -> f64| show(spread.map(value));
    [
        name.to_owned(),
        of(|spread| spread.average),
        of(|spread| spread.median),
        of(|spread| spread.minimum),
        of(|spread| spread.maximum),
    ]
}

fn requests(requests: Requests) -> String {
    format!(
        "requests: {} = {} successful + {} failed",
        requests.total, requests.successful, requests.failed
    )
}

fn tokens(tokens: Tokens) -> String {
    match tokens.input.zip(tokens.total()) {
        Some((input, total)) => format!("tokens: {total} = {input} in + {} out", total - input),
        None => match (tokens.input, tokens.output) {
            (_, Some(output)) => format!("tokens: {output} out; those of the prompts are unknown"),
            (Some(input), None) => format!("tokens: {input} in; those of the answers are unknown"),
            (None, None) => "tokens: unknown".into(),
        },
    }
}
