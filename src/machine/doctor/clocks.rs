//! Checks that clocks are held at their highest frequency.

use super::facts::RuntimeFacts;
use super::item::{Item, Verdict};
use super::npu::NO_NPU;
use crate::inputs::hint;
use crate::machine::board::{Board, Clock, CpuCluster, NPU_GOVERNOR, is_lower, mhz, ranges};

const DEVFREQ: &str = "/sys/class/devfreq";
const CPUFREQ: &str = "/sys/devices/system/cpu/cpufreq";
/// A hint to the command that sets all clocks at once.
fn by_pin() -> String {
    format!(
        " (all clocks at once: `{}`, experimental)",
        hint::tool_as_root(&["pin"])
    )
}

/// The reason why a clock is not held correctly, or why that is unknown.
struct Fault {
    verdict: Verdict,
    found: String,
}

impl Fault {
    fn bad(found: String) -> Self {
        Self {
            verdict: Verdict::Bad,
            found,
        }
    }

    fn unknown(found: String) -> Self {
        Self {
            verdict: Verdict::Unknown,
            found,
        }
    }
}

/// The reason why a clock is not held at `target_hz`.
fn fault(clock: &Clock, target_hz: Option<u64>, check_current: bool) -> Option<Fault> {
    let Some(fixed) = clock.fixed_hz() else {
        return Some(match clock.governor.as_deref() {
            None => Fault::unknown("governor unknown".to_owned()),
            Some(name @ ("userspace" | "performance" | NPU_GOVERNOR)) => {
                Fault::unknown(format!("governor {name}, frequency unknown"))
            }
            Some(name) => Fault::bad(format!("governor {name}")),
        });
    };
    let Some(target) = target_hz else {
        let found = format!("held at {}, highest frequency unknown", mhz(fixed));
        return Some(Fault::unknown(found));
    };
    let is_low = |hz: u64| is_lower(hz, target);
    let of = format!(" of {}", mhz(target));
    if is_low(fixed) {
        return Some(Fault::bad(format!("held at {}{of}", mhz(fixed))));
    }
    if !check_current {
        return None;
    }
    match clock.current_hz {
        None => Some(Fault::unknown(format!(
            "set to {}, frequency unknown",
            mhz(fixed)
        ))),
        Some(hz) if is_low(hz) => Some(Fault::bad(format!("at {}{of}", mhz(hz)))),
        Some(_) => None,
    }
}

/// The DDR clock. A missing node is the most serious finding: decode is bound by memory, and the script of the vendor
/// silently does nothing on such a board.
pub(super) fn ddr(board: &Board) -> Item {
    const NAME: &str = "ddr_frequency";
    if let Some(clock) = &board.ddr {
        return devfreq(NAME, "DDR", clock, board.ddr_target_hz(), None);
    }
    if board.is_of_another_kind() {
        return Item::new(NAME, Verdict::Note, "not applicable: no DDR frequency to set");
    }
    let shows_others = board.npu.clock.is_some() || board.gpu.is_some();
    let item = |verdict| Item::new(NAME, verdict, "DDR frequency unknown");
    if board.is_rockchip() && shows_others {
        item(Verdict::Bad).recommending(format!(
            "a firmware and kernel that scale DDR ({DEVFREQ}/dmc is missing): decode depends on this clock \
             most, nothing can set it here, and scripts that try fail silently"
        ))
    } else {
        item(Verdict::Unknown).recommending(format!("a readable {DEVFREQ}: it shows no clock"))
    }
}

/// The NPU's clock.
pub(super) fn npu(board: &Board, runtime: RuntimeFacts) -> Item {
    const NAME: &str = "npu_frequency";
    match super::npu::not_applicable(board, runtime) {
        Some(NO_NPU) => {
            return Item::new(NAME, Verdict::Unknown, NO_NPU).recommending(
                "a board with Rockchip's driver rknpu, whose /proc and /sys can be read: a container may hide them",
            );
        }
        Some(why) => return Item::new(NAME, Verdict::Note, why),
        None => {}
    }
    let Some(clock) = &board.npu.clock else {
        let shows_others = board.ddr.is_some() || board.gpu.is_some();
        let verdict = if shows_others {
            Verdict::Bad
        } else {
            Verdict::Unknown
        };
        return Item::new(NAME, verdict, "NPU frequency unknown").recommending(format!(
            "Rockchip's kernel with the driver rknpu: there is no {DEVFREQ}/*.npu"
        ));
    };
    let own_file = board.soc().and_then(|soc| soc.npu_file);
    devfreq(NAME, "NPU", clock, board.npu_target_hz(), own_file)
}

