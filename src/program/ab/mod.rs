//! Runs pairs of fresh processes of two commands in turns, so that changes of the machine affect both.

mod order;
mod side;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::order::Order;
use self::side::Side;
use crate::analysis::gate::{self, Aspect, Comparison, Limits};
use crate::base::atomic::{self, Existing};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::paths;
use crate::base::signals;
use crate::bench::progress::Repeats;
use crate::bench::repetitions::{End, Repetitions};
use crate::measure::turns::run_in_turns;
use crate::program::bench_process::{CommandLine, Place};
use crate::record::RunRecord;

/// The `kind` of an experiment's file.
const KIND: &str = "rkllm-bench ab";
/// Version of the file's schema.
const SCHEMA_VERSION: u32 = 1;
/// Name of the file, beside the records.
const FILE: &str = "ab.json";

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The command to compare with.
    pub(crate) base: CommandLine,
    /// The command under test.
    pub(crate) candidate: CommandLine,
    /// Number of pairs, or the time budget.
    pub(crate) repetitions: Repetitions,
    /// Decides which side of a pair goes first.
    pub(crate) seed: u64,
    /// Folder for the records.
    pub(crate) folder: PathBuf,
}

impl Plan {
    const fn line(&self, side: Side) -> &CommandLine {
        match side {
            Side::Base => &self.base,
            Side::Candidate => &self.candidate,
        }
    }
}

/// The file beside the records, with what was run in which order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Experiment {
    kind: String,
    schema_version: u32,
    /// Version of rkllm-bench that wrote it.
    tool_version: String,
    /// Start time, RFC 3339, UTC.
    started_at: String,
    seed: u64,
    base: String,
    candidate: String,
    /// The complete pairs, in order.
    pairs: Vec<PairOfFiles>,
}

/// One pair in that file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PairOfFiles {
    /// The side that was started first.
    first: Side,
    /// Start time, RFC 3339, UTC.
    started_at: String,
    /// Time of the pair, seconds.
    seconds: f64,
    /// File of the base's record.
    base: String,
    /// File of the candidate's record.
    candidate: String,
}

/// The completed pairs. Records with the same index are of one pair.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Records of the base.
    pub(crate) base: Vec<RunRecord>,
    /// Records of the candidate.
    pub(crate) candidate: Vec<RunRecord>,
    /// What all pairs took.
    pub(crate) elapsed: Duration,
    /// Why there are no more. Absent if the user stopped them.
    pub(crate) end: Option<End>,
}

/// Runs the pairs. Saves everything after each of them.
///
/// # Errors
/// [`Error::BadParameter`] if the folder holds another experiment, [`Error::Io`], [`Error::NoRecord`]. Completed
/// pairs stay in the folder.
pub(crate) fn take(plan: &Plan) -> Result<Taken> {
    let file = plan.folder.join(FILE);
    if file.exists() {
        return Err(Error::BadParameter(format!(
            "{} exists already: choose another folder with --output",
            file.shown()
        )));
    }
    let start = Instant::now();
    let mut experiment = Experiment::of(plan);
    atomic::write_json(&file, &experiment, Existing::Replace)?;
    let mut order = Order::seeded(plan.seed);
    let progress = Repeats::of("pair", plan.repetitions);
    let (mut base, mut candidate) = (Vec::new(), Vec::new());
    let end = loop {
        let done = base.len();
        if let Some(end) = plan.repetitions.end(done, start.elapsed()) {
            break Some(end);
        }
        progress.begins(done, start.elapsed());
        let Some(pair) = run_pair(plan, done, order.next_first())? else {
            break None;
        };
        experiment.pairs.push(pair.files);
        atomic::write_json(&file, &experiment, Existing::Replace)?;
        base.push(pair.base);
        candidate.push(pair.candidate);
    };
    Ok(Taken {
        base,
        candidate,
        elapsed: start.elapsed(),
        end,
    })
}

impl Experiment {
    fn of(plan: &Plan) -> Self {
        Self {
            kind: KIND.to_owned(),
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: jiff::Timestamp::now().to_string(),
            seed: plan.seed,
            base: plan.base.to_string(),
            candidate: plan.candidate.to_string(),
            pairs: Vec::new(),
        }
    }
}

/// A complete pair.
struct Pair {
    base: RunRecord,
    candidate: RunRecord,
    files: PairOfFiles,
}

