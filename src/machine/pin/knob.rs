//! The files that hold a clock: where they are, what they can hold, and how they are written.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::foreign::Shown as _;
use crate::machine::board::Files;

/// A folder of sysfs with the files of one clock. It is stored as what it is and not as a path: whatever a state file has
/// in it, nothing but these files is ever written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Node {
    /// The CPUs of a policy, by its number.
    Cpufreq(u16),
    /// A node of devfreq, by its name.
    Devfreq(String),
    /// The file of the NPU's driver that takes a frequency.
    RknpuDebug,
}

/// One file of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Knob {
    /// What chooses the frequency.
    Governor,
    /// Lower limit.
    Min,
    /// Upper limit.
    Max,
    /// Frequency that the governor `userspace` holds, or the driver's own file.
    Set,
}

impl Node {
    /// The policy or devfreq node of that name; absent for a name that the kernel does not give.
    pub(crate) fn of_policy(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("policy")?;
        let number = digits.parse().ok().map(Self::Cpufreq)?;
        (number.folder() == format!("sys/devices/system/cpu/cpufreq/{name}")).then_some(number)
    }

    /// Whether its name is one that the kernel gives: no other folder can be meant by it.
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

    /// Where a file of it is, below the root.
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

    /// The file that shows the frequency it is at.
    pub(super) fn current(&self) -> String {
        let name = match self {
            Self::Cpufreq(_) => "scaling_cur_freq",
            Self::Devfreq(_) => "cur_freq",
            Self::RknpuDebug => "freq",
        };
        format!("{}/{name}", self.folder())
    }

    /// The file with the governors that can be chosen.
    pub(super) fn governors(&self) -> String {
        let name = match self {
            Self::Cpufreq(_) => "scaling_available_governors",
            _ => "available_governors",
        };
        format!("{}/{name}", self.folder())
    }

    /// What one of its numbers is worth, Hz: cpufreq writes kHz.
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

/// Reads and writes the files of clocks, by their paths below the root.
pub(crate) trait Knobs {
    /// The value in a file; absent where there is none, or none of use.
    fn read(&self, path: &str) -> Option<String>;

    /// Writes a value into a file that is there.
    ///
    /// # Errors
    /// What the kernel says against it.
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
        // Links in a copy may lead to the files of the machine that it is on.
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
        // In one piece: sysfs takes each write for a value of its own.
        file.write_all(format!("{value}\n").as_bytes())
    }
}
