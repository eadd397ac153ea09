//! The files that the sampler reads. They are opened once and read from their beginning for each sample.

use crate::base::file;
use crate::base::number::Float as _;
use std::fs::File;
use std::path::Path;

use super::process::Process;
use super::reread::{again, ns};
use crate::machine::board::clock::{CPUFREQ, DEVFREQ};
use crate::machine::board::files::Files;
use crate::machine::board::npu::{LOADS, loads};
use crate::machine::board::text::plausible_hz;
use crate::machine::board::thermal::{self, THERMAL};
use crate::machine::board::{Board, Clock};

/// Most bytes read from a file: the CPUs come first in `/proc/stat`.
const MOST_BYTES: usize = 16 * 1024;
/// Most zones, cooling devices, and CPUs with a counter that are read.
const MOST_FILES: usize = 256;
/// Shortest time between two reads of the NPU load, ns: its driver measures over a second.
const LOAD_NS: u64 = 1_000_000_000;
/// Tolerance within which a clock counts as held, as a ratio.
const HELD: f64 = 0.01;

/// One sample of the machine. Values that could not be read are absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Tick {
    /// `CLOCK_MONOTONIC`, ns.
    pub(super) at_ns: u64,
    /// Frequencies in the order of [`Sources::clocks`], Hz.
    pub(super) clocks_hz: Vec<Option<u64>>,
    pub(super) hottest_c: Option<f64>,
    pub(super) npu_load_percent: Vec<u32>,
    /// Whether a device that lowers clocks is active.
    pub(super) cooling: Option<bool>,
    /// Sum of the counters of the CPUs.
    pub(super) throttle_count: Option<u64>,
    pub(super) cpu: Option<CpuTimes>,
    pub(super) rss_bytes: Option<u64>,
    /// CPU time of the model's process since it began, ns.
    pub(super) process_cpu_ns: Option<u64>,
    /// Time that its threads waited for a CPU since its first sample, ns.
    pub(super) waited_ns: Option<u64>,
}

/// Summed times of the measuring CPUs since boot, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_field_names, reason = "a number has its unit in its name")]
pub(super) struct CpuTimes {
    pub(super) busy_ns: u64,
    pub(super) idle_ns: u64,
    pub(super) steal_ns: u64,
}

/// A clock that is sampled.
#[derive(Debug)]
pub(super) struct WatchedClock {
    pub(super) name: String,
    pub(super) held_hz: Option<u64>,
    file: File,
    unit_hz: u64,
}

/// The open files.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) clocks: Vec<WatchedClock>,
    /// CPUs that the model runs on.
    pub(super) cpus: Vec<u16>,
    zones: Vec<File>,
    cooling: Vec<File>,
    throttle_counts: Vec<File>,
    npu_load: Option<File>,
    /// When it was last read, ns, and the values.
    last_load: Option<(u64, Vec<u32>)>,
    stat: Option<File>,
    process: Option<Process>,
    buffer: Vec<u8>,
}

impl Sources {
    /// Opens the existing files below `root` for a model that runs on `cpus`.
    pub(super) fn open(root: &Path, board: &Board, cpus: Vec<u16>) -> Self {
        let open = |path: &str| file::open(&root.join(path)).ok();
        let listing = Files::below(root);
        let below = |folder: &'static str, start: &'static str| {
            let names = listing.names(folder).into_iter();
            names.filter(move |name| name.starts_with(start)).take(MOST_FILES)
        };
        let slows = |device: &String| {
            let kind = listing.value(&format!("{THERMAL}/{device}/type"));
            kind.is_some_and(|kind| thermal::slows(&kind))
        };
        Self {
            clocks: clocks(root, board, &cpus),
            zones: below(THERMAL, "thermal_zone")
                .filter_map(|zone| open(&format!("{THERMAL}/{zone}/temp")))
                .collect(),
            cooling: below(THERMAL, "cooling_device")
                .filter(slows)
                .filter_map(|device| open(&format!("{THERMAL}/{device}/cur_state")))
                .collect(),
            throttle_counts: below(thermal::CPUS, "cpu")
                .filter_map(|cpu| open(&format!("{}/{cpu}/{}", thermal::CPUS, thermal::THROTTLE_COUNT)))
                .collect(),
            npu_load: LOADS.iter().find_map(|path| open(path)),
            last_load: None,
            stat: open("proc/stat"),
            process: None,
            buffer: vec![0; MOST_BYTES],
            cpus,
        }
    }

    /// Sets the process that runs the model; `ignored` is a thread of it that does not.
    pub(super) fn watch(&mut self, root: &Path, pid: Option<u32>, ignored: Option<u32>) {
        if self.process.as_ref().map(Process::pid) != pid {
            self.process = pid.map(|pid| Process::open(root, pid));
        }
        if let Some(process) = &mut self.process {
            process.ignored = ignored;
        }
    }

