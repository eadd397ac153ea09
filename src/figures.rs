//! The figures of a prompt, from its samples.

use crate::record::PromptRecord;

/// Medians over the samples of one prompt; absent where there is nothing to take one of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Time to the first token, ms.
    pub ttft_ms: Option<f64>,
    /// Prompt tokens a second of prefill.
    pub prefill_tok_per_s: Option<f64>,
    /// Tokens a second after the first.
    pub decode_tok_per_s: Option<f64>,
}

impl Figures {
    /// Of one prompt.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a run's nanoseconds fit the 52 bits of a float"
    )]
    pub fn of(prompt: &PromptRecord) -> Self {
        let ttft_ns = median(
            prompt
                .samples
                .iter()
                .map(|sample| sample.phases.ttft_ns as f64)
                .collect(),
        );
        let decode_ns = median(
            prompt
                .samples
                .iter()
                .filter_map(|s| s.phases.decode_ns_per_token)
                .collect(),
        );
        let prefill = prompt
            .prompt_tokens
            .zip(ttft_ns)
            .map(|(tokens, ns)| f64::from(tokens) * 1e9 / ns);
        Self {
            ttft_ms: ttft_ns.map(|ns| ns / 1e6),
            prefill_tok_per_s: prefill,
            decode_tok_per_s: decode_ns.map(|ns| 1e9 / ns),
        }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
