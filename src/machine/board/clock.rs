//! Frequencies: CPU clusters by cpufreq, NPU, DDR and GPU by devfreq.

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::text::cpu_list;

pub(crate) const CPUFREQ: &str = "sys/devices/system/cpu/cpufreq";
pub(crate) const DEVFREQ: &str = "sys/class/devfreq";
/// The default governor of the NPU. Despite its name it does not follow the load, but holds the frequency that was set
/// (source of the driver 0.9.8).
pub(crate) const NPU_GOVERNOR: &str = "rknpu_ondemand";

/// A clock whose frequency the kernel controls. A field is absent if its file is missing or has no usable value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    /// Its folder in sysfs, such as `policy4`, `fdab0000.npu` or `dmc`.
    pub node: String,
    /// The governor, which chooses the frequency.
    pub governor: Option<String>,
    /// Frequency at the time of reading, Hz.
    pub current_hz: Option<u64>,
    /// Frequency set for the governor `userspace`, Hz; absent under any other.
    pub set_hz: Option<u64>,
    /// Lower limit, Hz.
    pub min_hz: Option<u64>,
    /// Upper limit, Hz. Thermal throttling lowers it.
    pub max_hz: Option<u64>,
    /// Highest frequency of the hardware, Hz.
    pub highest_hz: Option<u64>,
    /// All available frequencies, Hz, ascending; empty if the kernel has no such list.
    pub available_hz: Vec<u64>,
}

/// CPUs that share a clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuCluster {
    /// Its CPUs, ascending.
    pub cpus: Vec<u16>,
    /// Speed of one of its CPUs on the kernel's scale, where the fastest has 1024; absent if all CPUs are alike.
    pub capacity: Option<u32>,
    /// Its clock.
    pub clock: Clock,
}

impl Clock {
    /// The frequency that it is held at, Hz; absent if it follows the load, or if that is unknown.
    pub fn fixed_hz(&self) -> Option<u64> {
        match self.governor.as_deref() {
            Some("userspace") => self.set_hz,
            Some("performance") => self.max_hz.or(self.highest_hz),
            Some(NPU_GOVERNOR) => self.current_hz,
            _ => self.max_hz.filter(|max| self.min_hz == Some(*max)),
        }
    }

    fn of_devfreq(files: &Files, node: &str) -> Self {
        let file = |name: &str| format!("{DEVFREQ}/{node}/{name}");
        let governor = files.value(&file("governor"));
        let available_hz = files.all_hz(&file("available_frequencies"), 1);
        Self {
            node: node.to_owned(),
            current_hz: files.hz(&file("cur_freq"), 1),
            set_hz: set_hz(files, governor.as_deref(), &file("userspace/set_freq"), 1),
            min_hz: files.hz(&file("min_freq"), 1),
            max_hz: files.hz(&file("max_freq"), 1),
            highest_hz: available_hz.last().copied(),
            governor,
            available_hz,
        }
    }

    fn of_cpufreq(files: &Files, node: &str) -> Self {
        let file = |name: &str| format!("{CPUFREQ}/{node}/{name}");
        let governor = files.value(&file("scaling_governor"));
        let available_hz = files.all_hz(&file("scaling_available_frequencies"), 1000);
        Self {
            node: node.to_owned(),
            current_hz: files.hz(&file("scaling_cur_freq"), 1000),
            set_hz: set_hz(files, governor.as_deref(), &file("scaling_setspeed"), 1000),
            min_hz: files.hz(&file("scaling_min_freq"), 1000),
            max_hz: files.hz(&file("scaling_max_freq"), 1000),
            highest_hz: files
                .hz(&file("cpuinfo_max_freq"), 1000)
                .or(available_hz.last().copied()),
            governor,
            available_hz,
        }
    }
}

/// Under any other governor the file has text, or is missing.
fn set_hz(files: &Files, governor: Option<&str>, path: &str, unit_hz: u64) -> Option<u64> {
    (governor == Some("userspace"))
        .then(|| files.hz(path, unit_hz))
        .flatten()
}

/// How far a clock divider may miss the frequency that was asked for, Hz.
fn tolerance_hz(wanted_hz: u64) -> u64 {
    wanted_hz / 100
}

/// Whether a clock is lower than wanted, by more than its divider may miss.
pub(crate) fn is_lower(hz: u64, wanted_hz: u64) -> bool {
    hz < wanted_hz - tolerance_hz(wanted_hz)
}

/// Whether a clock is at the wanted frequency, as near as its divider comes.
pub(crate) fn is_near(hz: u64, wanted_hz: u64) -> bool {
    hz.abs_diff(wanted_hz) <= tolerance_hz(wanted_hz)
}

/// A frequency as text.
pub(crate) fn mhz(hz: u64) -> String {
    format!("{} MHz", hz / 1_000_000)
}

/// The CPU clusters, ordered by their first CPU.
pub(super) fn clusters(files: &Files) -> Vec<CpuCluster> {
    let nodes = files.names(CPUFREQ).into_iter();
    let mut clusters: Vec<CpuCluster> = nodes
        .filter(|node| node.starts_with("policy") && is_plain(node))
        .filter_map(|node| cluster(files, &node))
        .collect();
    clusters.sort_by_key(|cluster| cluster.cpus.first().copied());
    clusters
}

fn cluster(files: &Files, node: &str) -> Option<CpuCluster> {
    let path = format!("{CPUFREQ}/{node}/related_cpus");
    // The number in the name of a policy is its first CPU.
    let cpus = files.value(&path).and_then(|text| cpu_list(&text));
    let cpus = cpus.or_else(|| cpu_list(node.strip_prefix("policy")?))?;
    let capacity = format!("sys/devices/system/cpu/cpu{}/cpu_capacity", cpus[0]);
    Some(CpuCluster {
        capacity: files.number(&capacity),
        cpus,
        clock: Clock::of_cpufreq(files, node),
    })
}

/// Whether the kernel could have given this folder name: it becomes part of commands.
fn is_plain(node: &str) -> bool {
    node.chars()
        .all(|c| c.is_ascii_alphanumeric() || ".-_@:".contains(c))
}

/// The first devfreq node by name whose kind `is_wanted`. The kind follows the address: `npu` in `fdab0000.npu`.
pub(super) fn devfreq(files: &Files, is_wanted: impl Fn(&str) -> bool) -> Option<Clock> {
    let mut nodes = files.names(DEVFREQ).into_iter();
    let node = nodes.find(|node| is_plain(node) && node.rsplit('.').next().is_some_and(&is_wanted))?;
    Some(Clock::of_devfreq(files, &node))
}
