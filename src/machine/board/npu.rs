//! The NPU: its driver, its load, and who uses it.

use std::io;

use serde::{Deserialize, Serialize};

use super::clock::{self, Clock};
use super::files::Files;

/// Files with the driver's version. Everybody can read the first, root the second; the third exists if the driver was
/// built with its proc option.
const VERSIONS: [&str; 3] = [
    "sys/module/rknpu/version",
    "sys/kernel/debug/rknpu/version",
    "proc/rknpu/version",
];
pub(crate) const LOADS: [&str; 2] = ["sys/kernel/debug/rknpu/load", "proc/rknpu/load"];
/// Device of a driver that was built without DRM.
const DEVICE: &str = "dev/rknpu";
/// Most users that are listed.
const MOST_USERS: usize = 20;

/// The NPU as Rockchip's driver `rknpu` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Npu {
    /// Version of the driver, such as `0.9.8`; absent without the driver, or without permission to read it.
    pub driver: Option<String>,
    /// Its clock; absent without a devfreq node.
    pub clock: Option<Clock>,
    /// Load of each core in the last full second, percent; empty if unreadable (only root can). Old drivers can report
    /// more than 100.
    pub load_percent: Vec<u32>,
    /// Its devices below `/dev`; empty if none is known.
    pub devices: Vec<String>,
    /// Other processes that have one of the devices open.
    pub users: Vec<NpuUser>,
    /// Processes whose open files could not be listed: the users of the NPU are then unknown.
    pub hidden_processes: usize,
}

/// A process that has the NPU's device open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NpuUser {
    /// Its process id.
    pub pid: u32,
    /// Its name in the kernel.
    pub name: Option<String>,
}

impl Npu {
    pub(super) fn read(files: &Files) -> Self {
        let devices = devices(files);
        let (users, hidden_processes) = users(files, &devices);
        Self {
            driver: VERSIONS.iter().find_map(|path| driver(files, path)),
            clock: clock::devfreq(files, |kind| kind == "npu"),
            load_percent: LOADS
                .iter()
                .find_map(|path| load(files, path))
                .unwrap_or_default(),
            devices,
            users,
            hidden_processes,
        }
    }

    /// Whether anything shows an NPU with Rockchip's driver.
    pub fn is_there(&self) -> bool {
        self.driver.is_some() || self.clock.is_some() || !self.devices.is_empty()
    }
}

/// `0.9.8` of `RKNPU driver: v0.9.8`.
fn driver(files: &Files, path: &str) -> Option<String> {
    let value = files.value(path)?;
    let version = value.rsplit(' ').next().unwrap_or_default();
    let version = version.strip_prefix('v').unwrap_or(version);
    let is_version = version.contains('.') && version.split('.').all(|part| part.parse::<u16>().is_ok());
    if !is_version {
        files.note(path, "no version in it");
    }
    is_version.then(|| version.to_owned())
}

fn load(files: &Files, path: &str) -> Option<Vec<u32>> {
    let found = loads(&files.value(path)?);
    if found.is_empty() {
        files.note(path, "no load in it");
    }
    (!found.is_empty()).then_some(found)
}

/// The loads in `NPU load:  Core0: 12%, Core1: 0%,` or `NPU load: 12%`.
pub(crate) fn loads(text: &str) -> Vec<u32> {
    let words = text.split([' ', ',', ':', '\n']);
    words
        .filter_map(|word| word.strip_suffix('%')?.parse().ok())
        .take(16)
        .collect()
}

/// With DRM, as in vendor kernels, the NPU is a separate card beside the GPU and the display. The name of its driver
/// identifies it (unconfirmed on a board).
fn devices(files: &Files) -> Vec<String> {
    let mut devices = Vec::new();
    for node in files.names("sys/class/drm") {
        if !(node.starts_with("renderD") || node.starts_with("card")) || node.contains('-') {
            continue;
        }
        let uevent = files.text(&format!("sys/class/drm/{node}/device/uevent"));
        let is_npu = |line: &str| line.eq_ignore_ascii_case("driver=rknpu");
        if uevent.is_some_and(|text| text.lines().any(is_npu)) {
            devices.push(format!("/dev/dri/{node}"));
        }
    }
    if files.exists(DEVICE) {
        devices.push(format!("/{DEVICE}"));
    }
    devices
}

/// Other processes with one of `devices` open, ordered by id, and the number of processes that could not be inspected.
fn users(files: &Files, devices: &[String]) -> (Vec<NpuUser>, usize) {
    let (mut users, mut hidden) = (Vec::new(), 0);
    if devices.is_empty() {
        return (users, hidden);
    }
    let own = files.link("proc/self");
    let mut pids: Vec<u32> = files
        .names("proc")
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter(|pid: &u32| {
            own.as_ref()
                .is_none_or(|own| own.as_os_str() != pid.to_string().as_str())
        })
        .collect();
    pids.sort_unstable();
    for pid in pids {
        match files.try_names(&format!("proc/{pid}/fd")) {
            Ok(open) => {
                let holds = open.iter().any(|fd| holds(files, pid, fd, devices));
                if holds && users.len() < MOST_USERS {
                    let name = files.value(&format!("proc/{pid}/comm"));
                    users.push(NpuUser { pid, name });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => hidden += 1,
            // The process has ended.
            Err(_) => {}
        }
    }
    (users, hidden)
}

fn holds(files: &Files, pid: u32, fd: &str, devices: &[String]) -> bool {
    let target = files.link(&format!("proc/{pid}/fd/{fd}"));
    target.is_some_and(|target| devices.iter().any(|device| target.as_os_str() == device.as_str()))
}