/// Runs the pair with this index. Absent if the user stopped it.
fn run_pair(plan: &Plan, index: usize, first: Side) -> Result<Option<Pair>> {
    let stop = signals::is_stopped;
    let start = Instant::now();
    let started_at = jiff::Timestamp::now().to_string();
    let name = |side: Side| format!("pair-{:03}-{}", index + 1, side.name());
    let place = |side| Place::new(plan.line(side), &plan.folder.join(name(side)));
    let places = [place(first)?, place(first.other())?];
    let ended = run_in_turns(places.each_ref().map(Place::command), &stop)?;
    if stop() {
        return Ok(None);
    }
    let seconds = start.elapsed().as_secs_f64();
    let file = |side| format!("{}.json", name(side));
    let mut records = Vec::new();
    for ((place, ended), side) in places.into_iter().zip(&ended).zip([first, first.other()]) {
        records.push((side, place.keep(ended, &plan.folder.join(file(side)))?));
    }
    let mut of = |side| {
        let index = records.iter().position(|(other, _)| *other == side)?;
        Some(records.swap_remove(index).1)
    };
    let [base, candidate] = Side::ALL.map(&mut of);
    // Both exist, because without a stop both were started.
    Ok(base.zip(candidate).map(|(base, candidate)| Pair {
        base,
        candidate,
        files: PairOfFiles {
            first,
            started_at,
            seconds,
            base: file(Side::Base),
            candidate: file(Side::Candidate),
        },
    }))
}

/// Differences that are always allowed, because two builds or two models are what `ab` compares.
pub(crate) const ALLOWED: [Aspect; 2] = [Aspect::Model, Aspect::Runtime];

/// Compares the pairs. [`ALLOWED`] is added to `allowed`.
///
/// If each side has one model and the names differ, the models themselves are compared. The candidate's model then
/// gets the base's name, because metrics are matched by it.
pub(crate) fn compare(
    base: &[RunRecord],
    mut candidate: Vec<RunRecord>,
    allowed: &[Aspect],
    limits: &Limits,
) -> Comparison {
    let names = one_model(base).zip(one_model(&candidate));
    let names = names.filter(|(base, candidate)| base != candidate);
    if let Some((base, _)) = &names {
        for model in candidate.iter_mut().flat_map(|run| &mut run.models) {
            model.name.clone_from(base);
        }
    }
    let allowed: Vec<Aspect> = ALLOWED.into_iter().chain(allowed.iter().copied()).collect();
    let mut comparison = gate::compare_pairs(base, &candidate, &allowed, limits);
    if let Some((base, candidate)) = names {
        comparison.notes.push(format!(
            "two models: the base ran {base}, the candidate {candidate}; the identifiers have the base's name"
        ));
    }
    comparison
}

/// The name of the only model of all runs.
fn one_model(runs: &[RunRecord]) -> Option<String> {
    let mut names = runs.iter().flat_map(|run| &run.models).map(|model| &model.name);
    let first = names.next()?;
    names.all(|name| name == first).then(|| first.clone())
}

/// The default folder of an experiment.
pub(crate) fn folder_of(id: &str) -> PathBuf {
    paths::ab_dir().join(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::gate::Overall;
    use crate::record::fixtures;

    /// Three runs of a model called `name`.
    fn side(name: &str) -> Vec<RunRecord> {
        let run = |index: u64| {
            let mut run = fixtures::run("run", &[(50_000_000 + index * 1000, 10_000_000); 2]);
            name.clone_into(&mut run.models[0].name);
            name.clone_into(&mut run.models[0].sha256);
            run
        };
        (0..3).map(run).collect()
    }

    #[test]
    fn two_models_are_matched_by_the_bases_name() {
        let comparison = compare(&side("old"), side("new"), &[], &Limits::new(0.05));
        assert_eq!(comparison.overall, Overall::NoRegression);
        assert!(
            comparison
                .metrics
                .iter()
                .all(|judged| judged.id.starts_with("old/"))
        );
        let [note] = comparison.notes.as_slice() else {
            panic!("{:?}", comparison.notes);
        };
        assert!(note.contains("the base ran old, the candidate new"), "{note}");
        assert!(comparison.differences.iter().all(|difference| difference.allowed));
    }

    #[test]
    fn several_models_keep_their_names() {
        let two = |names: [&str; 2]| {
            let [mut runs, others] = names.map(side);
            for (run, other) in runs.iter_mut().zip(others) {
                run.models.extend(other.models);
            }
            runs
        };
        let comparison = compare(&two(["a", "b"]), two(["a", "c"]), &[], &Limits::new(0.05));
        assert_eq!(comparison.overall, Overall::Absent);
        assert!(comparison.notes.is_empty());
        let same = compare(&side("m"), side("m"), &[], &Limits::new(0.05));
        assert!(same.notes.is_empty() && same.overall == Overall::NoRegression);
    }

    #[test]
    fn what_else_differs_is_no_experiment_unless_named() {
        let mut candidate = side("m");
        candidate[0].parameters.max_context = 7;
        let verdict =
            |allowed: &[Aspect]| compare(&side("m"), candidate.clone(), allowed, &Limits::new(0.05)).overall;
        assert_eq!(verdict(&[]), Overall::NotComparable);
        assert_eq!(verdict(&[Aspect::Parameters]), Overall::NoRegression);
    }
}
