//! Comparisons whose truth is known, counted by what the gate made of them.

use super::rate::Rate;
use crate::analysis::gate::{self, Design, Limits, Overall, Sides, Verdict};
use crate::analysis::metrics::Measure;

/// Seed of all draws; named in the page.
pub(super) const SEED: u64 = 20_261_124;

/// A slowdown that is really there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Truth {
    /// Measure whose durations grew; what contains it may be named too.
    pub(super) slowed: Measure,
    /// By which ratio; 0: nothing changed.
    pub(super) by: f64,
}

impl Truth {
    /// Nothing changed.
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

/// What became of comparisons with one truth.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Tally {
    /// A metric that is really worse was called regressed.
    pub(super) found: Rate,
    /// A metric that is not worse was called regressed.
    pub(super) false_alarm: Rate,
    /// The whole was "cannot tell".
    pub(super) cannot_tell: Rate,
    /// The 95 % interval of a metric whose change is known held it.
    pub(super) covered: Rate,
}

impl Tally {
    /// Judges one comparison.
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
            // How much a total changes depends on its parts, and tails change with more than the mean.
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
