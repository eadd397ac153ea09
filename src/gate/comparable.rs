//! Whether two sets of runs may be compared: what must be equal, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::record::{ModelRecord, RunRecord};

/// A part of what a run was made with; the name that `--allow` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// The model's file.
    Model,
    /// The suite's prompts.
    Suite,
    /// What inferences were made with.
    Parameters,
    /// The library behind the C API.
    Runtime,
    /// The NPU driver.
    Driver,
    /// Board, processor and platform.
    Soc,
}

impl Aspect {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::Model,
        Self::Suite,
        Self::Parameters,
        Self::Runtime,
        Self::Driver,
        Self::Soc,
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

/// Something in which the runs of a comparison differ.
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
    /// Whether it was named as the experiment (`--allow`).
    pub allowed: bool,
}

type Facts = BTreeMap<(Aspect, String), BTreeSet<String>>;

/// In what the runs differ, between the sides or within one.
pub(crate) fn differences(
    baseline: &[&RunRecord],
    candidate: &[&RunRecord],
    allowed: &BTreeSet<Aspect>,
) -> Vec<Difference> {
    let (baseline, candidate) = (facts_of(baseline), facts_of(candidate));
    let mut found = Vec::new();
    for ((aspect, what), values) in &baseline {
        // What one side lacks altogether is an absent metric, not a difference.
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

/// A digest over all that must be equal for figures to compare: runs of one digest compare, and other runs do not.
/// Hexadecimal.
pub(crate) fn fingerprint(runs: &[&RunRecord]) -> String {
    let mut digest = Sha256::new();
    for ((aspect, what), values) in facts_of(runs) {
        let parts = [aspect.name(), &what].into_iter();
        for part in parts.chain(values.iter().map(String::as_str)) {
            // With its length, so that no two lists of facts have the same bytes.
            digest.update((part.len() as u64).to_le_bytes());
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
    let (board, parameters, suite) = (&run.board, &run.parameters, &run.suite);
    let mut facts = Vec::new();
    let mut fact = |aspect, what: &str, value: String| facts.push((aspect, what.to_owned(), value));
    fact(Aspect::Soc, "board", or_none(board.name.as_ref()));
    fact(Aspect::Soc, "cpu", or_none(board.cpu.as_ref()));
    fact(Aspect::Soc, "cores", board.cores.to_string());
    fact(Aspect::Soc, "architecture", board.architecture.clone());
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

fn facts_of_model(suite: &str, model: &ModelRecord) -> Vec<(Aspect, String, String)> {
    let mut facts = Vec::new();
    let mut fact = |aspect, what: String, value: String| facts.push((aspect, what, value));
    for prompt in &model.prompts {
        // All of how a prompt is run, but its text, which the suite's digest stands for.
        let how = (prompt.max_new_tokens, prompt.sampling, prompt.depth);
        let value = serde_json::to_string(&how).unwrap_or_default();
        let id = format!("{}/{suite}/{}", model.name, prompt.id);
        fact(
            Aspect::Parameters,
            format!("{id}: [new tokens, sampling, depth]"),
            value,
        );
        // Unknown where no inference was made: that is an absent metric, not a difference.
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
    let runtime = &loaded.runtime;
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
