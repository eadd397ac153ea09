//! Thermal zones with their trips, and throttling.

use serde::{Deserialize, Serialize};

use super::files::Files;

pub(crate) const THERMAL: &str = "sys/class/thermal";
pub(crate) const CPUS: &str = "sys/devices/system/cpu";
/// Counter of the throttle events of a CPU, below its folder (x86).
pub(crate) const THROTTLE_COUNT: &str = "thermal_throttle/core_throttle_count";
/// Plausible temperatures, thousandths of a degree: disabled zones report absolute zero.
const PLAUSIBLE_MILLI_C: std::ops::RangeInclusive<i64> = -60_000..=250_000;
/// Most trips read from a zone.
const MOST_TRIPS: usize = 16;

/// A place whose temperature the kernel monitors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThermalZone {
    /// Its name, such as `soc-thermal`.
    pub name: String,
    /// Temperature at the time of reading, °C; absent if the sensor reports none.
    pub temperature_c: Option<f64>,
    /// Its trips, ascending.
    pub trips: Vec<Trip>,
}

/// A temperature at which the kernel acts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// The action: `passive` lowers clocks, `active` starts a fan, `hot` warns, `critical` shuts down.
    pub kind: String,
    /// Its temperature, °C.
    pub temperature_c: f64,
}

/// A cooling device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoolingDevice {
    /// Its kind, such as `cpufreq-cpu0` or `pwm-fan`.
    pub kind: String,
    /// Its current step; 0 is off.
    pub state: u32,
}

impl ThermalZone {
    /// The lowest trip that lowers clocks, °C.
    pub fn passive_trip_c(&self) -> Option<f64> {
        let passive = self.trips.iter().find(|trip| trip.kind == "passive");
        passive.map(|trip| trip.temperature_c)
    }
}

impl CoolingDevice {
    /// Whether it currently lowers clocks. A running fan costs no speed.
    pub fn throttles(&self) -> bool {
        slows(&self.kind) && self.state > 0
    }
}

/// Whether a cooling device of this kind lowers clocks.
pub(crate) fn slows(kind: &str) -> bool {
    ["cpufreq", "devfreq", "Processor"]
        .iter()
        .any(|slowing| kind.contains(slowing))
}

/// The zones, sorted by name: their numbers change between boots.
pub(super) fn zones(files: &Files) -> Vec<ThermalZone> {
    let nodes = files.names(THERMAL).into_iter();
    let mut zones: Vec<ThermalZone> = nodes
        .filter(|node| node.starts_with("thermal_zone"))
        .filter_map(|node| zone(files, &format!("{THERMAL}/{node}")))
        .collect();
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    zones
}

fn zone(files: &Files, path: &str) -> Option<ThermalZone> {
    let name = files.value(&format!("{path}/type"))?;
    let mut trips: Vec<Trip> = (0..MOST_TRIPS)
        .map_while(|number| {
            let trip = format!("{path}/trip_point_{number}");
            files.exists(&format!("{trip}_type")).then(|| {
                Some(Trip {
                    kind: files.value(&format!("{trip}_type"))?,
                    temperature_c: celsius(files, &format!("{trip}_temp"))?,
                })
            })
        })
        .flatten()
        .collect();
    trips.sort_by(|a, b| a.temperature_c.total_cmp(&b.temperature_c));
    Some(ThermalZone {
        name,
        temperature_c: celsius(files, &format!("{path}/temp")),
        trips,
    })
}

fn celsius(files: &Files, path: &str) -> Option<f64> {
    let milli_c = files.number::<i64>(path)?;
    let found = plausible_c(milli_c);
    if found.is_none() {
        files.note(path, "not a possible temperature of a board");
    }
    found
}

/// Thousandths of a degree as °C, if a board can have that temperature.
pub(crate) fn plausible_c(milli_c: i64) -> Option<f64> {
    let plausible = Some(milli_c).filter(|milli_c| PLAUSIBLE_MILLI_C.contains(milli_c))?;
    // Exact: at most six digits.
    i32::try_from(plausible)
        .ok()
        .map(|milli_c| f64::from(milli_c) / 1000.0)
}

/// The cooling devices, sorted by kind.
pub(super) fn cooling(files: &Files) -> Vec<CoolingDevice> {
    let nodes = files.names(THERMAL).into_iter();
    let mut devices: Vec<CoolingDevice> = nodes
        .filter(|node| node.starts_with("cooling_device"))
        .filter_map(|node| {
            let file = |name: &str| format!("{THERMAL}/{node}/{name}");
            Some(CoolingDevice {
                kind: files.value(&file("type"))?,
                state: files.number(&file("cur_state"))?,
            })
        })
        .collect();
    devices.sort_by(|a, b| (&a.kind, a.state).cmp(&(&b.kind, b.state)));
    devices
}

/// How often the CPUs throttled since boot, from their counters (x86).
pub(super) fn throttle_count(files: &Files) -> Option<u64> {
    let cpus = files.names(CPUS).into_iter();
    let counts = cpus
        .filter(|name| {
            name.strip_prefix("cpu")
                .is_some_and(|rest| rest.parse::<u16>().is_ok())
        })
        .map(|name| format!("{CPUS}/{name}/{THROTTLE_COUNT}"))
        .filter_map(|path| files.number::<u64>(&path));
    counts.reduce(u64::saturating_add)
}
