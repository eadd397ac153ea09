//! How often the gate is right: its verdicts on comparisons whose truth is known.
//!
//! A gate is trusted when its errors are known. Two kinds of comparisons measure them: real ones, drawn from a pool of
//! recorded processes some of which were slowed down by a known share, and simulated ones with the pool's variation.
//! What comes out is docs/operating-curve.md and its plot.

mod criterion;
mod page;
mod plot;
mod pool;
mod rate;
mod real;
mod simulated;

use std::path::Path;

pub(crate) use criterion::serve_if_criterion;
pub(crate) use pool::Pool;
use rate::Rate;

use crate::analysis::gate::{self, Design, Limits, Overall, Sides, Verdict};
use crate::analysis::metrics::Measure;
use crate::base::atomic::{self, Existing};
use crate::base::error::Result;

/// Seed of all draws; named in the page.
const SEED: u64 = 20_261_124;

/// Judges the pool and writes `operating-curve.md` and `operating-curve.svg` into `folder`.
///
/// # Errors
/// [`Error::Io`] when a file cannot be written; an error of criterion's process.
pub(crate) fn write(pool: &Pool, folder: &Path, pool_name: &str, counts: Counts) -> Result<()> {
    let real = real::judge(pool, counts.drawn)?;
    let simulated = simulated::judge(&simulated::Noise::of(pool), counts.simulated);
    let page = page::page(pool, pool_name, &real, &simulated);
    let file = folder.join("operating-curve.md");
    write_text(&file, &page)?;
    let file = folder.join("operating-curve.svg");
    write_text(&file, &plot::plot(&simulated))
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    atomic::write(path, Existing::Replace, |writer| {
        writer.write_all(text.as_bytes())
    })
}

/// How many comparisons are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Drawn from the pool's unchanged pairs; a fifth of it with each slowdown.
    pub(crate) drawn: usize,
    /// Simulated, of each point.
    pub(crate) simulated: usize,
}

/// A slowdown that is really there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Truth {
    /// Measure whose durations grew; what contains it may be named too.
    slowed: Measure,
    /// By which ratio; 0: nothing changed.
    by: f64,
}

impl Truth {
    /// Nothing changed.
    const NONE: Self = Self {
        slowed: Measure::Decode,
        by: 0.0,
    };

    /// Whether a metric of this measure may have changed.
    fn touches(self, measure: Measure) -> bool {
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
pub(crate) struct Tally {
    /// A metric that is really worse was called regressed.
    found: Rate,
    /// A metric that is not worse was called regressed.
    false_alarm: Rate,
    /// The whole was "cannot tell".
    cannot_tell: Rate,
    /// The 95 % interval of a metric whose change is known held it.
    covered: Rate,
}

impl Tally {
    /// Judges one comparison.
    fn count(&mut self, sides: Vec<Sides>, design: Design, limits: &Limits, truth: Truth) {
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
