//! What may make a run slower than published: the doctor's findings, what the samples show, and the context window.
//!
//! The doctor's rules are not repeated here. Its findings on the machine are those of the record. Its rules on a
//! model's conversion are applied to the one model, since the record's findings cover all models of the run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::table::Row;
use crate::inputs::model_name::NameParts;
use crate::machine::board::Soc;
use crate::machine::doctor::{self, Item, ModelFacts, Verdict};
use crate::record::ledger::Mark;
use crate::record::{ModelRecord, RunRecord, Sample};

/// One item of the check-list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is looked at.
    pub item: Cow<'static, str>,
    /// What the record says about it.
    pub state: CheckState,
    /// What was found, or what it should be where nothing is known.
    pub found: String,
    /// A command on the board that shows or fixes it (`llm_demo` is the SDK's); absent where none is needed, or where
    /// only the model's maker knows.
    pub command: Option<String>,
}

/// What a record says about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Nothing that slows the run down.
    Fine,
    /// May slow it down.
    Suspect,
    /// The record does not say.
    Unknown,
    /// Worth knowing, or not applicable to this machine.
    Note,
}

impl CheckState {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Suspect => "look here",
            Self::Unknown => "unknown",
            Self::Note => "note",
        }
    }
}

impl From<Verdict> for CheckState {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok => Self::Fine,
            Verdict::Bad => Self::Suspect,
            Verdict::Unknown => Self::Unknown,
            Verdict::Note => Self::Note,
        }
    }
}

/// The record that the check-list is made from.
pub(super) struct Case<'a> {
    pub(super) run: &'a RunRecord,
    pub(super) model: &'a ModelRecord,
    pub(super) parts: &'a NameParts,
    pub(super) row: &'static Row,
    /// Peak resident set, bytes.
    pub(super) peak_rss_bytes: Option<u64>,
}

/// An item of the doctor as the check-list shows it.
struct Known {
    /// The doctor's name of it.
    name: &'static str,
    item: &'static str,
    /// What it should be, where the record has no finding.
    should_be: &'static str,
    /// The command that shows it on the board.
    command: &'static str,
}

/// Items that are listed even where the doctor did not examine the machine, as with a server elsewhere.
const KNOWN: [Known; 5] = [
    Known {
        name: "cpu_frequency",
        item: "CPU frequency",
        should_be: "published at the highest; the SDK's fix_freq script sets it",
        command: "cat /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq",
    },
    Known {
        name: "npu_frequency",
        item: "NPU frequency",
        should_be: "published at the highest; the SDK's fix_freq script sets it",
        command: "cat /sys/class/devfreq/*.npu/cur_freq",
    },
    // Decode is bound by memory: the largest single factor in users' reports (rknn-llm issues 409 and 532).
    Known {
        name: "ddr_frequency",
        item: "DDR frequency",
        should_be: "decode is bound by memory; the SDK's fix_freq script sets it",
        command: "cat /sys/class/devfreq/dmc/cur_freq",
    },
    Known {
        name: "npu_users",
        item: "other NPU users",
        should_be: "camera and RKNN programs share the NPU; 0 % before a run",
        command: "sudo cat /sys/kernel/debug/rknpu/load",
    },
    Known {
        name: "big_cores",
        item: "CPU affinity",
        should_be: "",
        command: SHOW_CPUS,
    },
];

const SHOW_CPUS: &str = "echo exit | RKLLM_LOG_LEVEL=1 ./llm_demo <model> 64 512 | grep -i cpus";

/// The doctor's items on a model's conversion.
const OF_CONVERSION: [&str; 3] = ["model_platform", "npu_cores", "optimization_level"];

