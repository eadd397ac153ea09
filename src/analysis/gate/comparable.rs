//! Whether two sets of runs can be compared: the facts that must be equal, by name.

use crate::base::number::Long as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::inference::{Runtime, RuntimeIdentity, ServerIdentity};
use crate::machine::board::{Board, Clock, mhz};
use crate::record::{ModelRecord, RunRecord};

/// A group of facts about a run, named as `--allow` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// The model's file.
    Model,
    /// The suite's prompts.
    Suite,
    /// The parameters of inferences.
    Parameters,
    /// The library behind the C API.
    Runtime,
    /// The NPU driver.
    Driver,
    /// Board, processor and platform.
    Soc,
    /// Governors, limits and fixed frequencies of CPU, NPU and DDR.
    Frequencies,
}

impl Aspect {
    /// All values.
    pub const ALL: [Self; 7] = [
        Self::Model,
        Self::Suite,
        Self::Parameters,
        Self::Runtime,
        Self::Driver,
        Self::Soc,
        Self::Frequencies,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Suite => "suite",
            Self::Parameters => "parameters",
            Self::Runtime => "runtime",
            Self::Driver => "driver",
            Self::Soc => "soc",
            Self::Frequencies => "frequencies",
        }
    }
}

impl FromStr for Aspect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|aspect| aspect.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no such difference; there are {names}")
        })
    }
}

/// A fact in which the runs of a comparison differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it belongs to.
    pub aspect: Aspect,
    /// What differs, such as `max_context`.
    pub what: String,
    /// Its values in the baseline.
    pub baseline: Vec<String>,
    /// Its values in the candidate.
    pub candidate: Vec<String>,
    /// Whether `--allow` permits it.
    pub allowed: bool,
}

type Facts = BTreeMap<(Aspect, String), BTreeSet<String>>;

/// The differences between the runs, across sides or within one.
pub(crate) fn differences(
    baseline: &[&RunRecord],
    candidate: &[&RunRecord],
    allowed: &BTreeSet<Aspect>,
) -> Vec<Difference> {
    let (baseline, candidate) = (facts_of(baseline), facts_of(candidate));
    let mut found = Vec::new();
    for ((aspect, what), values) in &baseline {
        // A fact that one side lacks entirely is an absent metric, not a difference.
        let Some(others) = candidate.get(&(*aspect, what.clone())) else {
            continue;
        };
        if values.union(others).count() > 1 {
            found.push(Difference {
                aspect: *aspect,
                what: what.clone(),
                baseline: values.iter().cloned().collect(),
                candidate: others.iter().cloned().collect(),
                allowed: allowed.contains(aspect),
            });
        }
    }
    found
}

/// A hexadecimal digest of everything that must be equal. Two runs can be compared if their digests are equal.
pub(crate) fn fingerprint(runs: &[&RunRecord]) -> String {
    let mut digest = Sha256::new();
    for ((aspect, what), values) in facts_of(runs) {
        let parts = [aspect.name(), &what].into_iter();
        for part in parts.chain(values.iter().map(String::as_str)) {
            // Each fact is preceded by its length, so that different lists of facts have different bytes.
            digest.update((part.len().long()).to_le_bytes());
            digest.update(part);
        }
    }
    hex::encode(digest.finalize())
}

fn facts_of(runs: &[&RunRecord]) -> Facts {
    let mut facts = Facts::new();
    for run in runs {
        for (aspect, what, value) in facts_of_run(run) {
            facts.entry((aspect, what)).or_default().insert(value);
        }
    }
    facts
}

fn facts_of_run(run: &RunRecord) -> Vec<(Aspect, String, String)> {
    let (parameters, suite) = (&run.parameters, &run.suite);
    let mut facts = facts_of_board(&run.board);
    let mut fact = |aspect, what: &str, value: String| facts.push((aspect, what.to_owned(), value));
    fact(Aspect::Suite, &suite.name, suite.sha256.clone());
    fact(
        Aspect::Parameters,
        "max_context",
        parameters.max_context.to_string(),
    );
    fact(Aspect::Parameters, "threads", or_none(parameters.threads));
    fact(
        Aspect::Parameters,
        "cpu_mask",
        or_none(parameters.cpu_mask.map(|mask| format!("{mask:#x}"))),
    );
    fact(Aspect::Parameters, "npu_cores", or_none(parameters.npu_cores));
    fact(Aspect::Parameters, "embed_flash", or_none(parameters.embed_flash));
    fact(
        Aspect::Parameters,
        "base_domain_id",
        or_none(parameters.base_domain_id),
    );
    fact(
        Aspect::Parameters,
        "in_process",
        parameters.in_process.to_string(),
    );
    for model in &run.models {
        facts.extend(facts_of_model(&suite.name, model));
    }
    facts
}

