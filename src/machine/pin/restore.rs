//! Restores what a pin found.

use super::knob::{Knob, Knobs, Node};
use super::plan::limits_in_order;
use super::state::{Saved, StateFile};
use crate::base::error::Result;
use crate::machine::board::is_near;

/// Writes back the values in `state` and removes its file if all of them stick. Otherwise the rest stays in the file.
///
/// # Errors
/// If the state file can be neither removed nor written.
pub(crate) fn restore(mut state: StateFile, knobs: &dyn Knobs) -> Result<Vec<String>> {
    let saved = state.saved().to_vec();
    let (mut faults, mut left) = (Vec::new(), Vec::new());
    let mut done: Vec<&Node> = Vec::new();
    for entry in &saved {
        if done.contains(&&entry.node) {
            continue;
        }
        done.push(&entry.node);
        let of_node: Vec<&Saved> = saved.iter().filter(|other| other.node == entry.node).collect();
        for (entry, fault) in restore_node(&entry.node, &of_node, knobs) {
            faults.push(fault);
            left.push(entry.clone());
        }
    }
    if left.is_empty() {
        state.remove()?;
    } else {
        state.keep(left)?;
    }
    Ok(faults)
}

/// Restores the files of one folder, and returns those that did not stick.
fn restore_node<'a>(node: &Node, saved: &[&'a Saved], knobs: &dyn Knobs) -> Vec<(&'a Saved, String)> {
    let number = |value: &str| value.parse::<u64>().ok();
    let of = |knob: Knob| saved.iter().find(|entry| entry.knob == knob).copied();
    // The set frequency first: it can be written only under the governor `userspace`, and within the limits of the pin,
    // which include the old ones.
    let mut order: Vec<&Saved> = [Knob::Set, Knob::Governor].into_iter().filter_map(of).collect();
    match (of(Knob::Min), of(Knob::Max)) {
        (Some(min), Some(max)) => {
            let new_min = min.from.as_deref().and_then(number).unwrap_or_default();
            let max_now = knobs.read(&node.path(Knob::Max));
            let max_now = max_now.as_deref().and_then(number).unwrap_or(u64::MAX);
            order.extend(limits_in_order(new_min, max_now, min, max));
        }
        (min, max) => order.extend(min.or(max)),
    }
    let mut faults: Vec<(&Saved, String)> = Vec::new();
    let mut written = Vec::new();
    for entry in order {
        // The governor restores what had no value before.
        let Some(from) = entry.from.as_ref() else { continue };
        let path = node.path(entry.knob);
        if knobs.read(&path).as_ref() == Some(from) {
            continue;
        }
        match knobs.write(&path, from) {
            Ok(()) => written.push((entry, path, from)),
            Err(error) => faults.push((entry, format!("/{path}: {from} was refused: {error}"))),
        }
    }
    for (entry, path, from) in written {
        let got = knobs.read(&path);
        let same = got.as_ref() == Some(from)
            || got
                .as_deref()
                .and_then(number)
                .zip(number(from))
                .is_some_and(|(got, wanted)| is_near(got, wanted));
        let is_gone = entry.knob == Knob::Set && is_without_effect(node, knobs);
        if !same && !is_gone {
            let got = got.as_deref().unwrap_or("nothing");
            faults.push((
                entry,
                format!("/{path}: {from} was restored, but {got} was read back"),
            ));
        }
    }
    faults
}

/// Whether a node has no set frequency, as without the governor `userspace`.
fn is_without_effect(node: &Node, knobs: &dyn Knobs) -> bool {
    let governor = knobs.read(&node.path(Knob::Governor));
    *node != Node::RknpuDebug && governor.as_deref() != Some("userspace")
}
