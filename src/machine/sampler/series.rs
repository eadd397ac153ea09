//! Samples in the order of their times, and the conditions of an inference from them.

use crate::base::number::Float as _;
use std::collections::VecDeque;

use super::conditions::{ClockRange, Conditions};
use super::sources::{Sources, Tick, WatchedClock};

/// Most samples that are kept: 27 minutes. Beyond that every second one is dropped, so a longer inference has fewer.
const MOST_TICKS: usize = 16 * 1024;
/// Shortest time for a difference of CPU times, ns: the kernel counts them in steps of 10 ms.
const SHORTEST_NS: u64 = 200_000_000;
/// Age up to which samples before an inference are kept, ns.
const KEPT_NS: u64 = 1_000_000_000;

/// Samples, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Series(VecDeque<Tick>);

impl Series {
    pub(super) fn push(&mut self, tick: Tick) {
        if self.0.len() >= MOST_TICKS {
            let mut index = 0;
            self.0.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.0.push_back(tick);
    }

    /// Drops samples that no inference after `now_ns` needs.
    pub(super) fn forget_before(&mut self, now_ns: u64) {
        let needed = self.last_until(now_ns.saturating_sub(KEPT_NS));
        self.0.drain(..needed);
    }

    /// Index of the last sample at or before `at_ns`, else of the first.
    fn last_until(&self, at_ns: u64) -> usize {
        self.0
            .partition_point(|tick| tick.at_ns <= at_ns)
            .saturating_sub(1)
    }

    /// The conditions from the last sample before the call to the first one after the return; absent without samples.
    pub(super) fn conditions(&self, sources: &Sources, call_ns: u64, return_ns: u64) -> Option<Conditions> {
        let first = self.last_until(call_ns);
        let after = self.0.partition_point(|tick| tick.at_ns < return_ns);
        let last = after.min(self.0.len().checked_sub(1)?).max(first);
        let ticks: Vec<&Tick> = self.0.range(first..=last).collect();
        let clocks = sources.clocks.iter().enumerate();
        let mut conditions = Conditions {
            ticks: ticks.len(),
            clocks: clocks
                .filter_map(|(index, clock)| range(&ticks, index, clock))
                .collect(),
            hottest_c: ticks.iter().filter_map(|tick| tick.hottest_c).reduce(f64::max),
            npu_load_percent: mean_loads(&ticks),
            rss_bytes: ticks.iter().filter_map(|tick| tick.rss_bytes).max(),
            throttled: throttled(&ticks),
            cpus: sources.cpus.clone(),
            waited_percent: waited_percent(&ticks),
            ..Conditions::default()
        };
        let first = self.last_until(call_ns.min(return_ns.saturating_sub(SHORTEST_NS)));
        if let Some((from, to)) = self.0.get(first).zip(self.0.get(last)) {
            cpu_times(&mut conditions, from, to);
        }
        (!conditions.is_empty()).then_some(conditions)
    }
}

fn range(ticks: &[&Tick], index: usize, clock: &WatchedClock) -> Option<ClockRange> {
    let seen = || {
        ticks
            .iter()
            .filter_map(|tick| tick.clocks_hz.get(index).copied().flatten())
    };
    Some(ClockRange {
        clock: clock.name.clone(),
        held_hz: clock.held_hz,
        min_hz: seen().min()?,
        max_hz: seen().max()?,
    })
}

/// The mean of each core over the samples that have one.
fn mean_loads(ticks: &[&Tick]) -> Vec<f64> {
    let cores = ticks
        .iter()
        .map(|tick| tick.npu_load_percent.len())
        .max()
        .unwrap_or(0);
    let mean = |core| {
        let loads = ticks.iter().filter_map(|tick| tick.npu_load_percent.get(core));
        let (sum, count) = loads.fold((0.0, 0.0), |(sum, count), load| {
            (sum + f64::from(*load), count + 1.0)
        });
        sum / count
    };
    (0..cores).map(mean).collect()
}

fn throttled(ticks: &[&Tick]) -> Option<bool> {
    let cooling = ticks.iter().filter_map(|tick| tick.cooling).reduce(|a, b| a || b);
    let mut counts = ticks.iter().filter_map(|tick| tick.throttle_count);
    let counted = counts.next().map(|first| counts.any(|count| count > first));
    match (cooling, counted) {
        (None, None) => None,
        (cooling, counted) => Some(cooling.unwrap_or(false) || counted.unwrap_or(false)),
    }
}

fn waited_percent(ticks: &[&Tick]) -> Option<f64> {
    let mut seen = ticks
        .iter()
        .filter_map(|tick| Some((tick.at_ns, tick.waited_ns?)));
    let ((from_ns, before_ns), (to_ns, waited_ns)) = (seen.next()?, seen.next_back()?);
    percent(waited_ns.checked_sub(before_ns)?, to_ns - from_ns)
}

fn cpu_times(conditions: &mut Conditions, from: &Tick, to: &Tick) {
    let Some((before, after)) = from.cpu.zip(to.cpu) else {
        return;
    };
    let span_ns = to.at_ns.saturating_sub(from.at_ns);
    let share = |before: u64, after: u64| percent(after.saturating_sub(before), span_ns);
    conditions.idle_percent = share(before.idle_ns, after.idle_ns);
    conditions.steal_percent = share(before.steal_ns, after.steal_ns);
    conditions.others_percent = from
        .process_cpu_ns
        .zip(to.process_cpu_ns)
        .and_then(|(own_before, own)| {
            let own_ns = own.saturating_sub(own_before);
            let busy_ns = after.busy_ns.saturating_sub(before.busy_ns);
            share(0, busy_ns.saturating_sub(own_ns))
        });
}

pub(super) fn percent(part_ns: u64, whole_ns: u64) -> Option<f64> {
    (whole_ns > 0).then(|| part_ns.float() / whole_ns.float() * 100.0)
}