/// The facts of a board that must be equal. They exclude what changes from boot to boot and what only root can read:
/// current frequencies under a governor that follows the load, temperatures, numbers of zones.
fn facts_of_board(board: &Board) -> Vec<(Aspect, String, String)> {
    let share = &board.share;
    let mut facts: Vec<(Aspect, String, String)> = [
        ("board", or_none(board.name.as_ref())),
        ("soc", or_none(board.soc.as_ref())),
        ("cpu", or_none(board.cpu.as_ref())),
        ("cores", or_none(board.cores)),
        ("architecture", or_none(board.architecture.as_ref())),
        ("online CPUs", format!("{:?}", share.online_cpus)),
        ("allowed CPUs", format!("{:?}", share.allowed_cpus)),
        ("fast CPUs", format!("{:?}", board.big_cpus)),
        ("CPU quota", or_none(share.quota_cpus)),
    ]
    .map(|(what, value)| (Aspect::Soc, what.to_owned(), value))
    .into();
    let mut clock = |what: String, clock: Option<&Clock>| {
        facts.push((Aspect::Frequencies, what, clock_in_words(clock)));
    };
    for cluster in &board.cpu_clusters {
        clock(format!("CPUs {:?}", cluster.cpus), Some(&cluster.clock));
    }
    clock("NPU".into(), board.npu.clock.as_ref());
    clock("DDR".into(), board.ddr.as_ref());
    facts
}

/// Governor, limits, and the frequency if it is held.
fn clock_in_words(clock: Option<&Clock>) -> String {
    let Some(clock) = clock else {
        return "none".to_owned();
    };
    let limit = |hz: Option<u64>| hz.map_or_else(|| "unknown".to_owned(), mhz);
    format!(
        "{}, {} to {}, {}",
        clock.governor.as_deref().unwrap_or("governor unknown"),
        limit(clock.min_hz),
        limit(clock.max_hz),
        clock
            .fixed_hz()
            .map_or_else(|| "not fixed".to_owned(), |hz| format!("fixed at {}", mhz(hz)))
    )
}

fn facts_of_model(suite: &str, model: &ModelRecord) -> Vec<(Aspect, String, String)> {
    let mut facts = Vec::new();
    let mut fact = |aspect, what: String, value: String| facts.push((aspect, what, value));
    for prompt in &model.prompts {
        // How a prompt is run, without its text, which the suite's digest covers.
        let start = &prompt.cache_start;
        let how = (prompt.max_new_tokens, prompt.sampling, prompt.depth, start);
        let value = serde_json::to_string(&how).unwrap_or_default();
        let id = format!("{}/{suite}/{}", model.name, prompt.id);
        fact(
            Aspect::Parameters,
            format!("{id}: [new tokens, sampling, depth, start]"),
            value,
        );
        // Unknown if no inference was made. That is an absent metric, not a difference.
        if let Some(tokens) = prompt.prompt_tokens {
            fact(
                Aspect::Parameters,
                format!("{id}: prompt tokens"),
                tokens.to_string(),
            );
        }
    }
    let Some(loaded) = &model.loaded else {
        return facts;
    };
    fact(
        Aspect::Model,
        format!("{}: file", model.name),
        model.sha256.clone(),
    );
    fact(
        Aspect::Model,
        format!("{}: toolkit", model.name),
        or_none(loaded.toolkit.as_ref()),
    );
    fact(
        Aspect::Model,
        format!("{}: NPU cores", model.name),
        or_none(loaded.npu_cores),
    );
    match &loaded.runtime {
        Runtime::Library(library) => facts.extend(facts_of_library(library)),
        Runtime::Server(server) => facts.extend(facts_of_server(&model.path, server)),
    }
    facts
}

/// Without its address, which may change when a server restarts.
fn facts_of_server(model: &Path, server: &ServerIdentity) -> Vec<(Aspect, String, String)> {
    vec![
        (
            Aspect::Model,
            "server's name".into(),
            model.to_string_lossy().into_owned(),
        ),
        (
            Aspect::Runtime,
            "server".into(),
            or_none(server.software.as_ref()),
        ),
        (Aspect::Runtime, "api".into(), server.api.to_string()),
    ]
}

