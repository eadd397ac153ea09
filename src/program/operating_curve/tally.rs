//! Counts the gate's verdicts on comparisons with known slowdowns.

use super::rate::Rate;
use crate::analysis::gate::{self, Design, Limits, Overall, Sides, Verdict};
use crate::analysis::metrics::Measure;

/// Seed of all draws, which the page names.
pub(super) const SEED: u64 = 20_261_124;

/// The real slowdown of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Truth {
    /// The measure whose durations grew. Measures that contain it may be reported too.
    pub(super) slowed: Measure,
    /// By this ratio; 0 for no change.
    pub(super) by: f64,
}

impl Truth {
    /// No slowdown.
    pub(super) const NONE: Self = Self {
        slowed: Measure::Decode,
        by: 0.0,
    };

    /// Whether a metric of this measure may have changed.
    pub(super) fn touches(self, measure: Measure) -> bool {
        let of_decode = matches!(
            measure,
            Measure::Decode | Measure::Total | Measure::WorstGap | Measure::GapP90 | Measure::GapP99
        );
        let of_prefill = matches!(measure, Measure::Prefill | Measure::Ttft | Measure::Total);
        self.by > 0.0
            && match self.slowed {
                Measure::Decode => of_decode,
                _ => of_prefill,
            }
    }
}

/// The verdicts on comparisons with one slowdown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Tally {
    /// A metric that was slowed was called regressed.
    pub(super) found: Rate,
    /// A metric that was not slowed was called regressed.
    pub(super) false_alarm: Rate,
    /// The verdict on the whole comparison was "cannot tell".
    pub(super) cannot_tell: Rate,
    /// The 95 % interval of a metric with a known change contained that change.
    pub(super) covered: Rate,
}

impl Tally {
    /// Judges one comparison and counts its verdicts.
    pub(super) fn count(&mut self, sides: Vec<Sides>, design: Design, limits: &Limits, truth: Truth) {
        let judged = gate::judge_sides(sides, design, limits);
        let regressed = |touched: bool| {
            judged
                .iter()
                .any(|one| one.verdict == Verdict::Regressed && truth.touches(one.metric.measure) == touched)
        };
        self.found.count(regressed(true));
        self.false_alarm.count(regressed(false));
        self.cannot_tell
            .count(gate::overall(&judged, &[]) == Overall::CannotTell);
        for one in &judged {
            // The change of a total depends on its parts, and tails do not change with the mean alone.
            let is_known = matches!(one.metric.measure, Measure::Ttft | Measure::Decode);
            if let Some(interval) = one.worse_by.filter(|_| is_known) {
                let change = if truth.touches(one.metric.measure) {
                    truth.by
                } else {
                    0.0
                };
                self.covered
                    .count((interval.lower..=interval.upper).contains(&change));
            }
        }
    }
}