    /// Reads everything.
    pub(super) fn tick(&mut self, at_ns: u64) -> Tick {
        let buffer = &mut self.buffer;
        let mut clocks_hz = Vec::with_capacity(self.clocks.len());
        for clock in &self.clocks {
            let hz = number::<u64>(&clock.file, buffer).and_then(|number| number.checked_mul(clock.unit_hz));
            clocks_hz.push(hz.and_then(plausible_hz));
        }
        let temperatures = self
            .zones
            .iter()
            .filter_map(|zone| number(zone, buffer).and_then(thermal::plausible_c));
        let hottest_c = temperatures.reduce(f64::max);
        let states = self
            .cooling
            .iter()
            .filter_map(|device| number::<u32>(device, buffer));
        let cooling = states.map(|state| state > 0).reduce(|a, b| a || b);
        let counts = self
            .throttle_counts
            .iter()
            .filter_map(|file| number::<u64>(file, buffer));
        let throttle_count = counts.reduce(u64::saturating_add);
        let is_due = |(read_ns, _): &(u64, Vec<u32>)| at_ns.saturating_sub(*read_ns) >= LOAD_NS;
        if self.last_load.as_ref().is_none_or(is_due) {
            let load = self.npu_load.as_ref().and_then(|file| again(file, buffer));
            self.last_load = load.map(|text| (at_ns, loads(text)));
        }
        let npu_load_percent = self
            .last_load
            .as_ref()
            .map(|(_, load)| load.clone())
            .unwrap_or_default();
        let stat = self.stat.as_ref().and_then(|file| again(file, buffer));
        let cpu = stat.and_then(|text| cpu_times(text, &self.cpus));
        let process = self.process.as_mut();
        let seen = process.map(|process| process.look(buffer)).unwrap_or_default();
        Tick {
            at_ns,
            clocks_hz,
            hottest_c,
            npu_load_percent,
            cooling,
            throttle_count,
            cpu,
            rss_bytes: seen.rss_bytes,
            process_cpu_ns: seen.cpu_ns,
            waited_ns: seen.waited_ns,
        }
    }
}

fn clocks(root: &Path, board: &Board, cpus: &[u16]) -> Vec<WatchedClock> {
    let of_cpus = board.cpu_clusters.iter().map(|cluster| {
        let path = format!("{CPUFREQ}/{}/scaling_cur_freq", cluster.clock.node);
        let matters = cluster.cpus.iter().any(|cpu| cpus.contains(cpu));
        (cluster.clock.node.clone(), path, 1000, &cluster.clock, matters)
    });
    let others = [("npu", &board.npu.clock), ("ddr", &board.ddr)];
    let others = others.into_iter().filter_map(|(name, clock)| {
        let clock = clock.as_ref()?;
        let path = format!("{DEVFREQ}/{}/cur_freq", clock.node);
        Some((name.to_owned(), path, 1, clock, true))
    });
    of_cpus
        .chain(others)
        .filter_map(|(name, path, unit_hz, clock, matters)| {
            Some(WatchedClock {
                name,
                held_hz: matters.then(|| held_hz(clock)).flatten(),
                file: file::open(&root.join(path)).ok()?,
                unit_hz,
            })
        })
        .collect()
}

/// The current frequency of a clock, if it is the one that it is held at.
fn held_hz(clock: &Clock) -> Option<u64> {
    let (current, fixed) = (clock.current_hz?, clock.fixed_hz()?);
    (current.abs_diff(fixed).float() <= fixed.float() * HELD).then_some(current)
}

fn number<T: std::str::FromStr>(file: &File, buffer: &mut [u8]) -> Option<T> {
    again(file, buffer)?.trim().parse().ok()
}

/// The times of `cpus` in `/proc/stat`: `cpu0 user nice system idle iowait irq softirq steal` in clock ticks (proc(5));
/// absent if one of the CPUs is missing.
fn cpu_times(text: &str, cpus: &[u16]) -> Option<CpuTimes> {
    let mut sum = CpuTimes::default();
    let mut found = 0;
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        let mut words = line.split_ascii_whitespace();
        let cpu = words.next()?.strip_prefix("cpu")?.parse::<u16>();
        if !cpu.is_ok_and(|cpu| cpus.contains(&cpu)) {
            continue;
        }
        let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, steal] = *ticks.as_slice() else {
            return None;
        };
        let add = |sum: u64, parts: &[u64]| parts.iter().fold(sum, |sum, part| sum.saturating_add(ns(*part)));
        sum.busy_ns = add(sum.busy_ns, &[user, nice, system, irq, softirq]);
        sum.idle_ns = add(sum.idle_ns, &[idle, iowait]);
        sum.steal_ns = add(sum.steal_ns, &[steal]);
        found += 1;
    }
    (found > 0 && found == cpus.len()).then_some(sum)
}
