//! The overhead that a server adds to its runtime, for people and as JSON.

use crate::analysis::overhead::{Cost, OfPrompt, Overhead};
use crate::base::layout::{self, whole};
use crate::report::grid::Grid;
use crate::report::numbers::value;
use crate::report::words::plain;

/// Version of the JSON document.
const SCHEMA_VERSION: u32 = 1;

/// Two tables of at most `width` columns: the first token, and each further token.
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
            let id = whole(&plain(&prompt.id));
            text += &layout::folded_to(
                width,
                &format!(
                    "{id}: the server reads {server} tokens, the runtime {direct}: another chat template is part of \
                     what it adds to TTFT"
                ),
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
    let header = ["prompt", "pairs", "direct", "by the server", "added [95 %]"];
    let mut table = Grid::new(header, 1..5);
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
        table.row(std::iter::once(plain(name)).chain(cells));
    }
    layout::heading(width, title) + &table.fitted(width)
}

/// The JSON document.
pub(crate) fn json(overhead: &Overhead) -> String {
    layout::document("rkllm-bench overhead", SCHEMA_VERSION, overhead)
}
