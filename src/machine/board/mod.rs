//! Reads what machine this is and its state from the system, without measuring anything.
//!
//! Everything is read below a root folder: `/`, or a copy of a machine's files. No file can stop or hang the reader: a
//! bounded part of each is read, and a missing or unusable value leaves its field absent.

pub(crate) mod clock;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod files;
pub(crate) mod npu;
mod soc;
mod system;
mod target;
pub(in crate::machine) mod text;
pub(crate) mod thermal;

use crate::base::number::Size as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use crate::machine::memory::peak_rss_bytes;
pub use clock::{Clock, CpuCluster};
pub(crate) use clock::{NPU_GOVERNOR, is_lower, is_near, mhz};
pub use npu::{Npu, NpuUser};
pub use soc::{SOCS, Soc};
pub use system::{Memory, Share};
pub use thermal::{CoolingDevice, ThermalZone, Trip};

pub(crate) use files::Files;
pub(crate) use text::ranges;

/// Paths of the device tree; the first is a link to the second.
const DEVICE_TREES: [&str; 2] = ["proc/device-tree", "sys/firmware/devicetree/base"];

/// The machine that produced the figures. Fields that cannot be read are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Board {
    /// Name from the device tree; absent without a device tree.
    pub name: Option<String>,
    /// The `compatible` entries of the device tree, the most specific first.
    pub compatible: Vec<String>,
    /// Its SoC, if it is one of [`SOCS`].
    pub soc: Option<String>,
    /// Model name of the first CPU.
    pub cpu: Option<String>,
    /// CPUs that this process may use, by its affinity and its control group.
    pub cores: Option<usize>,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// Architecture, for example `aarch64`; absent in a copy of a machine whose kernel is older than 6.1.
    pub architecture: Option<String>,
    /// Memory and swap.
    pub memory: Memory,
    /// CPUs and their clocks, ordered by their first CPU; empty if the kernel shows no frequencies.
    pub cpu_clusters: Vec<CpuCluster>,
    /// Fast CPUs, ascending, from the kernel's capacities or else the SoC; empty if all are alike or it is unknown.
    pub big_cpus: Vec<u16>,
    /// The NPU.
    pub npu: Npu,
    /// Clock of the DDR memory, which decode depends on most; absent if firmware or kernel do not scale it.
    pub ddr: Option<Clock>,
    /// Clock of the GPU, which shares the memory.
    pub gpu: Option<Clock>,
    /// Temperatures.
    pub thermal_zones: Vec<ThermalZone>,
    /// Cooling devices.
    pub cooling: Vec<CoolingDevice>,
    /// How often CPUs throttled since boot; absent if they do not count it (x86 does).
    pub throttle_count: Option<u64>,
    /// The work of others on the machine, and what they leave.
    pub share: Share,
    /// What exists but could not be read or made no sense, each with its path.
    pub notes: Vec<String>,
}

impl Board {
    /// Reads this machine now.
    pub fn read() -> Self {
        let uname = rustix::system::uname();
        let board = Self::read_below(Path::new("/"));
        Self {
            cores: Some(cores()),
            kernel: Some(uname.release().to_string_lossy().into_owned()),
            architecture: Some(uname.machine().to_string_lossy().into_owned()),
            ..board
        }
    }

    /// Reads the files below `root`, a copy of a machine's files at the same paths.
    pub fn read_below(root: &Path) -> Self {
        let files = Files::below(root);
        let of_tree = |name: &str| DEVICE_TREES.map(|tree| format!("{tree}/{name}"));
        let compatible = of_tree("compatible")
            .iter()
            .find_map(|path| files.text(path))
            .map(|text| compatible(&text))
            .unwrap_or_default();
        let soc = Soc::compatible_with(&compatible);
        let cpu_clusters = clock::clusters(&files);
        let share = Share::read(&files);
        Self {
            name: of_tree("model").iter().find_map(|path| files.value(path)),
            soc: soc.map(|soc| soc.name.to_owned()),
            cpu: files.field("proc/cpuinfo", "model name"),
            cores: share.cores(),
            kernel: files.value("proc/sys/kernel/osrelease"),
            architecture: files.value("proc/sys/kernel/arch"),
            memory: Memory::read(&files),
            big_cpus: big_cpus(&cpu_clusters, soc),
            npu: Npu::read(&files),
            ddr: clock::devfreq(&files, |kind| kind == "dmc"),
            gpu: clock::devfreq(&files, |kind| kind == "gpu"),
            thermal_zones: thermal::zones(&files),
            cooling: thermal::cooling(&files),
            throttle_count: thermal::throttle_count(&files),
            compatible,
            cpu_clusters,
            share,
            notes: files.into_notes(),
        }
    }