/// Every item: frequencies first, then the conversion, memory, other users, heat and the rest.
pub(super) fn all(case: &Case) -> Vec<Check> {
    let (clocks, others): (Vec<Check>, Vec<Check>) = machine(case)
        .into_iter()
        .partition(|check| check.item.ends_with(" frequency"));
    let mut checks = clocks;
    checks.extend(clocks_in_samples(case));
    checks.extend([npu_cores(case), optimization_level(case), memory(case)]);
    // Other users of the NPU, before heat.
    let at = others.iter().position(|check| check.item == "other NPU users");
    let (before, after) = others.split_at(at.map_or(0, |at| at + 1));
    checks.extend_from_slice(before);
    checks.push(thermal_throttling(case));
    checks.extend_from_slice(after);
    checks.push(context(case));
    checks
}

/// The doctor's findings on the machine; without any, what would have to be looked at.
fn machine(case: &Case) -> Vec<Check> {
    let findings = &case.run.doctor;
    if findings.is_empty() {
        return KNOWN.iter().map(|known| unexamined(case, known)).collect();
    }
    let findings = findings.iter();
    findings
        .filter(|finding| !OF_CONVERSION.contains(&&*finding.name))
        .map(of_finding)
        .collect()
}

fn unexamined(case: &Case, known: &Known) -> Check {
    if known.name == "big_cores" {
        return unexamined_affinity(case, known);
    }
    unknown(known.item, known.should_be, known.command)
}

/// The threads' CPUs on a machine that the doctor did not see.
fn unexamined_affinity(case: &Case, known: &Known) -> Check {
    let threads = match case.run.parameters.threads {
        Some(threads) => format!(", {}", counted(usize::from(threads), "thread")),
        None => String::new(),
    };
    let soc = &case.row.soc;
    let big = Soc::named(soc).map_or(0, |soc| soc.big_cores);
    let found = match (case.run.parameters.cpu_mask, big) {
        (_, 0) => format!("the cores of {soc} are all alike{threads}"),
        (Some(mask), big) => format!("0x{mask:X}, the big cores are 0x{big:X}{threads}"),
        (None, big) => {
            format!("left to the runtime; --cpu-mask 0x{big:X} names the big cores{threads}")
        }
    };
    unknown(known.item, found, known.command)
}

/// A finding of the doctor.
fn of_finding(finding: &Item) -> Check {
    let known = KNOWN.iter().find(|known| known.name == finding.name);
    let item = match (known, &*finding.name) {
        (Some(known), _) => known.item.into(),
        (None, "memory") => "free memory".into(),
        (None, "throttling") => "throttling at the start".into(),
        (None, "thermal") => "temperature".into(),
        (None, "npu_driver") => "NPU driver".into(),
        (None, "cpu_quota") => "CPU quota".into(),
        (None, other) => other.replace('_', " ").into(),
    };
    let shows = known
        .filter(|_| finding.verdict == Verdict::Unknown)
        .map(|known| known.command.to_owned());
    Check {
        item,
        state: finding.verdict.into(),
        found: with_advice(finding),
        command: finding.command.clone().or(shows),
    }
}

fn with_advice(finding: &Item) -> String {
    match &finding.recommended {
        Some(advice) => format!("{}; recommended: {advice}", finding.found),
        None => finding.found.clone(),
    }
}

/// An item that the record does not cover.
fn unknown(item: &'static str, should_be: impl Into<String>, command: &'static str) -> Check {
    Check {
        item: item.into(),
        state: CheckState::Unknown,
        found: should_be.into(),
        command: Some(command.into()),
    }
}

