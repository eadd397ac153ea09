//! Notes for a reader of the figures.

use std::collections::BTreeSet;

use super::member::Member;
use super::rows;
use super::table::{Comparison, Over};
use crate::analysis::gate::{Aspect, Difference, differences};
use crate::analysis::summary;
use crate::record::{ModelRecord, RunRecord};

pub(super) fn of(comparison: &Comparison, members: &[Member]) -> Vec<String> {
    let mut notes = Vec::new();
    for table in &comparison.suites {
        let unlike = rows::unlike(&table.suite, members);
        if !unlike.is_empty() {
            notes.push(format!(
                "{}: not compared, since input or limits differ: {}",
                table.suite,
                unlike.join(", ")
            ));
        }
        notes.extend(missing(comparison, &table.suite, members));
        notes.extend(token_counts(&table.suite, members, comparison));
    }
    for (member, subject) in members.iter().zip(&comparison.subjects) {
        let models = member.runs.iter().flat_map(|run| &run.models);
        let disturbed = summary::disturbed(models.filter(|model| model.name == member.model));
        notes.extend(disturbed.map(|disturbed| format!("{}: {disturbed}", subject.label)));
    }
    let Some((first, others)) = members.split_first() else {
        return notes;
    };
    for (other, subject) in others.iter().zip(comparison.subjects.iter().skip(1)) {
        for difference in between(first, other) {
            notes.push(format!(
                "{} differs from {} in {} ({}): {}, there {}",
                subject.label,
                comparison.subjects[0].label,
                difference.what,
                difference.aspect.name(),
                difference.candidate.join(", "),
                difference.baseline.join(", ")
            ));
        }
    }
    notes.extend(how_sure(comparison));
    notes
}

/// Subjects without a sample of a suite.
fn missing(comparison: &Comparison, suite: &str, members: &[Member]) -> Vec<String> {
    let without = members.iter().zip(&comparison.subjects);
    without
        .filter(|(member, _)| member.prompts(suite).is_empty())
        .map(|(_, subject)| format!("{}: no samples of suite {suite}", subject.label))
        .collect()
}

/// A note if models split the same text into different numbers of tokens.
fn token_counts(suite: &str, members: &[Member], comparison: &Comparison) -> Option<String> {
    let counts = |member: &Member| -> BTreeSet<(String, u32)> {
        let runs = member.runs_of(suite).into_iter();
        let models = runs.flat_map(|run| run.models.iter().filter(|model| model.name == member.model));
        let prompts = models.flat_map(|model| &model.prompts);
        prompts
            .filter_map(|prompt| Some((prompt.id.clone(), prompt.prompt_tokens?)))
            .collect()
    };
    let all: BTreeSet<(String, u32)> = members.iter().flat_map(counts).collect();
    let ids: BTreeSet<&String> = all.iter().map(|(id, _)| id).collect();
    (all.len() > ids.len() && comparison.subjects.len() > 1).then(|| {
        format!(
            "{suite}: the subjects split the same prompts into different numbers of tokens, so tok/s alone does not \
             compare them: compare ttft and total"
        )
    })
}

/// The differences between two subjects, except prompts and, between two models, their files.
fn between(first: &Member, other: &Member) -> Vec<Difference> {
    let bare_of = |member: &Member| -> Vec<RunRecord> {
        member.runs.iter().map(|run| bare(run, member.model)).collect()
    };
    let (a, b) = (bare_of(first), bare_of(other));
    let (a, b): (Vec<&RunRecord>, Vec<&RunRecord>) = (a.iter().collect(), b.iter().collect());
    let mut found = differences(&a, &b, &BTreeSet::new());
    found.retain(|difference| {
        first.model == other.model
            || difference.aspect != Aspect::Model
            || !difference.what.ends_with(": file")
    });
    found
}

/// The run with only one model, under a fixed name and without its prompts.
fn bare(run: &RunRecord, model: &str) -> RunRecord {
    let models = run.models.iter().filter(|other| other.name == model);
    let models = models.map(|model| ModelRecord {
        name: "model".into(),
        path: model.path.clone(),
        bytes: model.bytes,
        sha256: model.sha256.clone(),
        random_weights: model.random_weights,
        loaded: model.loaded.clone(),
        load_failure: None,
        unload_failure: None,
        changed: None,
        warnings: Vec::new(),
        prompts: Vec::new(),
    });
    RunRecord {
        schema_version: run.schema_version,
        tool_version: run.tool_version.clone(),
        run_id: run.run_id.clone(),
        started_at: run.started_at.clone(),
        status: run.status,
        label: None,
        git: None,
        purpose: run.purpose,
        filter: None,
        suite: run.suite.clone(),
        parameters: run.parameters.clone(),
        board: run.board.clone(),
        doctor: Vec::new(),
        sampler: None,
        models: models.collect(),
    }
}

/// Notes on how the intervals were taken.
fn how_sure(comparison: &Comparison) -> Vec<String> {
    let rows = comparison.suites.iter().flat_map(|table| &table.rows);
    let cells = rows.flat_map(|row| row.cells.iter().flatten());
    let ratios: Vec<_> = cells.filter_map(|cell| cell.ratio).collect();
    let over = |wanted| {
        ratios
            .iter()
            .any(|ratio| ratio.interval.is_some_and(|interval| interval.over == wanted))
    };
    let mut notes = Vec::new();
    if over(Over::Samples) {
        notes.push(
            "one run a subject: the intervals show how samples of one process vary. Two runs of an unchanged program \
             differ more, so the next run may lie outside. Take several runs of each, or pairs of them (ab)"
                .into(),
        );
    }
    if ratios.iter().any(|ratio| ratio.interval.is_none()) {
        notes.push(
            "a ratio without an interval has fewer than two values on a side, so no subject is marked best; take \
             several runs of each subject"
                .into(),
        );
    }
    notes
}
