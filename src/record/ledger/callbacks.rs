//! What is odd about the callbacks of a run.

use super::verdict::Mark;
use crate::base::number::ms;
use crate::inference::{Inference, TokenEvent};

/// A callback with the token of the one before is that token told again when the gap between the two is less than this
/// share of the run's median gap: the computation of one token is not so much shorter than that of another.
pub const REPEATED_GAP_RATIO: f64 = 0.02;

/// What is odd about the callbacks themselves.
pub(super) fn judge(inference: &Inference, marks: &mut Vec<Mark>) {
    // The chunks of a server tell no ids, and may come in bursts.
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

/// Callbacks that tell the token of the one before again. Stamps are in order.
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
