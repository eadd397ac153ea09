//! The state of the machine during one inference.

use serde::{Deserialize, Serialize};

/// What the sampler saw of the machine during an inference. Percentages of CPU time are of one core: two cores fully
/// used by others are 200.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// Number of samples, including those right before and right after the inference.
    pub ticks: usize,
    /// The readable clocks: CPU clusters by their folder (`policy4`), then `npu` and `ddr`.
    pub clocks: Vec<ClockRange>,
    /// Highest temperature of any zone, °C; absent without a sensor.
    pub hottest_c: Option<f64>,
    /// Mean load of each NPU core by all processes, percent; empty if unreadable (only root can). The driver updates it
    /// once a second.
    pub npu_load_percent: Vec<f64>,
    /// Largest sampled resident set of the process that runs the model, bytes; absent once it is gone.
    pub rss_bytes: Option<u64>,
    /// Whether the kernel lowered clocks because of heat; absent if unknown.
    pub throttled: Option<bool>,
    /// The CPUs of the times below: those of the mask, else those that the process may use.
    pub cpus: Vec<u16>,
    /// CPU time of other processes and the kernel on these CPUs, percent of one core.
    pub others_percent: Option<f64>,
    /// Idle time of these CPUs, percent of one core.
    pub idle_percent: Option<f64>,
    /// CPU time of these CPUs that the hypervisor gave to other machines, percent of one core.
    pub steal_percent: Option<f64>,
    /// Time that runnable threads of the model's process waited for a CPU, percent of one core; absent on kernels
    /// without `schedstat`.
    pub waited_percent: Option<f64>,
}

/// Frequencies of a clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRange {
    /// Its name.
    pub clock: String,
    /// Frequency that it was held at when the run began, Hz; absent if it followed the load, or if the model does not
    /// run on its CPUs.
    pub held_hz: Option<u64>,
    /// Lowest sampled frequency, Hz.
    pub min_hz: u64,
    /// Highest sampled frequency, Hz.
    pub max_hz: u64,
}

impl Conditions {
    /// CPU time that the model's process lost to others, percent of one core; absent if unknown.
    ///
    /// It is the smaller of two times: that its threads waited, and that others ran. Threads of one process also wait
    /// for each other, and work on a core that the model leaves free costs the model nothing. Without `schedstat` it is
    /// the time of others beyond the idle time. Time that the hypervisor gave away is always lost.
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
        // Others ran on a free core; threads of one process waited for each other; both; a quarter of that stolen.
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
