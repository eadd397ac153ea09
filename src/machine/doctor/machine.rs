//! Checks memory, temperature, CPUs, and the work of others on the machine.

use super::facts::{ModelFacts, RuntimeFacts};
use super::item::{Item, Verdict};
use crate::machine::board::thermal::slows;
use crate::machine::board::{Board, ranges};

/// Distance to the first trip below which a run is likely to reach it, °C: our own choice.
const HEADROOM_C: f64 = 10.0;
/// Tolerated swap in use, bytes: pages of programs that have slept since boot. Our own choice.
const SWAP_BYTES: u64 = 64 << 20;
/// Tolerated share of CPU time for others, percent: our own choice.
const STEAL_PERCENT: f64 = 1.0;
/// Runnable tasks for each CPU above which others are working: our own choice.
const LOAD_PER_CPU: f64 = 0.5;

pub(super) fn items(board: &Board, models: &[ModelFacts], runtime: RuntimeFacts) -> Vec<Item> {
    vec![
        memory(board, models),
        swap(board),
        thermal(board),
        throttling(board),
        big_cores(board, runtime),
        quota(board),
        load(board),
        steal(board),
    ]
}

fn memory(board: &Board, models: &[ModelFacts]) -> Item {
    const NAME: &str = "memory";
    let Some(available) = board.memory.available_bytes else {
        return Item::new(NAME, Verdict::Unknown, "free memory unknown")
            .recommending("/proc/meminfo readable");
    };
    let largest = models.iter().max_by_key(|model| model.bytes);
    let too_large = largest.filter(|model| model.bytes.is_some_and(|bytes| bytes > available));
    let free = format!("{} MB of memory free", available / 1_000_000);
    let of_unknown_size = models.iter().find(|model| model.bytes.is_none());
    match too_large {
        // An unknown size is a note, like an unknown conversion.
        None if let Some(model) = of_unknown_size => Item::new(
            NAME,
            Verdict::Note,
            format!(
                "{free}; whether {} fits is unknown, since its size is",
                model.name
            ),
        ),
        None => Item::new(NAME, Verdict::Ok, free),
        Some(model) => Item::new(
            NAME,
            Verdict::Bad,
            format!(
                "{free}, {} has {} MB",
                model.name,
                model.bytes.unwrap_or_default() / 1_000_000
            ),
        )
        .recommending("other programs ended, or a smaller model"),
    }
}

fn swap(board: &Board) -> Item {
    const NAME: &str = "swap";
    match board.memory.swap_used_bytes {
        None => Item::new(NAME, Verdict::Unknown, "swap unknown").recommending("/proc/meminfo readable"),
        Some(used) if used > SWAP_BYTES => Item::new(
            NAME,
            Verdict::Bad,
            format!("{} MB of swap in use", used / 1_000_000),
        )
        .recommending("no swap: latency jumps when pages come back")
        .by("sudo swapoff -a"),
        Some(used) => Item::new(
            NAME,
            Verdict::Ok,
            format!("{} MB of swap in use", used / 1_000_000),
        ),
    }
}

fn thermal(board: &Board) -> Item {
    const NAME: &str = "thermal";
    let by_soc = board.soc().and_then(|soc| soc.passive_trip_c);
    let zones = board.thermal_zones.iter().filter_map(|zone| {
        let trip = zone.passive_trip_c().or(by_soc)?;
        Some((zone, zone.temperature_c?, trip))
    });
    let nearest = zones.min_by(|a, b| (a.2 - a.1).total_cmp(&(b.2 - b.1)));
    let Some((zone, now, trip)) = nearest else {
        let known = board.thermal_zones.iter().filter_map(|zone| zone.temperature_c);
        return match known.reduce(f64::max) {
            Some(hottest) => Item::new(
                NAME,
                Verdict::Note,
                format!("{hottest:.0} °C at most; no zone reports the temperature at which clocks fall"),
            ),
            None => Item::new(NAME, Verdict::Unknown, "temperatures unknown").recommending(
                "/sys/class/thermal with readable zones; in a virtual machine, only the host has them",
            ),
        };
    };
    let found = format!("{} at {now:.0} °C, clocks fall at {trip:.0} °C", zone.name);
    if trip - now >= HEADROOM_C {
        return Item::new(NAME, Verdict::Ok, found);
    }
    Item::new(NAME, Verdict::Bad, found).recommending("a fan, or time to cool down")
}

fn throttling(board: &Board) -> Item {
    const NAME: &str = "throttling";
    if let Some(device) = board.cooling.iter().find(|device| device.throttles()) {
        return Item::new(
            NAME,
            Verdict::Bad,
            format!("throttled now ({}, step {})", device.kind, device.state),
        )
        .recommending("a fan, or time to cool down");
    }
    // A fan does not show whether clocks are lowered.
    let shows_it = board.cooling.iter().any(|device| slows(&device.kind));
    match board.throttle_count {
        None if !shows_it => Item::new(NAME, Verdict::Unknown, "throttling unknown").recommending(
            "cooling devices in /sys/class/thermal, or counters of the CPUs; in a virtual machine, only the host \
             has them",
        ),
        Some(count) if count > 0 => Item::new(
            NAME,
            Verdict::Note,
            format!("CPUs throttled {count} times since boot"),
        ),
        _ => Item::new(NAME, Verdict::Ok, "nothing is throttled"),
    }
}