    /// The facts known about its SoC.
    pub fn soc(&self) -> Option<&'static Soc> {
        Soc::named(self.soc.as_deref()?)
    }

    /// Whether it is certainly not a Rockchip machine: it has another vendor's device tree, or another architecture. A
    /// container may hide the device tree.
    pub fn is_of_another_kind(&self) -> bool {
        let is_arm = |name: &String| name.starts_with("aarch64") || name.starts_with("arm");
        let is_other = self.architecture.as_ref().is_some_and(|name| !is_arm(name));
        !self.is_rockchip() && (is_other || !self.compatible.is_empty())
    }

    /// Whether its SoC is from Rockchip, known or not.
    pub fn is_rockchip(&self) -> bool {
        self.compatible.iter().any(|entry| entry.starts_with("rockchip,"))
    }
}

/// The NUL-terminated entries of `compatible` in a device tree.
fn compatible(text: &str) -> Vec<String> {
    let entries = text.split('\0').map(str::trim);
    entries
        .filter(|entry| !entry.is_empty() && entry.len() <= 128 && !entry.chars().any(char::is_control))
        .take(16)
        .map(str::to_owned)
        .collect()
}

/// The CPUs that are faster than the midpoint between the slowest and the fastest.
fn big_cpus(clusters: &[CpuCluster], soc: Option<&Soc>) -> Vec<u16> {
    let capacities = || clusters.iter().map(|cluster| cluster.capacity);
    let known: Option<Vec<u32>> = capacities().collect();
    let (low, high) = match known.as_deref().unwrap_or_default() {
        [] => {
            return soc.map_or_else(Vec::new, |soc| {
                (0..32).filter(|cpu| soc.big_cores >> cpu & 1 == 1).collect()
            });
        }
        known => (known.iter().min().copied(), known.iter().max().copied()),
    };
    let middle = u64::from(low.unwrap_or(0)) + u64::from(high.unwrap_or(0));
    let is_big = |cluster: &&CpuCluster| {
        cluster
            .capacity
            .is_some_and(|capacity| u64::from(capacity) * 2 > middle)
    };
    clusters
        .iter()
        .filter(is_big)
        .flat_map(|cluster| cluster.cpus.clone())
        .collect()
}