fn known(item: &'static str, is_fine: bool, found: String) -> Check {
    Check {
        item: item.into(),
        state: if is_fine {
            CheckState::Fine
        } else {
            CheckState::Suspect
        },
        found,
        command: None,
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn samples<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Sample> {
    case.model.prompts.iter().flat_map(|prompt| &prompt.samples)
}

/// Clocks that were held at the start and lower in a sample; absent where no sample shows a held clock.
fn clocks_in_samples(case: &Case) -> Option<Check> {
    let mut lowered: BTreeMap<&str, usize> = BTreeMap::new();
    for mark in samples(case).flat_map(|sample| &sample.marks) {
        if let Mark::LowerFrequency { clock, .. } = mark {
            *lowered.entry(clock).or_default() += 1;
        }
    }
    let conditions = samples(case).filter_map(|sample| sample.conditions.as_ref());
    let mut clocks = conditions.flat_map(|seen| &seen.clocks);
    let is_seen = clocks.any(|clock| clock.held_hz.is_some());
    let found: Vec<String> = lowered
        .iter()
        .map(|(clock, count)| format!("{clock} lower in {}", counted(*count, "sample")))
        .collect();
    let found = match found.as_slice() {
        [] => "no held clock was lower in a sample".to_owned(),
        _ => found.join(", "),
    };
    (is_seen || !lowered.is_empty()).then(|| known("clocks during samples", lowered.is_empty(), found))
}

/// What the doctor's rule says about this model's conversion.
fn of_conversion(case: &Case, name: &str) -> Option<Check> {
    let loaded = case.model.loaded.as_ref();
    let facts = ModelFacts {
        name: case.model.name.clone(),
        bytes: None,
        platform: None,
        npu_cores: loaded
            .and_then(|loaded| loaded.npu_cores)
            .or(case.parts.npu_cores),
        optimization_level: case.parts.optimization_level,
    };
    let findings = doctor::of_conversion(Soc::named(&case.row.soc), &facts);
    findings
        .iter()
        .find(|finding| finding.name == name)
        .map(of_finding)
}

fn npu_cores(case: &Case) -> Check {
    const ITEM: &str = "NPU cores";
    let of_runtime = case.model.loaded.as_ref().and_then(|loaded| loaded.npu_cores);
    let finding = of_conversion(case, "npu_cores");
    let (Some(finding), Some(cores)) = (finding, of_runtime.or(case.parts.npu_cores)) else {
        let most = Soc::named(&case.row.soc).map_or(1, |soc| soc.npu_cores);
        return unknown(
            ITEM,
            format!(
                "{} has {most}; a model is converted for a number of them",
                case.row.soc
            ),
            "echo exit | RKLLM_LOG_LEVEL=1 ./llm_demo <model> 64 512 | grep npu_core",
        );
    };
    let source = if of_runtime.is_some() {
        "the runtime"
    } else {
        "its name"
    };
    let asked = match case.run.parameters.npu_cores {
        Some(asked) => format!(", {asked} asked for"),
        None => String::new(),
    };
    Check {
        item: ITEM.into(),
        found: format!("{}; {source} says {cores}{asked}", finding.found),
        ..finding
    }
}

fn optimization_level(case: &Case) -> Check {
    const ITEM: &str = "optimisation level";
    let hybrid = match case.parts.hybrid_ratio {
        Some(ratio) => format!("; hybrid ratio {ratio} by its name, the published one is not stated"),
        None => String::new(),
    };
    let finding = of_conversion(case, "optimization_level");
    let (Some(finding), Some(level)) = (finding, case.parts.optimization_level) else {
        return Check {
            item: ITEM.into(),
            state: CheckState::Unknown,
            found: format!(
                "not in the model's name; published at 0, and 1 costs speed: optimization_level in the script that \
                 converted it{hybrid}"
            ),
            command: None,
        };
    };
    Check {
        item: ITEM.into(),
        found: format!("{level} by the model's name, published at 0{hybrid}"),
        ..finding
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

/// Users see a model converted for 16,384 tokens run slower than one for 4,096.
fn context(case: &Case) -> Check {
    let converted = match case.parts.max_context {
        Some(tokens) => format!(", converted for {tokens} by its name"),
        None => String::new(),
    };
    Check {
        item: "context window".into(),
        state: CheckState::Unknown,
        found: format!(
            "{} tokens{converted}; the published one is not stated, and a smaller one (--max-context) may be faster",
            case.run.parameters.max_context
        ),
        command: None,
    }
}
