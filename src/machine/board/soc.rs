//! The SoCs that RKLLM supports, as data.

/// A SoC with an NPU that RKLLM drives.
///
/// The frequencies are those of the script `fix_freq_<soc>.sh` in Rockchip's SDK (`airockchip/rknn-llm`, release
/// 1.3.0), which its published figures use. None of it was verified on a board.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Soc {
    /// Its name in the SDK.
    pub name: &'static str,
    /// Cores of its NPU, the maximum for converting a model (`num_npu_core`, SDK 1.3.0 section 3.1.3).
    pub npu_cores: u8,
    /// Its fast CPUs, bit n for CPU n, from the policies of the same script; 0: all CPUs are alike.
    pub big_cores: u32,
    /// First CPU and frequency, Hz, of each cluster.
    pub cpu_hz: &'static [(u16, u64)],
    /// Frequency of the NPU, Hz.
    pub npu_hz: u64,
    /// File where the script writes the frequency of the NPU; absent: `userspace/set_freq` of the devfreq node.
    pub npu_file: Option<&'static str>,
    /// Frequency of the DDR memory, Hz. On RK3576 the device tree of the vendor has no such step, but 528, 1068, 1560
    /// and 2736 MHz. The steps of the node decide.
    pub ddr_hz: u64,
    /// Frequency of the GPU, which shares the memory, Hz; absent: the script does not set it.
    pub gpu_hz: Option<u64>,
    /// Lowest passive trip of its thermal zones, °C, from the device trees of `armbian/linux-rockchip`; absent:
    /// unknown.
    pub passive_trip_c: Option<f64>,
}

/// The SoCs that the SDK names. The thermal trips of RK3562 and RV1126B are unknown.
pub const SOCS: [Soc; 4] = [
    Soc {
        name: "RK3588",
        npu_cores: 3,
        big_cores: 0xF0,
        cpu_hz: &[(0, 1_800_000_000), (4, 2_352_000_000), (6, 2_352_000_000)],
        npu_hz: 1_000_000_000,
        npu_file: None,
        ddr_hz: 2_112_000_000,
        gpu_hz: Some(1_000_000_000),
        passive_trip_c: Some(75.0),
    },
    Soc {
        name: "RK3576",
        npu_cores: 2,
        big_cores: 0xF0,
        cpu_hz: &[(0, 2_208_000_000), (4, 2_304_000_000)],
        npu_hz: 1_000_000_000,
        npu_file: None,
        ddr_hz: 2_112_000_000,
        gpu_hz: Some(950_000_000),
        passive_trip_c: Some(75.0),
    },
    Soc {
        name: "RK3562",
        npu_cores: 1,
        big_cores: 0,
        cpu_hz: &[(0, 2_016_000_000)],
        npu_hz: 1_000_000_000,
        npu_file: Some("/sys/kernel/debug/rknpu/freq"),
        ddr_hz: 2_112_000_000,
        gpu_hz: None,
        passive_trip_c: None,
    },
    Soc {
        name: "RV1126B",
        npu_cores: 1,
        big_cores: 0,
        cpu_hz: &[(0, 1_608_000_000)],
        npu_hz: 950_000_000,
        npu_file: None,
        ddr_hz: 1_332_000_000,
        gpu_hz: None,
        passive_trip_c: None,
    },
];

impl Soc {
    /// The SoC with that name, ignoring case.
    pub fn named(name: &str) -> Option<&'static Self> {
        SOCS.iter().find(|soc| soc.name.eq_ignore_ascii_case(name))
    }

    /// The SoC that `compatible` of a device tree names; `rockchip,rk3588s` is an RK3588 with fewer pins.
    pub(super) fn compatible_with(compatible: &[String]) -> Option<&'static Self> {
        compatible.iter().find_map(|entry| {
            let chip = entry.strip_prefix("rockchip,")?.to_ascii_uppercase();
            SOCS.iter().find(|soc| chip.starts_with(soc.name))
        })
    }

    /// Frequency of the cluster of `cpu`, Hz.
    pub fn cpu_hz(&self, cpu: u16) -> Option<u64> {
        let cluster = self.cpu_hz.iter().rev().find(|(first, _)| *first <= cpu);
        cluster.map(|(_, hz)| *hz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_tree_names_its_soc() {
        for (entry, expected) in [
            ("rockchip,rk3588s", Some("RK3588")),
            ("rockchip,rk3588-evb1-lp4-v10", Some("RK3588")),
            ("rockchip,rk3576", Some("RK3576")),
            ("rockchip,rv1126b", Some("RV1126B")),
            ("rockchip,rv1126", None),
            ("radxa,rk3588-like", None),
            ("", None),
        ] {
            let found = Soc::compatible_with(&["xunlong,orangepi-5-plus".into(), entry.into()]);
            assert_eq!(found.map(|soc| soc.name), expected, "{entry}");
        }
    }

    #[test]
    fn a_cluster_has_the_frequency_of_its_first_cpu() {
        let soc = Soc::named("rk3588").expect("known");
        assert_eq!(soc.cpu_hz(3), Some(1_800_000_000));
        assert_eq!(soc.cpu_hz(5), Some(2_352_000_000));
    }
}
