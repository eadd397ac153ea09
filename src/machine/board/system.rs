//! The rest of the machine: memory, CPUs, the work of others, and the limits of control groups.

use crate::base::number;
use serde::{Deserialize, Serialize};

use super::files::Files;
use super::text::{cpu_list, field, kilobytes, relative};

/// Memory and swap at the time of reading, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Total memory.
    pub total_bytes: Option<u64>,
    /// Memory available without swapping, as the kernel estimates.
    pub available_bytes: Option<u64>,
    /// Total swap, including zram.
    pub swap_total_bytes: Option<u64>,
    /// Swap in use.
    pub swap_used_bytes: Option<u64>,
}

/// The work of others on the machine, and what they leave.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Share {
    /// CPUs that are online, ascending; empty if unknown.
    pub online_cpus: Vec<u16>,
    /// CPUs that this process may use, ascending; empty if unknown.
    pub allowed_cpus: Vec<u16>,
    /// CPU time that its control group may use, in CPUs; absent: no limit, or unknown.
    pub quota_cpus: Option<f64>,
    /// Whether all limits of its control groups could be read, so that an absent quota means none.
    pub quota_is_known: bool,
    /// Mean number of runnable tasks over the last minute.
    pub load_1min: Option<f64>,
    /// Share of the CPU time since boot that the hypervisor gave to others, percent.
    pub steal_percent: Option<f64>,
}

impl Memory {
    pub(super) fn read(files: &Files) -> Self {
        let text = files.text("proc/meminfo").unwrap_or_default();
        let swap_total_bytes = kilobytes(&text, "SwapTotal");
        Self {
            total_bytes: kilobytes(&text, "MemTotal"),
            available_bytes: kilobytes(&text, "MemAvailable"),
            swap_total_bytes,
            swap_used_bytes: swap_total_bytes
                .zip(kilobytes(&text, "SwapFree"))
                .and_then(|(total, free)| total.checked_sub(free)),
        }
    }
}

impl Share {
    pub(super) fn read(files: &Files) -> Self {
        let status = files.text("proc/self/status").unwrap_or_default();
        let allowed = field(&status, "Cpus_allowed_list");
        let online = files.value("sys/devices/system/cpu/online");
        let quota = quota_cpus(files);
        let first_line = |path| Some(files.text(path)?.lines().next()?.to_owned());
        Self {
            online_cpus: online.and_then(|text| cpu_list(&text)).unwrap_or_default(),
            allowed_cpus: allowed.and_then(|text| cpu_list(&text)).unwrap_or_default(),
            quota_cpus: quota.ok().flatten(),
            quota_is_known: quota.is_ok(),
            load_1min: first_line("proc/loadavg").and_then(|line| finite(line.split(' ').next()?)),
            steal_percent: first_line("proc/stat").and_then(|line| steal_percent(&line)),
        }
    }

    /// CPUs that this process may use, by affinity and quota.
    pub(super) fn cores(&self) -> Option<usize> {
        let cpus = if self.allowed_cpus.is_empty() {
            &self.online_cpus
        } else {
            &self.allowed_cpus
        };
        let whole = self.quota_cpus.and_then(number::count).unwrap_or(usize::MAX);
        (!cpus.is_empty()).then(|| cpus.len().min(whole).max(1))
    }
}

fn finite(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// Steal in `cpu  user nice system idle iowait irq softirq steal guest guest_nice`; guests are in user and nice already
/// (proc(5)).
fn steal_percent(line: &str) -> Option<f64> {
    let mut words = line.split_whitespace();
    if words.next() != Some("cpu") {
        return None;
    }
    let ticks: Vec<f64> = words.take(8).map_while(finite).collect();
    let all: f64 = ticks.iter().sum();
    let steal = ticks.get(7)?;
    (all > 0.0).then(|| steal / all * 100.0)
}

/// A limit could not be read.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Unreadable;

/// The tightest CPU limit of this process's control group and its parents, in either version of cgroups; absent if none
/// has one.
fn quota_cpus(files: &Files) -> Result<Option<f64>, Unreadable> {
    let text = files.text("proc/self/cgroup").ok_or(Unreadable)?;
    if !files.exists("sys/fs/cgroup") {
        return Err(Unreadable);
    }
    let mut tightest: Option<f64> = None;
    let mut unreadable = false;
    for line in text.lines().take(64) {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let is_cpu = controllers.split(',').any(|name| name == "cpu");
        let folders: &[&str] = match (controllers, is_cpu) {
            ("", _) => &["sys/fs/cgroup", "sys/fs/cgroup/unified"],
            (_, true) => &["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"],
            _ => &[],
        };
        for folder in folders {
            // In a container the path can be that of the host: its last ancestor is the root of the container.
            for group in relative(path).ancestors().take(64) {
                match quota_of(files, &format!("{folder}/{}", group.to_string_lossy())) {
                    Ok(quota) => tightest = tightest.into_iter().chain(quota).reduce(f64::min),
                    Err(Unreadable) => unreadable = true,
                }
            }
        }
    }
    // A limit that was read counts, whatever else is unreadable.
    if unreadable && tightest.is_none() {
        return Err(Unreadable);
    }
    Ok(tightest)
}

/// The limit in the folder of a control group: `cpu.max` of version 2 (`<quota> <period>` or `max <period>`), or the
/// two files of version 1, where a quota of -1 means none. Both are in microseconds. Without either file there is no
/// limit.
fn quota_of(files: &Files, folder: &str) -> Result<Option<f64>, Unreadable> {
    let folder = folder.trim_end_matches('/');
    let v2 = format!("{folder}/cpu.max");
    let v1 = format!("{folder}/cpu.cfs_quota_us");
    let (quota, period) = if files.exists(&v2) {
        let value = files.value(&v2).ok_or(Unreadable)?;
        let (quota, period) = value.split_once(' ').ok_or(Unreadable)?;
        if quota == "max" {
            return Ok(None);
        }
        (
            finite(quota).ok_or(Unreadable)?,
            finite(period).ok_or(Unreadable)?,
        )
    } else if files.exists(&v1) {
        let quota: i64 = files.number(&v1).ok_or(Unreadable)?;
        if quota < 0 {
            return Ok(None);
        }
        let period: u32 = files
            .number(&format!("{folder}/cpu.cfs_period_us"))
            .ok_or(Unreadable)?;
        (
            f64::from(u32::try_from(quota).map_err(|_| Unreadable)?),
            f64::from(period),
        )
    } else {
        return Ok(None);
    };
    let cpus = quota / period;
    if quota > 0.0 && cpus.is_finite() {
        Ok(Some(cpus))
    } else {
        Err(Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_a_share_of_all_time() {
        let line = "cpu  60 10 10 100 10 5 0 5 30 0";
        assert_eq!(steal_percent(line), Some(2.5));
        for garbage in [
            "",
            "cpu",
            "cpu 1 2 3",
            "cpu 0 0 0 0 0 0 0 0",
            "intr 1 2 3 4 5 6 7 8",
        ] {
            assert_eq!(steal_percent(garbage), None, "{garbage}");
        }
    }
}