fn facts_of_library(runtime: &RuntimeIdentity) -> Vec<(Aspect, String, String)> {
    let mut facts = Vec::new();
    let mut fact = |aspect, what: String, value: String| facts.push((aspect, what, value));
    let line = runtime.version_line.as_ref();
    fact(Aspect::Runtime, "library".into(), runtime.library.name.clone());
    // The host runtime is part of the program, whose digest changes with every build.
    fact(
        Aspect::Runtime,
        "sha256".into(),
        or_none(runtime.library.sha256.as_ref()),
    );
    fact(
        Aspect::Runtime,
        "version".into(),
        or_none(line.map(|line| &line.runtime)),
    );
    fact(
        Aspect::Runtime,
        "cpu features".into(),
        or_none(runtime.cpu_features.as_ref()),
    );
    fact(
        Aspect::Driver,
        "version".into(),
        or_none(line.and_then(|line| line.driver.as_ref())),
    );
    fact(
        Aspect::Soc,
        "platform".into(),
        or_none(line.and_then(|line| line.platform.as_ref())),
    );
    facts
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::board::fake::Fake;
    use crate::record::fixtures;

    fn run_on(fake: &Fake) -> RunRecord {
        RunRecord {
            board: Board::read_below(fake.written().path()),
            ..fixtures::run("one", &[(50_000, 1_000)])
        }
    }

    /// What differs between a run on the fixed RK3588 and one on the same board changed.
    fn differing(change: impl Fn(&mut Fake)) -> Vec<(Aspect, String)> {
        let mut fake = Fake::rk3588();
        let before = run_on(&fake);
        change(&mut fake);
        let after = run_on(&fake);
        assert_ne!(before.board, after.board, "the change is seen");
        let found = differences(&[&before], &[&after], &BTreeSet::new());
        assert_eq!(
            found.is_empty(),
            fingerprint(&[&before]) == fingerprint(&[&after]),
            "a digest tells the same apart"
        );
        found
            .into_iter()
            .map(|difference| (difference.aspect, difference.what))
            .collect()
    }

    #[test]
    fn a_reboot_changes_nothing() {
        let gone = differing(|fake| {
            fake.remove("sys/class/thermal")
                .zone(5, "soc-thermal", 61_000, &[("passive", 75_000)])
                .cooling(9, "pwm-fan", 3)
                .put("sys/class/devfreq/fb000000.gpu/cur_freq", "300000000")
                .put("proc/loadavg", "3.1 2 1 1/1 1")
                .put("proc/stat", "cpu 9 9 9 9 9 9 9 9")
                .put("proc/sys/kernel/osrelease", "6.1.99")
                .put("sys/kernel/debug/rknpu/load", "NPU load: 50%")
                .put("proc/sys/kernel/random/boot_id", "another")
                .put("proc/uptime", "12.00 90.00")
                // Nodes are numbered in the order that their drivers come up.
                .remove("sys/class/drm")
                .put("sys/class/drm/renderD128/device/uevent", "DRIVER=RKNPU")
                .put("sys/class/drm/renderD129/device/uevent", "DRIVER=mali")
                .memory(8_000_000, 1_000_000, 500_000)
                .process(9, "other", "/dev/dri/renderD129");
        });
        assert_eq!(gone, []);
    }

    #[test]
    fn under_a_governor_that_follows_the_load_the_frequency_is_no_difference() {
        let mut fake = Fake::rk3588();
        fake.put("sys/class/devfreq/dmc/governor", "dmc_ondemand").put(
            "sys/devices/system/cpu/cpufreq/policy4/scaling_governor",
            "schedutil",
        );
        let idle = run_on(&fake);
        fake.put("sys/class/devfreq/dmc/cur_freq", "528000000").put(
            "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq",
            "408000",
        );
        let busy = run_on(&fake);
        assert_ne!(idle.board, busy.board);
        assert_eq!(fingerprint(&[&idle]), fingerprint(&[&busy]));
    }

    #[test]
    fn governors_that_follow_the_load_differ_from_each_other() {
        let under = |governor: &str| {
            let mut fake = Fake::rk3588();
            fake.put("sys/class/devfreq/dmc/governor", governor);
            fingerprint(&[&run_on(&fake)])
        };
        assert_ne!(under("dmc_ondemand"), under("simple_ondemand"));
    }

    #[test]
    fn frequencies_and_their_governors_must_be_equal() {
        const CPU: &str = "sys/devices/system/cpu/cpufreq/policy4";
        const NPU: &str = "sys/class/devfreq/fdab0000.npu";
        const DDR: &str = "sys/class/devfreq/dmc";
        for (path, text, what) in [
            (format!("{CPU}/scaling_governor"), "ondemand", "CPUs [4, 5]"),
            (format!("{CPU}/scaling_setspeed"), "816000", "CPUs [4, 5]"),
            (format!("{CPU}/scaling_max_freq"), "816000", "CPUs [4, 5]"),
            (format!("{NPU}/userspace/set_freq"), "300000000", "NPU"),
            (format!("{DDR}/userspace/set_freq"), "528000000", "DDR"),
            (format!("{DDR}/min_freq"), "2112000000", "DDR"),
        ] {
            let found = differing(|fake| {
                fake.put(&path, text);
            });
            assert_eq!(found, [(Aspect::Frequencies, what.to_owned())], "{path}");
        }
        let without_ddr = differing(|fake| {
            fake.remove("sys/class/devfreq/dmc");
        });
        assert_eq!(without_ddr, [(Aspect::Frequencies, "DDR".to_owned())]);
    }

    #[test]
    fn what_a_board_is_must_be_equal() {
        let quota = differing(|fake| {
            fake.put("sys/fs/cgroup/user.slice/cpu.max", "400000 100000");
        });
        let soc = |what: &str| (Aspect::Soc, what.to_owned());
        assert_eq!(quota, [soc("CPU quota"), soc("cores")]);
        let offline = differing(|fake| {
            fake.put("sys/devices/system/cpu/online", "0-6");
        });
        assert_eq!(offline, [soc("online CPUs")]);
    }
}
