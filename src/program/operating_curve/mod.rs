//! Measures how often the gate is right, on comparisons with known slowdowns.
//!
//! There are two kinds of comparisons. Real ones are drawn from a pool of recorded processes, some of them with a
//! known slowdown. Simulated ones have the pool's variation. The results are docs/operating-curve.md and its plot.

mod criterion;
mod page;
mod plot;
mod pool;
mod rate;
mod real;
mod simulated;
mod tally;

use std::path::Path;

pub(crate) use criterion::serve_if_criterion;
pub(crate) use pool::Pool;

use crate::base::atomic::{self, Existing};
use crate::base::error::Result;

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

/// Numbers of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Comparisons drawn from the pool's unchanged pairs. A fifth of this number is drawn with each slowdown.
    pub(crate) drawn: usize,
    /// Simulated comparisons of each point.
    pub(crate) simulated: usize,
}
