//! What may make a run slower than published, item by item: what its record knows of each, and the command that shows
//! it on the board.

use serde::Serialize;

use super::table::Row;
use crate::model_name::NameParts;
use crate::record::{ModelRecord, RunRecord};

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

fn cpu_frequency(_: &Case) -> Check {
    unknown(
        "CPU frequency",
        "published at the highest; the SDK's fix_freq script sets it",
        "cat /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq",
    )
}

fn npu_frequency(_: &Case) -> Check {
    unknown(
        "NPU frequency",
        "published at the highest; the SDK's fix_freq script sets it",
        "cat /sys/class/devfreq/*.npu/cur_freq",
    )
}

/// No item of the old check-list, but decode is bound by memory: the largest single factor in users' reports (rknn-llm
/// issues 409 and 532).
fn ddr_frequency(_: &Case) -> Check {
    unknown(
        "DDR frequency",
        "decode is bound by memory; the SDK's fix_freq script sets it",
        "cat /sys/class/devfreq/dmc/cur_freq",
    )
}

fn npu_cores(case: &Case) -> Check {
    const ITEM: &str = "NPU cores";
    // What `num_npu_core` may be (SDK 1.3.0).
    let most = match case.row.soc.as_str() {
        "RK3588" => 3,
        "RK3576" => 2,
        _ => 1,
    };
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

fn other_npu_users(_: &Case) -> Check {
    unknown(
        "other NPU users",
        "camera and RKNN programs share the NPU; 0 % before a run",
        "sudo cat /sys/kernel/debug/rknpu/load",
    )
}

fn thermal_throttling(_: &Case) -> Check {
    unknown(
        "thermal throttling",
        "clocks fall from 75 degrees on (RK3588, RK3576); in thousandths",
        "cat /sys/class/thermal/thermal_zone*/temp",
    )
}

/// The big cores of a `SoC` that has two kinds (the SDK's scripts).
fn big_cores(soc: &str) -> Option<u32> {
    matches!(soc, "RK3588" | "RK3576").then_some(0xF0)
}

fn cpu_affinity(case: &Case) -> Check {
    const ITEM: &str = "CPU affinity";
    let threads = match case.run.parameters.threads {
        Some(threads) => format!(", {threads} threads"),
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