fn devfreq(
    name: &'static str,
    what: &str,
    clock: &Clock,
    target: Option<u64>,
    own_file: Option<&str>,
) -> Item {
    let Some(fault) = fault(clock, target, true) else {
        let held = clock.fixed_hz().map_or_else(String::new, mhz);
        return Item::new(name, Verdict::Ok, format!("{what} held at {held}"));
    };
    let item = Item::new(name, fault.verdict, format!("{what} {}", fault.found));
    let node = format!("{DEVFREQ}/{}", clock.node);
    let Some(target) = target.filter(|_| fault.verdict == Verdict::Bad) else {
        return item.recommending(format!(
            "{node} readable, and a governor that holds the highest frequency"
        ));
    };
    let command = own_file.map_or_else(
        || {
            let raise = raise_limit(clock, target, &format!("{node}/max_freq"), target);
            format!(
                "{raise}echo userspace | sudo tee {node}/governor && \
                 echo {target} | sudo tee {node}/userspace/set_freq"
            )
        },
        |file| format!("echo {target} | sudo tee {file}"),
    );
    item.recommending(format!("held at {}{}", mhz(target), by_pin()))
        .by(command)
}

/// The start of a command that raises an upper limit below `target_hz`.
fn raise_limit(clock: &Clock, target_hz: u64, file: &str, value: u64) -> String {
    if clock.max_hz.is_some_and(|max| max < target_hz) {
        format!("echo {value} | sudo tee {file} && ")
    } else {
        String::new()
    }
}

/// A faulty cluster, and its target frequency, Hz.
struct AtFault<'a> {
    cluster: &'a CpuCluster,
    target_hz: Option<u64>,
    fault: Fault,
}

/// The clocks of all CPU clusters as one finding: the faulty ones, with their faults.
pub(super) fn cpu(board: &Board) -> Item {
    const NAME: &str = "cpu_frequency";
    if board.cpu_clusters.is_empty() {
        return Item::new(NAME, Verdict::Unknown, "CPU frequencies unknown").recommending(format!(
            "a kernel with cpufreq: there is no {CPUFREQ}/policy*; in a virtual machine its host sets them"
        ));
    }
    let mut faults: Vec<AtFault> = board
        .cpu_clusters
        .iter()
        .filter_map(|cluster| {
            let target_hz = board.cpu_target_hz(cluster);
            // Processors that choose their own clocks show the current one, whatever holds them.
            let fault = fault(&cluster.clock, target_hz, board.soc().is_some())?;
            Some(AtFault {
                cluster,
                target_hz,
                fault,
            })
        })
        .collect();
    if faults
        .iter()
        .any(|at_fault| at_fault.fault.verdict == Verdict::Bad)
    {
        faults.retain(|at_fault| at_fault.fault.verdict == Verdict::Bad);
        return Item::new(NAME, Verdict::Bad, in_words(&faults))
            .recommending(format!("held at the highest frequency{}", by_pin()))
            .by(hold_highest(&faults));
    }
    let unseen = without_cluster(board);
    if faults.is_empty() && unseen.is_empty() {
        let all = board
            .cpu_clusters
            .iter()
            .filter_map(|cluster| cluster.clock.fixed_hz());
        let highest = all.max().map_or_else(String::new, mhz);
        return Item::new(NAME, Verdict::Ok, format!("CPUs held, the fastest at {highest}"));
    }
    let found = if faults.is_empty() {
        format!("frequency of CPU {} unknown", ranges(&unseen))
    } else {
        in_words(&faults)
    };
    Item::new(NAME, Verdict::Unknown, found).recommending(format!("all files in {CPUFREQ}/policy* readable"))
}

/// CPUs that are online but belong to no cluster.
fn without_cluster(board: &Board) -> Vec<u16> {
    let online = board.share.online_cpus.iter().copied();
    let is_seen = |cpu: &u16| {
        let mut clusters = board.cpu_clusters.iter();
        clusters.any(|cluster| cluster.cpus.contains(cpu))
    };
    online.filter(|cpu| !is_seen(cpu)).collect()
}

fn hold_highest(faults: &[AtFault]) -> String {
    let raised: Vec<String> = faults
        .iter()
        .filter_map(|at_fault| {
            let (clock, target) = (&at_fault.cluster.clock, at_fault.target_hz?);
            let file = format!("{CPUFREQ}/{}/scaling_max_freq", clock.node);
            Some(raise_limit(clock, target, &file, target / 1000))
        })
        .collect();
    format!(
        "{}echo performance | sudo tee {CPUFREQ}/policy*/scaling_governor",
        raised.concat()
    )
}

/// `CPU 0-3 governor ondemand, CPU 4-7 at 1200 MHz of 2352 MHz`: adjacent clusters with the same fault are merged.
fn in_words(faults: &[AtFault]) -> String {
    let alike = faults.chunk_by(|one, other| one.fault.found == other.fault.found);
    let words: Vec<String> = alike
        .filter_map(|clusters| {
            let found = &clusters.first()?.fault.found;
            let cpus: Vec<u16> = clusters
                .iter()
                .flat_map(|at_fault| at_fault.cluster.cpus.clone())
                .collect();
            Some(format!("CPU {} {found}", ranges(&cpus)))
        })
        .collect();
    words.join(", ")
}
