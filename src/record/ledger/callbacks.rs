//! Marks for odd callbacks.

use super::verdict::Mark;
use crate::base::number::ms;
use crate::inference::{Inference, TokenEvent};

/// A callback with the previous token's id is a repetition if the gap is below this share of the run's median gap. No
/// token is computed that much faster than another.
pub const REPEATED_GAP_RATIO: f64 = 0.02;

/// Marks odd callbacks.
pub(super) fn judge(inference: &Inference, marks: &mut Vec<Mark>) {
    // Chunks of a server have no ids and may arrive in bursts.
    let has_ids = inference.stream.is_none();
    let callbacks = repeated_callbacks(&inference.tokens);
    if has_ids && callbacks > 0 {
        marks.push(Mark::RepeatedCallback { callbacks });
    }
    if inference.split_characters > 0 {
        let tokens = inference.split_characters;
        marks.push(Mark::SplitText { tokens });
    }
    if inference.other_thread > 0 {
        let callbacks = inference.other_thread;
        marks.push(Mark::OtherThread { callbacks });
    }
}

/// Number of callbacks that repeat the previous token. Stamps are in order.
fn repeated_callbacks(tokens: &[TokenEvent]) -> usize {
    let gaps = || tokens.windows(2).map(|pair| pair[1].at_ns - pair[0].at_ns);
    let mut sorted: Vec<u64> = gaps().collect();
    sorted.sort_unstable();
    let Some(median) = sorted.get(sorted.len() / 2) else {
        return 0;
    };
    let soon = ms(*median) * REPEATED_GAP_RATIO;
    let again = tokens.windows(2).map(|pair| pair[1].id == pair[0].id);
    again
        .zip(gaps())
        .filter(|(again, gap)| *again && ms(*gap) < soon)
        .count()
}
