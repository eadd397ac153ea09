//! Fake boards for tests: trees of small files with the known contents of the vendor's kernels.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A tree of files. Change it before it is written to a temporary folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fake {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
}

/// What differs between boards.
struct Shape<'a> {
    model: &'a str,
    soc: &'a str,
    /// First and last CPU, capacity, kHz.
    clusters: &'a [(u16, u16, u32, u64)],
    npu: &'a str,
    npu_hz: u64,
    npu_load: &'a str,
    /// Steps of the DDR clock, Hz, ascending; it is held at the last.
    ddr_hz: &'a str,
    gpu: &'a str,
    gpu_hz: u64,
}

impl Fake {
    /// An Orange Pi 5 Plus whose clocks are fixed.
    pub(crate) fn rk3588() -> Self {
        Self::board(&Shape {
            model: "Orange Pi 5 Plus",
            soc: "rk3588",
            clusters: &[
                (0, 3, 530, 1_800_000),
                (4, 5, 1024, 2_352_000),
                (6, 7, 1024, 2_352_000),
            ],
            npu: "fdab0000.npu",
            npu_hz: 1_000_000_000,
            npu_load: "NPU load:  Core0:  0%, Core1:  0%, Core2:  0%,",
            ddr_hz: "528000000 1068000000 1560000000 2112000000",
            gpu: "fb000000.gpu",
            gpu_hz: 1_000_000_000,
        })
    }

    pub(crate) fn rk3576() -> Self {
        Self::board(&Shape {
            model: "Radxa ROCK 4D",
            soc: "rk3576",
            clusters: &[(0, 3, 485, 2_208_000), (4, 7, 1024, 2_304_000)],
            npu: "27700000.npu",
            npu_hz: 1_000_000_000,
            npu_load: "NPU load:  Core0:  0%, Core1:  0%,",
            ddr_hz: "528000000 1068000000 1560000000 2736000000",
            gpu: "27800000.gpu",
            gpu_hz: 950_000_000,
        })
    }

    pub(crate) fn rk3562() -> Self {
        Self::board(&Shape {
            model: "Rockchip RK3562 EVB",
            soc: "rk3562",
            clusters: &[(0, 3, 1024, 2_016_000)],
            npu: "ff300000.npu",
            npu_hz: 1_000_000_000,
            npu_load: "NPU load: 0%",
            ddr_hz: "528000000 1068000000 2112000000",
            gpu: "ff320000.gpu",
            gpu_hz: 900_000_000,
        })
    }

    pub(crate) fn rv1126b() -> Self {
        Self::board(&Shape {
            model: "Rockchip RV1126B EVB",
            soc: "rv1126b",
            clusters: &[(0, 3, 1024, 1_608_000)],
            npu: "22000000.npu",
            npu_hz: 950_000_000,
            npu_load: "NPU load: 0%",
            ddr_hz: "528000000 1332000000",
            gpu: "none.gpu",
            gpu_hz: 900_000_000,
        })
    }

    /// A desktop machine whose clocks are held at the highest frequency.
    pub(crate) fn x86() -> Self {
        let mut fake = Self::common(8, 1);
        fake.put("proc/cpuinfo", "processor\t: 0\nmodel name\t: A fast CPU\n");
        fake.put("proc/sys/kernel/arch", "x86_64\n");
        for cpu in 0..8 {
            fake.cpu_policy(cpu, cpu, 4_000_000, "performance");
            fake.put(
                &format!("sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count"),
                "0\n",
            );
        }
        fake.zone(0, "x86_pkg_temp", 45_000, &[]);
        fake
    }

    fn board(shape: &Shape) -> Self {
        let last = shape.clusters.last().map_or(0, |cluster| cluster.1);
        let mut fake = Self::common(last + 1, 8);
        fake.put("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 48.00\n");
        fake.put("proc/sys/kernel/arch", "aarch64\n");
        let tree = |name: &str| format!("proc/device-tree/{name}");
        fake.put(&tree("model"), &format!("{}\0", shape.model));
        let compatible = format!("maker,board\0rockchip,{}\0", shape.soc);
        fake.put(&tree("compatible"), &compatible);
        for (first, last, capacity, khz) in shape.clusters {
            fake.cpu_policy(*first, *last, *khz, "userspace");
            for cpu in *first..=*last {
                let path = format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity");
                fake.put(&path, &format!("{capacity}\n"));
            }
        }
        let hz = shape.npu_hz;
        fake.devfreq(shape.npu, &format!("300000000 600000000 {hz}"), "userspace");
        fake.devfreq("dmc", shape.ddr_hz, "userspace");
        fake.devfreq(
            shape.gpu,
            &format!("300000000 {}", shape.gpu_hz),
            "simple_ondemand",
        );
        let npu = |name: &str| format!("sys/kernel/debug/rknpu/{name}");
        fake.put(&npu("version"), "RKNPU driver: v0.9.8\n");
        fake.put(&npu("load"), &format!("{}\n", shape.npu_load));
        let uevent = format!("DRIVER=RKNPU\nOF_NAME=npu\nOF_FULLNAME=/{}\n", shape.npu);
        fake.put("sys/class/drm/renderD129/device/uevent", &uevent);
        fake.put("sys/class/drm/renderD128/device/uevent", "DRIVER=mali\n");
        fake.zone(
            0,
            "soc-thermal",
            45_000,
            &[("passive", 75_000), ("critical", 115_000)],
        );
        fake.zone(1, "npu-thermal", 44_000, &[]);
        for (number, kind) in ["cpufreq-cpu0", "devfreq-npu", "pwm-fan"].iter().enumerate() {
            fake.cooling(number, kind, u32::from(*kind == "pwm-fan"));
        }
        fake.process(1, "systemd", "/dev/null");
        fake.process(700, "weston", "/dev/dri/renderD128");
        fake
    }

