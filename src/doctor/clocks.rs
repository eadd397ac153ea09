//! Frequencies: held, and as high as they go.

use super::{Item, RuntimeFacts, Verdict};
use crate::board::{Board, Clock, CpuCluster, ranges};

const DEVFREQ: &str = "/sys/class/devfreq";
const CPUFREQ: &str = "/sys/devices/system/cpu/cpufreq";
/// What sets all clocks at once, beside the command for one of them.
const BY_PIN: &str = " (all clocks at once: `sudo rkllm-bench pin`, experimental)";

/// What keeps a clock from being held at `target_hz`.
fn fault(clock: &Clock, target_hz: Option<u64>, check_current: bool) -> Option<String> {
    let governor = clock.governor.as_deref();
    let Some(fixed) = clock.fixed_hz() else {
        return Some(governor.map_or_else(
            || "governor unknown".to_owned(),
            |name| format!("governor {name}"),
        ));
    };
    // A clock divider can miss what was asked for by less than a hundredth.
    let is_low = |hz: u64| target_hz.is_some_and(|target| hz < target - target / 100);
    let of = target_hz.map_or_else(String::new, |target| format!(" of {}", mhz(target)));
    if is_low(fixed) {
        return Some(format!("held at {}{of}", mhz(fixed)));
    }
    let current = clock.current_hz.filter(|hz| check_current && is_low(*hz));
    current.map(|hz| format!("at {}{of}", mhz(hz)))
}

/// The DDR clock. Its lack is the gravest finding: decode is bound by memory, and on a board without the node the vendor's
/// script writes into nothing.
pub(super) fn ddr(board: &Board) -> Item {
    const NAME: &str = "ddr_frequency";
    let Some(clock) = &board.ddr else {
        if !board.is_rockchip() {
            return Item::new(NAME, Verdict::Note, "not applicable: no DDR frequency to set");
        }
        return Item::new(NAME, Verdict::Bad, "DDR frequency unknown").recommending(format!(
            "a firmware and kernel that scale DDR ({DEVFREQ}/dmc is missing): decode depends on this clock most, nothing \
             can set it here, and scripts that try fail in silence"
        ));
    };
    devfreq(NAME, "DDR", clock, board.ddr_target_hz(), None)
}

/// The NPU's clock.
pub(super) fn npu(board: &Board, runtime: RuntimeFacts) -> Item {
    const NAME: &str = "npu_frequency";
    if let Some(why) = super::npu::not_applicable(board, runtime) {
        return Item::new(NAME, Verdict::Note, why);
    }
    let Some(clock) = &board.npu.clock else {
        return Item::new(NAME, Verdict::Bad, "NPU frequency unknown").recommending(format!(
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
    let item = Item::new(name, Verdict::Bad, format!("{what} {fault}"));
    let Some(target) = target else {
        return item.recommending("a governor that holds the highest frequency");
    };
    let node = format!("{DEVFREQ}/{}", clock.node);
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
    item.recommending(format!("held at {}{BY_PIN}", mhz(target)))
        .by(command)
}

/// The beginning of a command, where the upper limit stands in the way of `target_hz`.
fn raise_limit(clock: &Clock, target_hz: u64, file: &str, value: u64) -> String {
    if clock.max_hz.is_some_and(|max| max < target_hz) {
        format!("echo {value} | sudo tee {file} && ")
    } else {
        String::new()
    }
}

/// The clocks of all CPU clusters as one finding: those that are at fault, with what is wrong with each.
pub(super) fn cpu(board: &Board) -> Item {
    const NAME: &str = "cpu_frequency";
    if board.cpu_clusters.is_empty() {
        return Item::new(NAME, Verdict::Unknown, "CPU frequencies unknown").recommending(format!(
            "a kernel with cpufreq: there is no {CPUFREQ}/policy*; in a virtual machine its host sets them"
        ));
    }
    let faults: Vec<(&CpuCluster, u64, String)> = board
        .cpu_clusters
        .iter()
        .filter_map(|cluster| {
            let target = board.cpu_target_hz(cluster);
            // Processors that set their clocks by themselves show what they are at, whatever holds them.
            let fault = fault(&cluster.clock, target, board.soc().is_some())?;
            Some((cluster, target.unwrap_or_default(), fault))
        })
        .collect();
    if faults.is_empty() {
        let all = board
            .cpu_clusters
            .iter()
            .filter_map(|cluster| cluster.clock.fixed_hz());
        let highest = all.max().map_or_else(String::new, mhz);
        return Item::new(NAME, Verdict::Ok, format!("CPUs held, the fastest at {highest}"));
    }
    let raised: Vec<String> = faults
        .iter()
        .map(|(cluster, target, _)| {
            let file = format!("{CPUFREQ}/{}/scaling_max_freq", cluster.clock.node);
            raise_limit(&cluster.clock, *target, &file, target / 1000)
        })
        .collect();
    Item::new(NAME, Verdict::Bad, in_words(&faults))
        .recommending(format!("held at the highest frequency{BY_PIN}"))
        .by(format!(
            "{}echo performance | sudo tee {CPUFREQ}/policy*/scaling_governor",
            raised.concat()
        ))
}

/// `CPU 0-3 governor ondemand, CPU 4-7 at 1200 MHz of 2352 MHz`: neighbours with one fault together.
fn in_words(faults: &[(&CpuCluster, u64, String)]) -> String {
    let alike = faults.chunk_by(|(.., one), (.., other)| one == other);
    let words: Vec<String> = alike
        .filter_map(|clusters| {
            let (.., fault) = clusters.first()?;
            let cpus: Vec<u16> = clusters
                .iter()
                .flat_map(|(cluster, ..)| cluster.cpus.clone())
                .collect();
            Some(format!("CPU {} {fault}", ranges(&cpus)))
        })
        .collect();
    words.join(", ")
}

fn mhz(hz: u64) -> String {
    format!("{} MHz", hz / 1_000_000)
}
