//! Carries out a plan, and reads every value back.

use super::knob::{Knob, Knobs};
use super::plan::{Plan, Target, Write};
use super::state::StateFile;
use crate::base::error::Result;
use crate::machine::board::{is_near, mhz};

/// The outcome for a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The clock.
    pub(crate) what: String,
    /// Frequency that it should be held at, Hz.
    pub(crate) hz: u64,
    /// The values that did not stick, each with its path; empty if all did.
    pub(crate) faults: Vec<String>,
}

/// Writes the values of `plan`. Each write is recorded in the state file first.
///
/// # Errors
/// If the state file cannot be written; it holds the changes so far.
pub(crate) fn apply(plan: &Plan, knobs: &dyn Knobs, state: &mut StateFile) -> Result<Vec<Held>> {
    let mut all_faults = Vec::new();
    for target in &plan.targets {
        let mut faults = Vec::new();
        for write in &target.writes {
            state.remember(write)?;
            let path = write.node.path(write.knob);
            let refused = knobs.write(&path, &write.to).err();
            let refused = refused.map(|error| format!("/{path}: {} was refused: {error}", write.to));
            let Some(fault) = refused.or_else(|| fault_of(write, knobs)) else {
                continue;
            };
            faults.push(fault);
            if write.knob == Knob::Governor {
                break; // under another governor nothing holds what would come next
            }
        }
        all_faults.push(faults);
    }
    // After all writes: a write for one clock may change another.
    let held = plan.targets.iter().zip(all_faults);
    Ok(held
        .map(|(target, mut faults)| {
            for write in &target.writes {
                faults.extend(fault_of(write, knobs).filter(|_| faults.is_empty()));
            }
            faults.extend(current_fault(target, knobs).filter(|_| faults.is_empty()));
            Held {
                what: target.what.clone(),
                hz: target.hz,
                faults,
            }
        })
        .collect())
}

/// The fault if a file does not hold the written value.
fn fault_of(write: &Write, knobs: &dyn Knobs) -> Option<String> {
    let path = write.node.path(write.knob);
    let Some(got) = knobs.read(&path) else {
        return Some(format!("/{path}: cannot be read back"));
    };
    let same = got == write.to
        || write.knob != Knob::Governor
            && got
                .parse()
                .ok()
                .zip(write.to.parse().ok())
                .is_some_and(|(got, wanted)| is_near(got, wanted));
    (!same).then(|| format!("/{path}: {} was written, but {got} was read back", write.to))
}

/// The fault if a clock runs at another frequency, whatever its files say.
fn current_fault(target: &Target, knobs: &dyn Knobs) -> Option<String> {
    let path = target.node.current();
    let got_hz = knobs
        .read(&path)
        .filter(|_| target.shows_current)?
        .parse::<u64>()
        .ok()?
        .checked_mul(target.node.unit_hz())?;
    (!is_near(got_hz, target.hz)).then(|| {
        format!(
            "/{path}: it runs at {} instead of {}",
            mhz(got_hz),
            mhz(target.hz)
        )
    })
}
