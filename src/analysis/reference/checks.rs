//! What may make a run slower than published, item by item: what its record knows of each, and the command that shows
//! it on the board.

use serde::Serialize;

use super::table::Row;
use crate::inputs::model_name::NameParts;
use crate::machine::board::{Clock, Soc};
use crate::record::ledger::Mark;
use crate::record::{ModelRecord, RunRecord, Sample};

/// One item of the check-list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is looked at.
    pub item: &'static str,
    /// What the record says of it.
    pub state: CheckState,
    /// What was found, or what it should be where nothing is known.
    pub found: String,
    /// A command on the board that shows it (`llm_demo` is the SDK's); absent where the record has it, or only the model's
    /// maker knows.
    pub command: Option<&'static str>,
}

/// What a record says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Nothing there to slow the run down.
    Fine,
    /// May slow it down.
    Suspect,
    /// The record does not say.
    Unknown,
}

impl CheckState {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Suspect => "look here",
            Self::Unknown => "unknown",
        }
    }
}

/// What an item is looked up in.
pub(super) struct Case<'a> {
    pub(super) run: &'a RunRecord,
    pub(super) model: &'a ModelRecord,
    pub(super) parts: &'a NameParts,
    pub(super) row: &'static Row,
    /// Peak resident set, bytes.
    pub(super) peak_rss_bytes: Option<u64>,
}

/// Every item, those first that most often are the cause.
pub(super) fn all(case: &Case) -> Vec<Check> {
    [
        cpu_frequency,
        npu_frequency,
        ddr_frequency,
        npu_cores,
        optimization_level,
        memory,
        other_npu_users,
        thermal_throttling,
        cpu_affinity,
        context,
    ]
    .into_iter()
    .map(|check| check(case))
    .collect()
}

/// An item that the record says nothing of.
fn unknown(item: &'static str, should_be: impl Into<String>, command: &'static str) -> Check {
    Check {
        item,
        state: CheckState::Unknown,
        found: should_be.into(),
        command: Some(command),
    }
}

fn known(item: &'static str, is_fine: bool, found: String) -> Check {
    Check {
        item,
        state: if is_fine {
            CheckState::Fine
        } else {
            CheckState::Suspect
        },
        found,
        command: None,
    }
}

/// Clocks of one item, each with the frequency that it is published at, Hz; absent where that is not known.
type Targets<'a> = Vec<(&'a Clock, Option<u64>)>;

fn cpu_frequency(case: &Case) -> Check {
    let soc = Soc::named(&case.row.soc);
    let clusters = case.run.board.cpu_clusters.iter();
    let targets = clusters.map(|cluster| {
        let by_soc = soc
            .zip(cluster.cpus.first())
            .and_then(|(soc, cpu)| soc.cpu_hz(*cpu));
        (&cluster.clock, least(by_soc, cluster.clock.highest_hz))
    });
    let lowered = lowered(case, |clock| clock.starts_with("policy"));
    frequency("CPU frequency", &targets.collect(), lowered).unwrap_or_else(|| {
        unknown(
            "CPU frequency",
            "published at the highest; the SDK's fix_freq script sets it",
            "cat /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq",
        )
    })
}

fn npu_frequency(case: &Case) -> Check {
    let by_soc = Soc::named(&case.row.soc).map(|soc| soc.npu_hz);
    let clock = case.run.board.npu.clock.iter();
    let targets = clock.map(|clock| (clock, least(by_soc, clock.highest_hz)));
    frequency(
        "NPU frequency",
        &targets.collect(),
        lowered(case, |clock| clock == "npu"),
    )
    .unwrap_or_else(|| {
        unknown(
            "NPU frequency",
            "published at the highest; the SDK's fix_freq script sets it",
            "cat /sys/class/devfreq/*.npu/cur_freq",
        )
    })
}

/// No item of the old check-list, but decode is bound by memory: the largest single factor in users' reports (rknn-llm
/// issues 409 and 532).
fn ddr_frequency(case: &Case) -> Check {
    let by_soc = Soc::named(&case.row.soc).map(|soc| soc.ddr_hz);
    let clock = case.run.board.ddr.iter();
    let targets = clock.map(|clock| (clock, clock.highest_hz.or(by_soc)));
    frequency(
        "DDR frequency",
        &targets.collect(),
        lowered(case, |clock| clock == "ddr"),
    )
    .unwrap_or_else(|| {
        unknown(
            "DDR frequency",
            "decode is bound by memory; the SDK's fix_freq script sets it",
            "cat /sys/class/devfreq/dmc/cur_freq",
        )
    })
}

