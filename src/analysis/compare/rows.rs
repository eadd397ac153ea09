//! The rows of one suite.

use std::collections::{BTreeMap, BTreeSet};

use super::member::Member;
use super::table::{Cell, Interval, Over, Ratio, Row, SuiteTable};
use crate::analysis::metrics::{self, Measure, Metric, Prompts, Worse};
use crate::base::stats::{Group, RunValue, mean, variance, welch};
use crate::record::{PromptRecord, RunRecord};

/// Level of each interval.
const LEVEL: f64 = 0.95;
/// The measures that are shown. Percentiles of gaps are left to the gate, which knows how many samples they need.
const SHOWN: [Measure; 7] = [
    Measure::Prefill,
    Measure::Ttft,
    Measure::Decode,
    Measure::Total,
    Measure::Load,
    Measure::PeakMemory,
    Measure::WorstGap,
];

/// Values of a metric, one per run.
type Values = BTreeMap<(Measure, Option<String>), Vec<RunValue>>;

/// The table of one suite. Absent without samples.
pub(super) fn table(suite: &str, members: &[Member]) -> Option<SuiteTable> {
    let alike = alike(suite, members);
    let own: Vec<Prompts> = members
        .iter()
        .map(|member| {
            let mut prompts = member.prompts(suite);
            prompts.retain(|(_, id)| alike.contains(id));
            prompts
        })
        .collect();
    let reference = own.iter().position(|prompts| !prompts.is_empty())?;
    let ids = |prompts: &Prompts| prompts.iter().map(|(_, id)| id.clone()).collect::<BTreeSet<_>>();
    let of_those_with_samples = own.iter().filter(|prompts| !prompts.is_empty()).map(ids);
    let common = of_those_with_samples.reduce(|a, b| &a & &b).unwrap_or_default();
    let values: Vec<Values> = members
        .iter()
        .zip(&own)
        .map(|(member, own)| values(&member.runs_of(suite), own, &common))
        .collect();
    let ordered = in_order(suite, members);
    let rows = keys(&ordered)
        .filter_map(|key| row(&key, &values, reference))
        .collect();
    Some(SuiteTable {
        suite: suite.to_owned(),
        reference,
        common_prompts: ordered.into_iter().filter(|id| common.contains(id)).collect(),
        rows,
    })
}

/// The prompts' ids in the order of the runs.
fn in_order(suite: &str, members: &[Member]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for (_, prompt) in prompts(suite, members) {
        if !ids.contains(&prompt.id) {
            ids.push(prompt.id.clone());
        }
    }
    ids
}

/// All prompts of the members' models in the runs of a suite.
fn prompts<'a>(suite: &str, members: &[Member<'a>]) -> Vec<(&'a RunRecord, &'a PromptRecord)> {
    let mut found = Vec::new();
    for member in members {
        for run in member.runs_of(suite) {
            for model in run.models.iter().filter(|model| model.name == member.model) {
                found.extend(model.prompts.iter().map(|prompt| (run, prompt)));
            }
        }
    }
    found
}

/// The ids with the same work in all runs: equal input and limits.
pub(super) fn alike(suite: &str, members: &[Member]) -> BTreeSet<String> {
    let all = prompts(suite, members);
    let same = |id: &str| {
        let mut of_id = all.iter().filter(|(_, prompt)| prompt.id == id);
        let first = of_id.next();
        of_id.all(|(run, prompt)| {
            first.is_some_and(|(other_run, other)| {
                prompt.input == other.input
                    && prompt.max_new_tokens == other.max_new_tokens
                    && prompt.sampling == other.sampling
                    && prompt.depth == other.depth
                    && prompt.cache_start == other.cache_start
                    && run.suite.ignore_eos == other_run.suite.ignore_eos
            })
        })
    };
    let ids = all.iter().map(|(_, prompt)| &prompt.id);
    ids.filter(|id| same(id)).cloned().collect()
}

/// The ids of a suite whose work differs.
pub(super) fn unlike(suite: &str, members: &[Member]) -> Vec<String> {
    let alike = alike(suite, members);
    let ids = in_order(suite, members).into_iter();
    ids.filter(|id| !alike.contains(id)).collect()
}

/// The rows in their order: each measure over the common prompts, then of each prompt.
fn keys(ids: &[String]) -> impl Iterator<Item = (Measure, Option<String>)> {
    SHOWN.into_iter().flat_map(move |measure| {
        let of_prompts = ids.iter().map(|id| Some(id.clone()));
        std::iter::once(None)
            .chain(of_prompts)
            .map(move |prompt| (measure, prompt))
    })
}