/// CPUs this process may use, by its affinity and its control group.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The CPUs among the first 32 that this thread may run on, as bits; absent if the kernel does not report them.
pub fn allowed_cpus() -> Option<u32> {
    let set = rustix::thread::sched_getaffinity(None).ok()?;
    let bits = (0..u32::BITS).filter(|cpu| set.is_set(cpu.size()));
    Some(bits.fold(0, |mask, cpu| mask | 1 << cpu))
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, remove_file, write};
    use std::os::unix::fs::symlink;

    use super::fake::Fake;
    use super::*;

    fn read(fake: &Fake) -> Board {
        Board::read_below(fake.written().path())
    }

    #[test]
    fn an_rk3588_is_read_whole() {
        let board = read(&Fake::rk3588());
        assert_eq!(board.name.as_deref(), Some("Orange Pi 5 Plus"));
        assert_eq!(board.soc.as_deref(), Some("RK3588"));
        assert_eq!(board.compatible, ["maker,board", "rockchip,rk3588"]);
        assert_eq!((board.cores, board.kernel.as_deref()), (Some(8), Some("6.1.84")));
        assert_eq!(board.architecture.as_deref(), Some("aarch64"));
        assert_eq!(board.memory.total_bytes, Some(8_192_000_000));
        assert_eq!(board.memory.available_bytes, Some(4_096_000_000));
        assert_eq!(board.memory.swap_used_bytes, Some(0));
        assert_eq!(board.cpu_clusters.len(), 3);
        let fast = &board.cpu_clusters[1];
        assert_eq!((&*fast.cpus, fast.capacity), (&[4, 5][..], Some(1024)));
        // cpufreq gives kHz, devfreq Hz.
        assert_eq!(fast.clock.set_hz, Some(2_352_000_000));
        assert_eq!(fast.clock.min_hz, Some(408_000_000));
        assert_eq!(fast.clock.available_hz, [408_000_000, 816_000_000, 2_352_000_000]);
        assert_eq!(board.big_cpus, [4, 5, 6, 7]);
        let ddr = board.ddr.as_ref().expect("a node");
        assert_eq!((&*ddr.node, ddr.current_hz), ("dmc", Some(2_112_000_000)));
        assert_eq!(ddr.highest_hz, Some(2_112_000_000));
        let gpu = board.gpu.as_ref().expect("a node");
        assert_eq!((gpu.set_hz, gpu.fixed_hz()), (None, None), "it follows the load");
        let npu = &board.npu;
        assert_eq!(npu.driver.as_deref(), Some("0.9.8"));
        assert_eq!(npu.clock.as_ref().and_then(Clock::fixed_hz), Some(1_000_000_000));
        assert_eq!(npu.load_percent, [0, 0, 0]);
        assert_eq!(npu.devices, ["/dev/dri/renderD129"]);
        assert_eq!((npu.users.len(), npu.hidden_processes), (0, 0));
        assert_eq!(board.thermal_zones[1].name, "soc-thermal");
        assert_eq!(board.thermal_zones[1].temperature_c, Some(45.0));
        assert_eq!(board.thermal_zones[1].passive_trip_c(), Some(75.0));
        assert_eq!(board.cooling.len(), 3);
        assert_eq!(
            (board.share.load_1min, board.share.steal_percent),
            (Some(0.1), Some(0.0))
        );
        assert_eq!(board.share.quota_cpus, None);
        assert_eq!(board.notes, Vec::<String>::new());
    }

    #[test]
    fn an_unknown_machine_has_what_is_there() {
        let board = read(&Fake::x86());
        assert_eq!((&board.name, &board.soc, &board.ddr), (&None, &None, &None));
        assert_eq!(board.cpu.as_deref(), Some("A fast CPU"));
        assert_eq!(board.cpu_clusters.len(), 8);
        assert!(board.big_cpus.is_empty() && !board.npu.is_there());
        assert_eq!(read(&Fake::default()), Board::default());
    }

    #[test]
    fn without_capacities_the_soc_gives_the_fast_cpus() {
        let mut fake = Fake::rk3588();
        for cpu in 0..8 {
            fake.remove(&format!("sys/devices/system/cpu/cpu{cpu}/"));
        }
        assert_eq!(read(&fake).big_cpus, [4, 5, 6, 7]);
    }

    #[test]
    fn other_users_of_the_npu_are_named() {
        let mut fake = Fake::rk3588();
        fake.process(4321, "rkllm_server", "/dev/dri/renderD129");
        let users = read(&fake).npu.users;
        assert_eq!(users.len(), 1);
        assert_eq!(
            (users[0].pid, users[0].name.as_deref()),
            (4321, Some("rkllm_server"))
        );
    }

    #[test]
    fn a_driver_is_seen_without_root() {
        let mut fake = Fake::rk3588();
        fake.remove("sys/kernel/debug");
        assert_eq!(read(&fake).npu.driver, None);
        fake.put("sys/module/rknpu/version", "0.9.7\n");
        assert_eq!(read(&fake).npu.driver.as_deref(), Some("0.9.7"));
    }

    #[test]
    fn quotas_of_both_kinds_of_control_groups() {
        let mut fake = Fake::x86();
        fake.put("sys/fs/cgroup/user.slice/cpu.max", "250000 100000\n");
        let board = read(&fake);
        assert_eq!((board.share.quota_cpus, board.cores), (Some(2.5), Some(2)));
        // The tightest quota of the parents counts too.
        fake.put("proc/self/cgroup", "0::/user.slice/inner\n");
        assert_eq!(read(&fake).share.quota_cpus, Some(2.5));
        for (inner, tightest) in [("400000 100000\n", 2.5), ("100000 100000\n", 1.0)] {
            fake.put("sys/fs/cgroup/user.slice/inner/cpu.max", inner);
            assert_eq!(read(&fake).share.quota_cpus, Some(tightest));
        }
        fake.put(
            "proc/self/cgroup",
            "4:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n",
        )
        .put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n")
        .put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        assert_eq!(read(&fake).share.quota_cpus, Some(1.5));
        fake.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
        assert_eq!(read(&fake).share.quota_cpus, None);
    }

    /// Replaces a file with garbage of one kind.
    fn spoil(path: &Path, kind: &str) {
        remove_file(path).expect("removed");
        match kind {
            "empty" => write(path, ""),
            "text" => write(path, "garbage: `|<b>\u{1b}[31m %, 9999999%\0"),
            "huge number" => write(path, "99999999999999999999999999999999"),
            "largest number" => write(path, u64::MAX.to_string()),
            "1 MB" => write(path, vec![b'9'; 1 << 20]),
            "not UTF-8" => write(path, [0xff, 0, 0xfe]),
            // Unreadable even for root, who ignores permissions.
            "unreadable" => symlink(path, path),
            "folder" => create_dir(path),
            "fifo" => rustix::fs::mknodat(
                rustix::fs::CWD,
                path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR,
                0,
            )
            .map_err(Into::into),
            _ => panic!("{kind}"),
        }
        .expect("spoilt");
    }

    fn restore(path: &Path, bytes: &[u8]) {
        remove_file(path)
            .or_else(|_| std::fs::remove_dir(path))
            .expect("removed");
        write(path, bytes).expect("written");
    }

    #[test]
    fn garbage_in_any_file_neither_stops_nor_hangs_the_reading() {
        let fake = Fake::rk3588();
        let root = fake.written();
        let healthy = Board::read_below(root.path());
        for path in fake.paths() {
            for kind in [
                "empty",
                "text",
                "huge number",
                "largest number",
                "1 MB",
                "not UTF-8",
                "unreadable",
                "folder",
                "fifo",
            ] {
                let spoilt = root.path().join(&path);
                let before = std::fs::read(&spoilt).expect("a file");
                spoil(&spoilt, kind);
                let board = Board::read_below(root.path());
                assert!(board.notes.len() <= 40, "{path}, {kind}");
                let json = serde_json::to_string(&board).expect("serialises");
                assert!(json.len() < 40_000, "{path}, {kind}: {} bytes", json.len());
                let again: Board = serde_json::from_str(&json).expect("reads");
                assert_eq!(again, board, "{path}, {kind}");
                // The other files are still used.
                if !path.starts_with("proc/device-tree") {
                    assert_eq!(
                        (&board.soc, &board.name),
                        (&healthy.soc, &healthy.name),
                        "{path}, {kind}"
                    );
                }
                restore(&spoilt, &before);
            }
        }
    }

    #[test]
    fn garbage_is_noted_with_its_path() {
        let root = Fake::rk3588().written();
        let path = "sys/class/devfreq/dmc/cur_freq";
        for kind in [
            "empty",
            "text",
            "huge number",
            "largest number",
            "1 MB",
            "not UTF-8",
            "unreadable",
            "folder",
            "fifo",
        ] {
            spoil(&root.path().join(path), kind);
            let board = Board::read_below(root.path());
            assert_eq!(board.ddr.expect("the node is there").current_hz, None, "{kind}");
            assert_eq!(board.notes.len(), 1, "{kind}: {:?}", board.notes);
            assert!(
                board.notes[0].starts_with(&format!("/{path}: ")),
                "{:?}",
                board.notes
            );
            let spoilt = root.path().join(path);
            restore(&spoilt, b"1");
        }
    }

    #[test]
    fn this_machine_is_read() {
        let board = Board::read();
        assert!(board.cores.is_some_and(|cores| cores > 0) && board.kernel.is_some());
    }
}
