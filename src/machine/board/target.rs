//! The frequency that each clock should be held at, so that figures are comparable with Rockchip's.

use super::{Board, Clock, CpuCluster};

impl Board {
    /// Of the DDR memory, Hz: its highest step, since some SoCs do not have the step of the script.
    pub fn ddr_target_hz(&self) -> Option<u64> {
        let clock = self.ddr.as_ref()?;
        let highest = clock.highest_hz.or(clock.max_hz);
        highest.or(self.soc().map(|soc| soc.ddr_hz))
    }

    /// Of the NPU, Hz; absent without a node, or if neither SoC nor node give its highest frequency.
    pub fn npu_target_hz(&self) -> Option<u64> {
        step(self.npu.clock.as_ref()?, self.soc().map(|soc| soc.npu_hz))
    }

    /// Of a CPU cluster, Hz; absent if neither SoC nor node give its highest frequency.
    pub fn cpu_target_hz(&self, cluster: &CpuCluster) -> Option<u64> {
        let by_script = self
            .soc()
            .zip(cluster.cpus.first())
            .and_then(|(soc, cpu)| soc.cpu_hz(*cpu));
        step(&cluster.clock, by_script)
    }

    /// Of the GPU, Hz; absent if Rockchip's script does not set it.
    pub fn gpu_target_hz(&self) -> Option<u64> {
        step(self.gpu.as_ref()?, Some(self.soc()?.gpu_hz?))
    }
}

/// The frequency of the script, or the highest without a script, rounded down to a step of the clock. Drivers round
/// other values, some up and some down.
fn step(clock: &Clock, by_script: Option<u64>) -> Option<u64> {
    let by_chip = clock.highest_hz.or(clock.max_hz);
    let wanted = match (by_script, by_chip) {
        (Some(script), Some(chip)) => script.min(chip),
        (script, chip) => script.or(chip)?,
    };
    let steps = &clock.available_hz;
    let below = steps.iter().rev().find(|hz| **hz <= wanted);
    Some(below.or(steps.first()).copied().unwrap_or(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_a_step_of_the_clock() {
        let clock = |steps: &[u64], highest: Option<u64>| Clock {
            available_hz: steps.to_vec(),
            highest_hz: highest,
            ..Clock::default()
        };
        assert_eq!(
            step(&clock(&[408, 2304, 2400], Some(2400)), Some(2352)),
            Some(2304)
        );
        assert_eq!(
            step(&clock(&[408, 2352, 2400], Some(2400)), Some(2352)),
            Some(2352)
        );
        assert_eq!(step(&clock(&[408, 1800], Some(1800)), Some(2352)), Some(1800));
        assert_eq!(step(&clock(&[408, 1800], Some(1800)), None), Some(1800));
        assert_eq!(step(&clock(&[], Some(2400)), Some(2352)), Some(2352));
        assert_eq!(step(&clock(&[2400], Some(2400)), Some(2352)), Some(2400));
        assert_eq!(step(&clock(&[], None), None), None);
    }
}
