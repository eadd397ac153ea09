//! What machine this is: read from the system, nothing measured.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine that made the figures. Fields that cannot be read are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// Name by the device tree; absent on machines without one.
    pub name: Option<String>,
    /// Model name of the first CPU.
    pub cpu: Option<String>,
    /// CPUs this process may use.
    pub cores: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// Architecture, for example `aarch64`.
    pub architecture: String,
    /// Memory in all, bytes.
    pub memory_bytes: Option<u64>,
}

impl Board {
    /// Reads it now.
    pub fn read() -> Self {
        let uname = rustix::system::uname();
        Self {
            name: fs::read_to_string("/proc/device-tree/model")
                .ok()
                .map(|name| name.trim_matches('\0').to_owned()),
            cpu: fs::read_to_string("/proc/cpuinfo")
                .ok()
                .and_then(|text| field(&text, "model name")),
            cores: cores(),
            kernel: uname.release().to_string_lossy().into_owned(),
            architecture: uname.machine().to_string_lossy().into_owned(),
            memory_bytes: fs::read_to_string("/proc/meminfo")
                .ok()
                .and_then(|text| kilobytes(&text, "MemTotal")),
        }
    }
}

/// CPUs this process may use, by its affinity and its control group.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Peak resident set of this process since it began, bytes (`VmHWM`).
pub fn peak_rss_bytes() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = field(text, name)?;
    Some(value.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 10 kB\n";
        assert_eq!(kilobytes(text, "VmHWM"), Some(2048 * 1024));
        assert_eq!(kilobytes(text, "VmSwap"), None);
        assert_eq!(
            field("model name\t: A CPU: fast\n", "model name").as_deref(),
            Some("A CPU: fast")
        );
    }

    #[test]
    fn this_process_has_a_peak() {
        assert!(peak_rss_bytes().is_some_and(|bytes| bytes > 100 * 1024));
    }
}
