//! The check that needs no entry wherever answers may end by themselves: that they did.

use super::{Outcome, summed_up};
use crate::inference::Finish;
use crate::ledger::Mark;
use crate::record::{PromptRecord, Sample};

pub(super) fn outcome(prompt: &PromptRecord) -> Outcome {
    let findings: Vec<_> = prompt
        .samples
        .iter()
        .map(|sample| {
            let tokens = sample.inference.tokens.len();
            let finding = if is_cut(sample, prompt.max_new_tokens) {
                Err(format!(
                    "cut off after {tokens} tokens, the most that were asked for"
                ))
            } else if sample.inference.finish == Finish::Finished {
                Ok(format!(
                    "ended by itself after {tokens} of at most {} tokens",
                    prompt.max_new_tokens
                ))
            } else {
                Err(format!(
                    "broken off after {tokens} tokens, before the runtime said that it finished"
                ))
            };
            (finding, 1)
        })
        .collect();
    summed_up("not truncated".into(), &findings)
}

/// Whether the limit ended the answer. One that was done with its last token cannot be told from it.
fn is_cut(sample: &Sample, limit: u32) -> bool {
    let marked = sample
        .marks
        .iter()
        .any(|mark| matches!(mark, Mark::ReachedLimit { .. }));
    marked || sample.inference.tokens.len() >= limit as usize
}