/// The smaller of what Rockchip's script sets and what the chip can.
fn least(by_script: Option<u64>, by_chip: Option<u64>) -> Option<u64> {
    by_script.into_iter().chain(by_chip).min()
}

/// Clocks at the run's start, and in how many samples one was lower; absent where no frequency is known.
fn frequency(item: &'static str, clocks: &Targets, lowered: usize) -> Option<Check> {
    let mut is_fine = lowered == 0;
    let mut is_known = true;
    let mut found = Vec::new();
    for (clock, target_hz) in clocks {
        let (fixed_hz, Some(hz)) = (clock.fixed_hz(), clock.fixed_hz().or(clock.current_hz)) else {
            is_known = false;
            continue;
        };
        is_known &= target_hz.is_some();
        // A clock divider can miss what was asked for by less than a hundredth.
        let is_high = target_hz.is_none_or(|target| hz >= target - target / 100);
        is_fine &= fixed_hz.is_some() && is_high;
        let held = if fixed_hz.is_some() { "held" } else { "not held" };
        let of = target_hz.map_or_else(String::new, |target| format!(" of {}", target / 1_000_000));
        found.push(format!("{} {held} at {}{of} MHz", clock.node, hz / 1_000_000));
    }
    if lowered > 0 {
        found.push(format!("lower in {}", counted(lowered, "sample")));
    }
    (!found.is_empty()).then(|| {
        let check = known(item, is_fine, found.join(", "));
        // One clock that was not seen keeps the others from being all that there is.
        if is_fine && !is_known {
            Check {
                state: CheckState::Unknown,
                found: format!("{}; not all of it is known", check.found),
                ..check
            }
        } else {
            check
        }
    })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn samples<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Sample> {
    case.model.prompts.iter().flat_map(|prompt| &prompt.samples)
}

/// Samples in which a clock that was held at the start was lower.
fn lowered(case: &Case, is_it: impl Fn(&str) -> bool) -> usize {
    let is_lower = |mark: &Mark| matches!(mark, Mark::LowerFrequency { clock, .. } if is_it(clock));
    samples(case)
        .filter(|sample| sample.marks.iter().any(is_lower))
        .count()
}

fn npu_cores(case: &Case) -> Check {
    const ITEM: &str = "NPU cores";
    let most = Soc::named(&case.row.soc).map_or(1, |soc| soc.npu_cores);
    let loaded = case.model.loaded.as_ref().and_then(|loaded| loaded.npu_cores);
    let (cores, source) = match (loaded, case.parts.npu_cores) {
        (Some(cores), _) => (cores, "the runtime"),
        (None, Some(cores)) => (cores, "its name"),
        (None, None) => {
            return unknown(
                ITEM,
                format!(
                    "{} has {most}; a model is converted for a number of them",
                    case.row.soc
                ),
                "echo exit | RKLLM_LOG_LEVEL=1 ./llm_demo <model> 64 512 | grep npu_core",
            );
        }
    };
    let asked = match case.run.parameters.npu_cores {
        Some(asked) => format!(", {asked} asked for"),
        None => String::new(),
    };
    known(
        ITEM,
        cores >= most,
        format!("{source} says {cores} of {most} on {}{asked}", case.row.soc),
    )
}

fn optimization_level(case: &Case) -> Check {
    const ITEM: &str = "optimisation level";
    let hybrid = match case.parts.hybrid_ratio {
        Some(ratio) => format!("; hybrid ratio {ratio} by its name, the published one is not stated"),
        None => String::new(),
    };
    match case.parts.optimization_level {
        Some(level) => known(
            ITEM,
            level == 0,
            format!("{level} by the model's name, published at 0{hybrid}"),
        ),
        None => Check {
            item: ITEM,
            state: CheckState::Unknown,
            found: format!(
                "not in the model's name; published at 0, and 1 costs speed: optimization_level in the script that \
                 converted it{hybrid}"
            ),
            command: None,
        },
    }
}

fn memory(case: &Case) -> Check {
    const ITEM: &str = "memory";
    /// The kernel and others need the rest; beyond that, pages of the model are dropped and read again, or swapped.
    const MOST_IN_PERCENT: u64 = 80;
    let (Some(peak), Some(all)) = (case.peak_rss_bytes, case.run.board.memory.total_bytes) else {
        return unknown(ITEM, "must hold the model without swapping", "free -m");
    };
    let percent = u128::from(peak) * 100 / u128::from(all.max(1));
    known(
        ITEM,
        percent <= u128::from(MOST_IN_PERCENT),
        format!(
            "peak {} MB of {} MB that the board has",
            peak / 1_000_000,
            all / 1_000_000
        ),
    )
}

fn other_npu_users(case: &Case) -> Check {
    const ITEM: &str = "other NPU users";
    let npu = &case.run.board.npu;
    if !npu.users.is_empty() {
        let pids: Vec<String> = npu.users.iter().map(|user| user.pid.to_string()).collect();
        return known(
            ITEM,
            false,
            format!("open at the start in process {}", pids.join(", ")),
        );
    }
    if npu.devices.is_empty() || npu.hidden_processes > 0 {
        return unknown(
            ITEM,
            "camera and RKNN programs share the NPU; 0 % before a run",
            "sudo cat /sys/kernel/debug/rknpu/load",
        );
    }
    known(ITEM, true, "none at the start".to_owned())
}

fn thermal_throttling(case: &Case) -> Check {
    const ITEM: &str = "thermal throttling";
    let conditions = || samples(case).filter_map(|sample| sample.conditions.as_ref());
    let known_of = conditions().filter(|seen| seen.throttled.is_some()).count();
    if known_of == 0 {
        return unknown(
            ITEM,
            "clocks fall from 75 degrees on (RK3588, RK3576); in thousandths",
            "cat /sys/class/thermal/thermal_zone*/temp",
        );
    }
    let throttled = conditions().filter(|seen| seen.throttled == Some(true)).count();
    let hottest = conditions().filter_map(|seen| seen.hottest_c).reduce(f64::max);
    let hottest = hottest.map_or_else(String::new, |hottest| format!(", at most {hottest:.1} degrees"));
    known(
        ITEM,
        throttled == 0,
        format!("in {throttled} of {}{hottest}", counted(known_of, "sample")),
    )
}

/// The big cores of a `SoC` that has two kinds.
fn big_cores(soc: &str) -> Option<u32> {
    let big = Soc::named(soc)?.big_cores;
    (big != 0).then_some(big)
}

fn cpu_affinity(case: &Case) -> Check {
    const ITEM: &str = "CPU affinity";
    let threads = match case.run.parameters.threads {
        Some(threads) => format!(", {}", counted(usize::from(threads), "thread")),
        None => String::new(),
    };
    match (case.run.parameters.cpu_mask, big_cores(&case.row.soc)) {
        (_, None) => known(
            ITEM,
            true,
            format!("the cores of {} are all alike{threads}", case.row.soc),
        ),
        (Some(mask), Some(big)) => known(
            ITEM,
            mask == big,
            format!("0x{mask:X}, the big cores are 0x{big:X}{threads}"),
        ),
        (None, Some(big)) => unknown(
            ITEM,
            format!("left to the runtime; --cpu-mask 0x{big:X} names the big cores{threads}"),
            "echo exit | RKLLM_LOG_LEVEL=1 ./llm_demo <model> 64 512 | grep -i cpus",
        ),
    }
}

/// No item of the old check-list: users see a model converted for 16,384 tokens run slower than one for 4,096.
fn context(case: &Case) -> Check {
    let converted = match case.parts.max_context {
        Some(tokens) => format!(", converted for {tokens} by its name"),
        None => String::new(),
    };
    Check {
        item: "context window",
        state: CheckState::Unknown,
        found: format!(
            "{} tokens{converted}; the published one is not stated, and a smaller one (--max-context) may be faster",
            case.run.parameters.max_context
        ),
        command: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_not_seen_is_not_fine() {
        let held = |hz| Clock {
            node: "policy0".into(),
            governor: Some("userspace".into()),
            set_hz: hz,
            ..Clock::default()
        };
        let (seen, unseen) = (held(Some(1_000_000_000)), held(None));
        let state = |clocks: Targets, lowered| frequency("x", &clocks, lowered).map(|check| check.state);
        let target = Some(1_000_000_000);
        assert_eq!(state(vec![(&seen, target)], 0), Some(CheckState::Fine));
        assert_eq!(
            state(vec![(&seen, target), (&unseen, target)], 0),
            Some(CheckState::Unknown)
        );
        assert_eq!(state(vec![(&seen, None)], 0), Some(CheckState::Unknown));
        assert_eq!(state(vec![(&seen, None)], 1), Some(CheckState::Suspect));
        assert_eq!(state(vec![(&unseen, target)], 0), None);
    }
}