fn big_cores(board: &Board, runtime: RuntimeFacts) -> Item {
    const NAME: &str = "big_cores";
    let (big, share) = (&board.big_cpus, &board.share);
    if big.is_empty() {
        return if are_alike(board) {
            Item::new(NAME, Verdict::Note, "no CPUs that are faster than others")
        } else {
            Item::new(NAME, Verdict::Unknown, "fast CPUs unknown").recommending(
                "cpu_capacity and cpufreq of each CPU in /sys/devices/system/cpu; in a virtual machine, only the host \
                 has them",
            )
        };
    }
    if share.online_cpus.is_empty() || share.allowed_cpus.is_empty() {
        return Item::new(NAME, Verdict::Unknown, "CPUs that can be used unknown")
            .recommending("/sys/devices/system/cpu/online and /proc/self/status readable");
    }
    let missing = |among: &[u16]| -> Vec<u16> {
        let cpus = big.iter().filter(|cpu| !among.contains(cpu));
        cpus.copied().collect()
    };
    let offline = missing(&share.online_cpus);
    if let Some(first) = offline.first() {
        return Item::new(
            NAME,
            Verdict::Bad,
            format!("fast CPUs {} are offline", ranges(&offline)),
        )
        .recommending("all fast CPUs online")
        .by(format!(
            "echo 1 | sudo tee /sys/devices/system/cpu/cpu{first}/online"
        ));
    }
    let barred = missing(&share.allowed_cpus);
    if !barred.is_empty() {
        return Item::new(
            NAME,
            Verdict::Bad,
            format!("fast CPUs {} may not be used", ranges(&barred)),
        )
        .recommending("an affinity that has all fast CPUs")
        .by(format!("taskset -pc {} $$", ranges(&share.online_cpus)));
    }
    let fast = mask_of(big);
    let found = match runtime.cpu_mask {
        Some(mask) if mask & fast == 0 => Some((Verdict::Bad, "the CPU mask has no fast CPU")),
        Some(mask) if mask & !fast != 0 => Some((Verdict::Note, "the CPU mask has slow CPUs too")),
        _ => None,
    };
    if let Some((verdict, found)) = found {
        return Item::new(NAME, verdict, found).recommending(format!("--cpu-mask {fast:#x}"));
    }
    Item::new(
        NAME,
        Verdict::Ok,
        format!("fast CPUs {} can be used", ranges(big)),
    )
}

/// Whether all CPUs are known to have one speed.
fn are_alike(board: &Board) -> bool {
    let mut speeds = board
        .cpu_clusters
        .iter()
        .map(|cluster| (cluster.capacity, cluster.clock.highest_hz));
    let Some(first) = speeds.next() else {
        return board.share.online_cpus.len() == 1;
    };
    let is_known = first.0.is_some() || first.1.is_some();
    is_known && speeds.all(|other| other == first)
}

fn mask_of(cpus: &[u16]) -> u32 {
    cpus.iter()
        .filter(|cpu| **cpu < 32)
        .fold(0, |mask, cpu| mask | 1 << cpu)
}

fn quota(board: &Board) -> Item {
    const NAME: &str = "cpu_quota";
    let share = &board.share;
    let cpus = if share.allowed_cpus.is_empty() {
        share.online_cpus.len()
    } else {
        share.allowed_cpus.len()
    };
    let tight = share.quota_cpus.filter(|quota| cpus == 0 || *quota < count(cpus));
    match tight {
        Some(quota) => Item::new(NAME, Verdict::Bad, format!("CPU quota of {quota:.2} CPUs")).recommending(
            "a container without a CPU limit: a quota stops all threads for parts of each tenth of a second",
        ),
        None if !share.quota_is_known => Item::new(NAME, Verdict::Unknown, "CPU quota unknown")
            .recommending("/proc/self/cgroup and /sys/fs/cgroup readable"),
        None => Item::new(NAME, Verdict::Ok, "no CPU quota"),
    }
}

fn load(board: &Board) -> Item {
    const NAME: &str = "load";
    let (Some(load), Some(cores)) = (board.share.load_1min, board.cores) else {
        return Item::new(NAME, Verdict::Unknown, "load unknown").recommending("/proc/loadavg readable");
    };
    let found = format!("load {load:.2} on {cores} CPUs");
    if load <= LOAD_PER_CPU * count(cores) {
        return Item::new(NAME, Verdict::Ok, found);
    }
    Item::new(NAME, Verdict::Bad, found)
        .recommending("no other work; after a build, wait a minute")
        .by("top -b -n 1 | head -n 15")
}

fn steal(board: &Board) -> Item {
    const NAME: &str = "steal";
    match board.share.steal_percent {
        None => Item::new(NAME, Verdict::Unknown, "steal time unknown").recommending("/proc/stat readable"),
        Some(percent) if percent > STEAL_PERCENT => Item::new(
            NAME,
            Verdict::Bad,
            format!("{percent:.1} % of CPU time stolen since boot"),
        )
        .recommending("a dedicated machine: the hypervisor gives these CPUs to others"),
        Some(percent) => Item::new(
            NAME,
            Verdict::Ok,
            format!("{percent:.1} % of CPU time stolen since boot"),
        ),
    }
}

fn count(cpus: usize) -> f64 {
    u32::try_from(cpus).map_or(f64::INFINITY, f64::from)
}
