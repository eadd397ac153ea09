//! The table of published figures.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Source of the figures, for headings.
pub const SOURCE: &str = "Rockchip rknn-llm 1.3.0, benchmark.md";

/// One published row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The SoC, such as `RK3588`.
    pub soc: String,
    /// Family of the model, in the table's spelling.
    pub model: String,
    /// Number of parameters, in the table's spelling.
    pub size: String,
    /// Quantisation.
    pub dtype: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub new_tokens: u32,
    /// Time to the first token, ms.
    pub ttft_ms: f64,
    /// Tokens a second of decode.
    pub decode_tok_per_s: f64,
    /// Memory, MB. Rockchip's header says that the runtime's figure is `VmHWM`, the peak resident set; whether this
    /// column is the same figure is not stated beside it.
    pub memory_mb: f64,
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} on {}", self.model, self.size, self.dtype, self.soc)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "source")]
    _source: String,
    figures: Vec<Row>,
}

/// All published rows, in the order of their source.
#[expect(
    clippy::expect_used,
    reason = "the file is part of the program, and a test reads it"
)]
pub fn rows() -> &'static [Row] {
    static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
        let document: Document =
            serde_json::from_str(include_str!("rknn-llm-1.3.0.json")).expect("rows of figures");
        document.figures
    });
    &ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_every_row_once() {
        let all: std::collections::BTreeSet<String> = rows().iter().map(ToString::to_string).collect();
        assert_eq!((rows().len(), all.len()), (87, 87));
        for (soc, count) in [("RK3588", 19), ("RK3576", 52), ("RK3562", 4), ("RV1126B", 12)] {
            assert_eq!(rows().iter().filter(|row| row.soc == soc).count(), count, "{soc}");
        }
        for row in rows() {
            assert_eq!((row.prompt_tokens, row.new_tokens), (128, 64), "{row}");
            for figure in [row.ttft_ms, row.decode_tok_per_s, row.memory_mb] {
                assert!(figure.is_finite() && figure > 0.0, "{row}");
            }
        }
    }
}
