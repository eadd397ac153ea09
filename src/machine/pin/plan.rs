//! Plans the writes that hold every clock.

use super::knob::{Knob, Knobs, Node};
use crate::machine::board::{Board, Clock, NPU_GOVERNOR, ranges};

/// A value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    /// The folder.
    pub(crate) node: Node,
    /// The file in it.
    pub(crate) knob: Knob,
    /// The current value; absent if there is nothing to restore.
    pub(crate) from: Option<String>,
    /// The new value.
    pub(crate) to: String,
}

/// A clock to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its display name: `CPU 4-5`, `DDR`.
    pub(crate) what: String,
    /// Its folder.
    pub(crate) node: Node,
    /// Its frequency, Hz.
    pub(crate) hz: u64,
    /// Whether it shows the frequency that it is held at. Processors that choose their own clocks show the current one,
    /// whatever holds them.
    pub(crate) shows_current: bool,
    /// The writes in their order; empty if it is already held.
    pub(crate) writes: Vec<Write>,
}

/// A clock that cannot be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The clock.
    pub(crate) what: String,
    /// What is missing, and the consequence.
    pub(crate) why: String,
}

/// The clocks that can be held, and those that cannot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// The clocks to hold.
    pub(crate) targets: Vec<Target>,
    /// The clocks that cannot be held.
    pub(crate) missing: Vec<Missing>,
}

impl Plan {
    fn add(&mut self, what: String, found: Result<Target, String>) {
        match found {
            Ok(target) => self.targets.push(target),
            Err(why) => self.missing.push(Missing { what, why }),
        }
    }
}

/// The plan for a board whose files `knobs` reads.
pub(crate) fn plan(board: &Board, knobs: &dyn Knobs) -> Plan {
    let mut plan = Plan::default();
    let shows_current = board.soc().is_some();
    let hold = |what: &str, node: Option<Node>, hz: Option<u64>| {
        let node = node.ok_or("its folder in sysfs has a name that the kernel does not use")?;
        let hz = hz.ok_or("its highest frequency is unknown")?;
        hold(what, &node, hz, shows_current, knobs)
    };
    if board.cpu_clusters.is_empty() {
        let why =
            "there is no /sys/devices/system/cpu/cpufreq/policy*: the kernel shows no frequencies of CPUs";
        plan.add("CPU".to_owned(), Err(why.to_owned()));
    }
    for cluster in &board.cpu_clusters {
        let what = format!("CPU {}", ranges(&cluster.cpus));
        let node = Node::of_policy(&cluster.clock.node);
        let found = hold(&what, node, board.cpu_target_hz(cluster));
        plan.add(what, found);
    }
    let devfreq = |clock: &Clock| Some(Node::Devfreq(clock.node.clone())).filter(Node::is_plain);
    let is_rockchip = board.is_rockchip();
    if board.npu.clock.is_some() || is_rockchip {
        let found = board.npu.clock.as_ref().map_or_else(
            || {
                Err(
                    "there is no /sys/class/devfreq/*.npu: it needs Rockchip's kernel with the driver rknpu"
                        .to_owned(),
                )
            },
            |clock| {
                hold(
                    "NPU",
                    npu_node(board, knobs).or(devfreq(clock)),
                    board.npu_target_hz(),
                )
            },
        );
        plan.add("NPU".to_owned(), found);
    }
    if board.ddr.is_some() || is_rockchip {
        let found = board.ddr.as_ref().map_or_else(
            || {
                Err(
                    "there is no /sys/class/devfreq/dmc: firmware or kernel do not scale it, so nothing can \
                     hold it, and decode depends on this clock most"
                        .to_owned(),
                )
            },
            |clock| hold("DDR", devfreq(clock), board.ddr_target_hz()),
        );
        plan.add("DDR".to_owned(), found);
    }
    if let (Some(clock), Some(hz)) = (&board.gpu, board.gpu_target_hz()) {
        plan.add("GPU".to_owned(), hold("GPU", devfreq(clock), Some(hz)));
    }
    plan
}

/// The driver's own file, if Rockchip's script writes to it, it exists, and the governor leaves it alone.
fn npu_node(board: &Board, knobs: &dyn Knobs) -> Option<Node> {
    let own_file = board.soc()?.npu_file?;
    let governor = board.npu.clock.as_ref()?.governor.as_deref();
    if governor != Some(NPU_GOVERNOR) {
        return None;
    }
    let node = Node::RknpuDebug;
    let is_it = own_file.trim_start_matches('/') == node.path(Knob::Set);
    (is_it && knobs.read(&node.path(Knob::Set)).is_some()).then_some(node)
}

fn hold(what: &str, node: &Node, hz: u64, shows_current: bool, knobs: &dyn Knobs) -> Result<Target, String> {
    let found = |knob: Knob| knobs.read(&node.path(knob)).filter(|value| knob.can_hold(value));
    let to = hz / node.unit_hz();
    let wanted: Vec<(Knob, String)> = if *node == Node::RknpuDebug {
        vec![(Knob::Set, to.to_string())]
    } else {
        let limit = |knob: Knob| found(knob).and_then(|value| value.parse().ok());
        let (min, max) = (limit(Knob::Min), limit(Knob::Max));
        let offered = knobs.read(&node.governors());
        let offers = |governor: &str| {
            let listed = |list: &String| list.split(' ').any(|name| name == governor);
            offered.as_ref().is_some_and(listed) || found(Knob::Governor).as_deref() == Some(governor)
        };
        if offers("userspace") {
            by_userspace(to, min, max)
        } else {
            let (Some(_), Some(max)) = (min, max) else {
                return Err("it has neither the governor userspace nor limits that could hold it".to_owned());
            };
            let is_cpu = matches!(node, Node::Cpufreq(_));
            by_limits(to, max, is_cpu && offers("performance"))
        }
    };
    let writes = wanted.into_iter().map(|(knob, to)| Write {
        node: node.clone(),
        knob,
        from: found(knob),
        to,
    });
    Ok(Target {
        what: what.to_owned(),
        node: node.clone(),
        hz,
        shows_current,
        writes: writes
            .filter(|write| write.from.as_ref() != Some(&write.to))
            .collect(),
    })
}

/// Holds a clock with the governor `userspace`, as Rockchip's scripts do. Limits change only if they are in the way.
fn by_userspace(to: u64, min: Option<u64>, max: Option<u64>) -> Vec<(Knob, String)> {
    let mut wanted = Vec::new();
    if max.is_some_and(|max| max < to) {
        wanted.push((Knob::Max, to.to_string()));
    }
    if min.is_some_and(|min| min > to) {
        wanted.push((Knob::Min, to.to_string()));
    }
    wanted.push((Knob::Governor, "userspace".to_owned()));
    wanted.push((Knob::Set, to.to_string()));
    wanted
}

/// Holds a clock with equal limits, which leave the governor no choice.
fn by_limits(to: u64, max_now: u64, performance: bool) -> Vec<(Knob, String)> {
    let mut wanted = Vec::new();
    if performance {
        wanted.push((Knob::Governor, "performance".to_owned()));
    }
    let min = (Knob::Min, to.to_string());
    let max = (Knob::Max, to.to_string());
    wanted.extend(limits_in_order(to, max_now, min, max));
    wanted
}

/// The writes of both limits, ordered so that the lower one is never above the upper one: the kernel refuses that.
pub(super) fn limits_in_order<T>(new_min: u64, max_now: u64, min: T, max: T) -> [T; 2] {
    if new_min > max_now { [max, min] } else { [min, max] }
}
