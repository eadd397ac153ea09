//! What the machine did during one inference.

use serde::{Deserialize, Serialize};

/// What was seen of the machine while an inference ran. Percentages of CPU time are of one core: two cores that others
/// had for themselves are 200.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// How often it was looked at, right before and right after the inference included.
    pub ticks: usize,
    /// The clocks that could be read: CPU clusters by their folder (`policy4`), then `npu` and `ddr`.
    pub clocks: Vec<ClockRange>,
    /// Highest temperature of any zone, °C; absent without a sensor.
    pub hottest_c: Option<f64>,
    /// Mean load of each NPU core, percent, whoever used it; empty where it cannot be read (root alone can). The driver
    /// renews it once a second.
    pub npu_load_percent: Vec<f64>,
    /// Largest resident set of the process that runs the model, of those seen, bytes; absent once it is gone.
    pub rss_bytes: Option<u64>,
    /// Whether the kernel lowered clocks against heat; absent where nothing tells.
    pub throttled: Option<bool>,
    /// CPUs that the times below are of: those of the mask, else those that the process may use.
    pub cpus: Vec<u16>,
    /// CPU time that other processes and the kernel had of these CPUs, percent of one core.
    pub others_percent: Option<f64>,
    /// CPU time that was left of them, percent of one core.
    pub idle_percent: Option<f64>,
    /// CPU time of them that the hypervisor gave to other machines, percent of one core.
    pub steal_percent: Option<f64>,
    /// Time that threads of the model's process could have run and waited for a CPU, percent of one core; absent on
    /// kernels without `schedstat`.
    pub waited_percent: Option<f64>,
}

/// Frequencies of a clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRange {
    /// Which.
    pub clock: String,
    /// Frequency that it was held at when the run began, Hz; absent where it followed the load, or where the model does
    /// not run on its CPUs.
    pub held_hz: Option<u64>,
    /// Lowest that was seen, Hz.
    pub min_hz: u64,
    /// Highest that was seen, Hz.
    pub max_hz: u64,
}

impl Conditions {
    /// CPU time that the model's process lost to others, percent of one core; absent where nothing tells.
    ///
    /// Its threads waited, and others ran: the smaller of the two, since threads of one process wait for each other too,
    /// and who takes a core that the model leaves free takes nothing from it. Without `schedstat`: what others had beyond
    /// the time that was left. What the hypervisor gave away is lost in any case.
    pub fn lost_percent(&self) -> Option<f64> {
        let contended = match (self.waited_percent, self.others_percent, self.idle_percent) {
            (Some(waited), Some(others), _) => Some(waited.min(others)),
            (Some(waited), None, _) => Some(waited),
            (None, Some(others), Some(idle)) => Some((others - idle).max(0.0)),
            (None, _, _) => None,
        };
        match (contended, self.steal_percent) {
            (None, None) => None,
            (contended, steal) => Some(contended.unwrap_or(0.0) + steal.unwrap_or(0.0)),
        }
    }

    /// Whether nothing was seen.
    pub(super) fn is_empty(&self) -> bool {
        let bare = Self {
            ticks: self.ticks,
            cpus: self.cpus.clone(),
            ..Self::default()
        };
        *self == bare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_lost_to_others() {
        let of = |waited, others, idle, steal| {
            Conditions {
                waited_percent: waited,
                others_percent: others,
                idle_percent: idle,
                steal_percent: steal,
                ..Conditions::default()
            }
            .lost_percent()
        };
        // Others ran on a core that was free; threads of one process waited for each other; both; a quarter of that stolen.
        assert_eq!(of(Some(0.5), Some(100.0), Some(0.0), Some(0.0)), Some(0.5));
        assert_eq!(of(Some(80.0), Some(1.0), Some(0.0), None), Some(1.0));
        assert_eq!(of(Some(40.0), Some(150.0), Some(0.0), Some(25.0)), Some(65.0));
        // Without schedstat.
        assert_eq!(of(None, Some(60.0), Some(20.0), None), Some(40.0));
        assert_eq!(of(None, Some(60.0), Some(90.0), None), Some(0.0));
        assert_eq!(of(Some(7.0), None, None, None), Some(7.0));
        assert_eq!(of(None, None, None, Some(3.0)), Some(3.0));
        assert_eq!(of(None, None, None, None), None);
    }
}
