//! The files that control a clock: their paths, their valid values, and how they are written.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::foreign::Shown as _;
use crate::machine::board::Files;

/// A folder of sysfs with the files of one clock. It is stored by kind, not as a path. So nothing but these files is
/// ever written, whatever a state file contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Node {
    /// The cpufreq policy with this number.
    Cpufreq(u16),
    /// The devfreq node with this name.
    Devfreq(String),
    /// The frequency file of the NPU driver.
    RknpuDebug,
}

/// One file of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Knob {
    /// The governor.
    Governor,
    /// Lower limit.
    Min,
    /// Upper limit.
    Max,
    /// The frequency for the governor `userspace`, or of the driver's own file.
    Set,
}

impl Node {
    /// The cpufreq policy with that name; absent for a name that the kernel does not use.
    pub(crate) fn of_policy(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("policy")?;
        let number = digits.parse().ok().map(Self::Cpufreq)?;
        (number.folder() == format!("sys/devices/system/cpu/cpufreq/{name}")).then_some(number)
    }

    /// Whether the kernel could have given its name, so that no other folder is meant.
    pub(crate) fn is_plain(&self) -> bool {
        let Self::Devfreq(name) = self else { return true };
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_@:".contains(c);
        (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
    }

    fn folder(&self) -> String {
        match self {
            Self::Cpufreq(number) => format!("sys/devices/system/cpu/cpufreq/policy{number}"),
            Self::Devfreq(name) => format!("sys/class/devfreq/{name}"),
            Self::RknpuDebug => "sys/kernel/debug/rknpu".to_owned(),
        }
    }

    /// The path of one of its files, below the root.
    pub(crate) fn path(&self, knob: Knob) -> String {
        let name = match (self, knob) {
            (Self::Cpufreq(_), Knob::Governor) => "scaling_governor",
            (Self::Cpufreq(_), Knob::Min) => "scaling_min_freq",
            (Self::Cpufreq(_), Knob::Max) => "scaling_max_freq",
            (Self::Cpufreq(_), Knob::Set) => "scaling_setspeed",
            (Self::Devfreq(_), Knob::Governor) => "governor",
            (Self::Devfreq(_), Knob::Min) => "min_freq",
            (Self::Devfreq(_), Knob::Max) => "max_freq",
            (Self::Devfreq(_), Knob::Set) => "userspace/set_freq",
            (Self::RknpuDebug, _) => "freq",
        };
        format!("{}/{name}", self.folder())
    }

    /// The file with the current frequency.
    pub(super) fn current(&self) -> String {
        let name = match self {
            Self::Cpufreq(_) => "scaling_cur_freq",
            Self::Devfreq(_) => "cur_freq",
            Self::RknpuDebug => "freq",
        };
        format!("{}/{name}", self.folder())
    }

    /// The file with the available governors.
    pub(super) fn governors(&self) -> String {
        let name = match self {
            Self::Cpufreq(_) => "scaling_available_governors",
            _ => "available_governors",
        };
        format!("{}/{name}", self.folder())
    }

    /// The unit of its numbers, Hz: cpufreq uses kHz.
    pub(super) fn unit_hz(&self) -> u64 {
        match self {
            Self::Cpufreq(_) => 1000,
            _ => 1,
        }
    }
}

impl Knob {
    /// Whether `value` is one that the kernel shows in such a file.
    pub(super) fn can_hold(self, value: &str) -> bool {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        match self {
            Self::Governor => (1..=32).contains(&value.len()) && value.chars().all(is_name),
            _ => value.len() <= 11 && value.parse::<u64>().is_ok(),
        }
    }
}

/// Reads and writes the files of clocks by their paths below the root.
pub(crate) trait Knobs {
    /// The value in a file; absent if there is none or it is unusable.
    fn read(&self, path: &str) -> Option<String>;

    /// Writes a value to an existing file.
    ///
    /// # Errors
    /// The error of the kernel.
    fn write(&self, path: &str, value: &str) -> io::Result<()>;
}

/// The files below a root folder: `/`, or a copy of a machine's files.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The files below `root`.
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }
}

impl Knobs for Tree {
    fn read(&self, path: &str) -> Option<String> {
        Files::below(&self.root).value(path)
    }

    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let place = self.root.join(path).canonicalize()?;
        // Links in a copy may lead to files of the machine itself.
        if !place.starts_with(self.root.join("sys").canonicalize()?) {
            let where_to = place.shown();
            return Err(io::Error::other(format!(
                "a link that leads out of the folder sys, to {where_to}"
            )));
        }
        if !place.metadata()?.is_file() {
            return Err(io::Error::other(
                "a folder, device, pipe or socket in a file's place",
            ));
        }
        let mut file = OpenOptions::new()
            .write(true)
            .truncate(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW)
            .open(place)?;
        // In one call: sysfs takes each write as a whole value.
        file.write_all(format!("{value}\n").as_bytes())
    }
}