    fn common(cpus: u16, gigabytes: u64) -> Self {
        let mut fake = Self::default();
        let last = cpus - 1;
        fake.put("proc/sys/kernel/osrelease", "6.1.84\n");
        fake.put("sys/devices/system/cpu/online", &format!("0-{last}\n"));
        fake.put(
            "proc/self/status",
            &format!("Name:\tcp\nCpus_allowed_list:\t0-{last}\n"),
        );
        fake.put("proc/self/cgroup", "0::/user.slice\n");
        fake.put("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
        fake.put("proc/loadavg", "0.10 0.20 0.30 1/200 1234\n");
        fake.put("proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1\n");
        let kb = gigabytes * 1_000_000;
        fake.memory(kb, kb / 2, 0);
        fake
    }

    pub(crate) fn memory(&mut self, total_kb: u64, available_kb: u64, swap_used_kb: u64) -> &mut Self {
        let swap_free = 1_000_000 - swap_used_kb;
        let text = format!(
            "MemTotal: {total_kb} kB\nMemAvailable: {available_kb} kB\n\
             SwapTotal: 1000000 kB\nSwapFree: {swap_free} kB\n"
        );
        self.put("proc/meminfo", &text)
    }

    fn cpu_policy(&mut self, first: u16, last: u16, khz: u64, governor: &str) {
        let path = |name: &str| format!("sys/devices/system/cpu/cpufreq/policy{first}/{name}");
        let cpus: Vec<String> = (first..=last).map(|cpu| cpu.to_string()).collect();
        let khz = khz.to_string();
        for (name, text) in [
            ("related_cpus", &*cpus.join(" ")),
            ("scaling_governor", governor),
            ("scaling_available_governors", "ondemand userspace performance"),
            ("scaling_cur_freq", &khz),
            (
                "scaling_setspeed",
                if governor == "userspace" {
                    &khz
                } else {
                    "<unsupported>"
                },
            ),
            ("scaling_min_freq", "408000"),
            ("scaling_max_freq", &khz),
            ("cpuinfo_max_freq", &khz),
            ("scaling_available_frequencies", &format!("408000 816000 {khz} ")),
        ] {
            self.put(&path(name), &format!("{text}\n"));
        }
    }

    fn devfreq(&mut self, node: &str, steps: &str, governor: &str) {
        let path = |name: &str| format!("sys/class/devfreq/{node}/{name}");
        let (low, high) = (steps.split(' ').next(), steps.split(' ').next_back());
        let (low, high) = (low.unwrap_or_default(), high.unwrap_or_default());
        for (name, text) in [
            ("governor", governor),
            ("available_governors", "userspace performance simple_ondemand"),
            ("cur_freq", high),
            ("min_freq", low),
            ("max_freq", high),
            ("userspace/set_freq", high),
            ("available_frequencies", steps),
        ] {
            self.put(&path(name), &format!("{text}\n"));
        }
    }

    pub(crate) fn zone(&mut self, number: u8, name: &str, milli_c: i64, trips: &[(&str, i64)]) -> &mut Self {
        let path = |name: &str| format!("sys/class/thermal/thermal_zone{number}/{name}");
        self.put(&path("type"), &format!("{name}\n"));
        self.put(&path("temp"), &format!("{milli_c}\n"));
        for (index, (kind, milli_c)) in trips.iter().enumerate() {
            self.put(&path(&format!("trip_point_{index}_type")), &format!("{kind}\n"));
            self.put(
                &path(&format!("trip_point_{index}_temp")),
                &format!("{milli_c}\n"),
            );
        }
        self
    }

    pub(crate) fn cooling(&mut self, number: usize, kind: &str, state: u32) -> &mut Self {
        let path = |name: &str| format!("sys/class/thermal/cooling_device{number}/{name}");
        self.put(&path("type"), &format!("{kind}\n"));
        self.put(&path("cur_state"), &format!("{state}\n"))
    }

    /// A process with one file open.
    pub(crate) fn process(&mut self, pid: u32, name: &str, open: &str) -> &mut Self {
        self.put(&format!("proc/{pid}/comm"), &format!("{name}\n"));
        self.links.insert(format!("proc/{pid}/fd/3"), open.to_owned());
        self
    }

    /// Sets the contents of a file.
    pub(crate) fn put(&mut self, path: &str, text: &str) -> &mut Self {
        self.files.insert(path.to_owned(), text.as_bytes().to_vec());
        self
    }

    /// Removes all files whose path begins with `start`.
    pub(crate) fn remove(&mut self, start: &str) -> &mut Self {
        self.files.retain(|path, _| !path.starts_with(start));
        self
    }

    /// The paths of all files.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }

    /// Writes the tree.
    pub(crate) fn written(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (path, bytes) in &self.files {
            let path = place(dir.path(), path);
            fs::write(path, bytes).expect("written");
        }
        for (path, target) in &self.links {
            symlink(target, place(dir.path(), path)).expect("linked");
        }
        dir
    }
}

fn place(root: &Path, path: &str) -> PathBuf {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    path
}
