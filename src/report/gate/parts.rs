//! The metrics of a verdict, sorted by what a reader looks for first.

use crate::analysis::gate::{Comparison, Judged, Verdict};

/// The metrics, divided into those that a reader looks for and the rest.
pub(super) struct Parts<'a> {
    /// Regressed metrics, then undecided ones, then improved ones.
    pub(super) noteworthy: Vec<&'a Judged>,
    /// Equivalent or not worse.
    pub(super) rest: Vec<&'a Judged>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(comparison: &'a Comparison) -> Self {
        let (mut noteworthy, rest): (Vec<_>, Vec<_>) = comparison
            .metrics
            .iter()
            .partition(|judged| rank(judged).is_some());
        // Stable: within a rank the metrics stay in their order.
        noteworthy.sort_by_key(|judged| rank(judged));
        Self { noteworthy, rest }
    }
}

const fn rank(judged: &Judged) -> Option<u8> {
    match judged.verdict {
        Verdict::Regressed => Some(0),
        Verdict::CannotTell { .. } => Some(1),
        Verdict::Improved => Some(2),
        Verdict::Equivalent | Verdict::NotWorse => None,
    }
}