/// The values of one model that every run has.
fn values(runs: &[&RunRecord], own: &Prompts, common: &BTreeSet<String>) -> Values {
    let mut values = Values::new();
    let mut add = |metric: Metric, value| {
        let key = (metric.measure, metric.prompt);
        values.entry(key).or_default().push(value);
    };
    let shared: Prompts = own
        .iter()
        .filter(|(_, id)| common.contains(id))
        .cloned()
        .collect();
    let model = own.first().map(|(model, _)| model.clone()).unwrap_or_default();
    for run in runs {
        // A metric of one prompt uses all prompts of the model. A metric over prompts uses the common ones.
        for (metric, value) in metrics::of_run(run, own) {
            if metric.model == model && metric.prompt.is_some() {
                add(metric, value);
            }
        }
        for (metric, value) in metrics::of_run(run, &shared) {
            if metric.model == model && metric.prompt.is_none() {
                add(metric, value);
            }
        }
    }
    values.retain(|_, of_runs| of_runs.len() == runs.len());
    values
}

fn row(key: &(Measure, Option<String>), values: &[Values], reference: usize) -> Option<Row> {
    let (measure, prompt) = key;
    let sides: Vec<Option<&[RunValue]>> = values
        .iter()
        .map(|values| values.get(key).map(Vec::as_slice))
        .collect();
    if sides.iter().all(Option::is_none) {
        return None;
    }
    let best = best(&sides, measure.worse());
    let cell = |(index, side): (usize, Option<&[RunValue]>)| {
        let side = side?;
        let to = sides[reference].filter(|_| index != reference);
        Some(Cell {
            value: log_mean(side)?.exp(),
            ratio: to.and_then(|to| ratio(to, side)),
            best: best.contains(&index),
        })
    };
    Some(Row {
        measure: *measure,
        prompt: prompt.clone(),
        unit: measure.unit(),
        worse: measure.worse(),
        cells: sides.iter().copied().enumerate().map(cell).collect(),
    })
}

fn log_mean(side: &[RunValue]) -> Option<f64> {
    mean(&side.iter().map(|run| run.mean).collect::<Vec<_>>())
}

/// The best subject and those indistinguishable from it. Empty if none is shown to be worse, or if an interval is
/// missing.
fn best(sides: &[Option<&[RunValue]>], worse: Worse) -> BTreeSet<usize> {
    let badness = |side: &[RunValue]| {
        let mean = log_mean(side)?;
        Some(if worse == Worse::Higher { mean } else { -mean })
    };
    let present: Vec<(usize, &[RunValue])> = sides
        .iter()
        .enumerate()
        .filter_map(|(index, side)| Some((index, (*side)?)))
        .collect();
    let of = |side: &[RunValue]| badness(side).unwrap_or(f64::INFINITY);
    let Some((top, top_side)) = present.iter().min_by(|a, b| of(a.1).total_cmp(&of(b.1))).copied() else {
        return BTreeSet::new();
    };
    let mut best = BTreeSet::from([top]);
    for (index, side) in &present {
        if *index == top {
            continue;
        }
        match interval(top_side, side) {
            Some(interval) if interval.lower <= 1.0 && 1.0 <= interval.upper => {
                best.insert(*index);
            }
            Some(_) => {}
            None => return BTreeSet::new(),
        }
    }
    if best.len() == present.len() {
        best.clear();
    }
    best
}

fn ratio(to: &[RunValue], side: &[RunValue]) -> Option<Ratio> {
    Some(Ratio {
        estimate: (log_mean(side)? - log_mean(to)?).exp(),
        interval: interval(to, side),
    })
}

/// The interval over the runs if both sides have several, over the samples if both have one.
fn interval(to: &[RunValue], side: &[RunValue]) -> Option<Interval> {
    let (a, b, over) = match (to, side) {
        ([to], [side]) => (within(to)?, within(side)?, Over::Samples),
        _ => (between(to)?, between(side)?, Over::Runs),
    };
    let (lower, upper) = welch(a, b)?.interval(LEVEL);
    Some(Interval {
        lower: lower.exp(),
        upper: upper.exp(),
        over,
    })
}

fn within(run: &RunValue) -> Option<Group> {
    Some(Group {
        mean: run.mean,
        variance: run.within?,
        count: run.samples,
    })
}

fn between(runs: &[RunValue]) -> Option<Group> {
    let means: Vec<f64> = runs.iter().map(|run| run.mean).collect();
    Some(Group {
        mean: mean(&means)?,
        variance: variance(&means)?,
        count: means.len(),
    })
}
