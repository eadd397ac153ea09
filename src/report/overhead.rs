//! What a server adds to its runtime, for people and as JSON.

use std::fmt::Write as _;

use crate::overhead::{Cost, OfPrompt, Overhead};
use crate::report::layout;
use crate::report::numbers::value;
use crate::report::words::plain;

/// Version of the JSON document.
const SCHEMA_VERSION: u32 = 1;

/// Two tables, at most `width` columns wide: the first token, and each after it.
pub(crate) fn text(overhead: &Overhead, width: u16) -> String {
    let ttft = table("TTFT, ms", overhead, |prompt| prompt.ttft, overhead.ttft, width);
    let per_token = table(
        "each token after the first, ms",
        overhead,
        |prompt| prompt.per_token,
        overhead.per_token,
        width,
    );
    let mut text = format!("{ttft}\n{per_token}");
    for prompt in &overhead.prompts {
        if let (Some(direct), Some(server)) = (prompt.direct_tokens, prompt.server_tokens)
            && direct != server
        {
            let _ = writeln!(
                text,
                "{}: the server reads {server} tokens, the runtime {direct}: another chat template is part of what it adds to TTFT",
                prompt.id
            );
        }
    }
    for note in &overhead.notes {
        text += &layout::folded_to(width, &plain(note));
    }
    text
}

fn table(
    title: &str,
    overhead: &Overhead,
    cost: fn(&OfPrompt) -> Option<Cost>,
    all: Option<Cost>,
    width: u16,
) -> String {
    let mut table = layout::table_of(width);
    table.set_header(["prompt", "pairs", "direct", "by the server", "added [95 %]"]);
    let prompts = overhead
        .prompts
        .iter()
        .map(|prompt| (prompt.id.as_str(), cost(prompt)));
    for (name, cost) in prompts.chain([("all", all)]) {
        let cells = cost.map_or_else(
            || ["-"; 4].map(str::to_owned),
            |cost| {
                [
                    cost.pairs.to_string(),
                    value(cost.direct_ms),
                    value(cost.server_ms),
                    format!(
                        "{} [{}, {}]",
                        value(cost.added_ms),
                        value(cost.interval.lower),
                        value(cost.interval.upper)
                    ),
                ]
            },
        );
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    }
    layout::fold_first(&mut table, 8, 1..5);
    format!("{}\n{}", layout::heading(title), layout::lines(&table))
}

/// The JSON document.
pub(crate) fn json(overhead: &Overhead) -> String {
    layout::document("rkllm-bench overhead", SCHEMA_VERSION, overhead)
}
