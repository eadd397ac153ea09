//! The subjects of a comparison with their runs.

use super::table::Subject;
use crate::analysis::metrics::{self, Prompts};
use crate::record::{RunRecord, captions};

/// Runs under one name: a baseline, the matches of a pattern, or one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its runs, of any suites.
    pub runs: Vec<RunRecord>,
}

/// A subject with its runs.
pub(super) struct Member<'a> {
    pub(super) source: &'a str,
    pub(super) model: &'a str,
    pub(super) runs: Vec<&'a RunRecord>,
}

impl<'a> Member<'a> {
    pub(super) fn of(source: &'a Source) -> Vec<Self> {
        let mut members: Vec<Self> = Vec::new();
        for run in &source.runs {
            for model in &run.models {
                match members.iter_mut().find(|member| member.model == model.name) {
                    Some(member) => member.runs.push(run),
                    None => members.push(Self {
                        source: &source.name,
                        model: &model.name,
                        runs: vec![run],
                    }),
                }
            }
        }
        members
    }

    pub(super) fn subject(&self, all: &[Self]) -> Subject {
        let namesakes = all.iter().filter(|other| other.model == self.model).count();
        Subject {
            label: match namesakes {
                1 => self.model.to_owned(),
                _ => format!("{} @ {}", self.model, self.source),
            },
            model: self.model.to_owned(),
            source: self.source.to_owned(),
            runs: self.runs.len(),
            captions: captions(self.runs.iter().copied()),
        }
    }

    pub(super) fn suites(&self) -> impl Iterator<Item = &'a str> {
        self.runs.iter().map(|run| run.suite.name.as_str())
    }

    pub(super) fn runs_of(&self, suite: &str) -> Vec<&'a RunRecord> {
        let runs = self.runs.iter().copied();
        runs.filter(|run| run.suite.name == suite).collect()
    }

    /// The prompts of this model that all its runs of a suite have samples of.
    pub(super) fn prompts(&self, suite: &str) -> Prompts {
        let of_runs = self.runs_of(suite).into_iter().map(metrics::prompts_with_samples);
        let mut prompts = of_runs.reduce(|a, b| &a & &b).unwrap_or_default();
        prompts.retain(|(model, _)| model == self.model);
        prompts
    }
}
