//! The content of a model's reports, computed once for all formats.

use crate::analysis::checks::{self, Outcome};
use crate::analysis::reference::{self, Finding};
use crate::analysis::summary::Summary;
use crate::record::{ModelRecord, PromptRecord, RunRecord};

/// One model of a run, with the results derived from its record.
#[derive(Debug, Clone)]
pub struct ModelReport<'a> {
    /// The run.
    pub run: &'a RunRecord,
    /// The model.
    pub model: &'a ModelRecord,
    /// Over all its prompts.
    pub summary: Summary,
    /// The checks' findings for each prompt, in the order of the prompts.
    pub outcomes: Vec<Vec<Outcome>>,
    /// The comparison with published figures.
    pub findings: Vec<Finding>,
}

/// The models of a run.
pub fn models(run: &RunRecord) -> Vec<ModelReport<'_>> {
    let findings = reference::judge(run);
    let report = |model| ModelReport::new(run, model, &findings);
    run.models.iter().map(report).collect()
}

impl<'a> ModelReport<'a> {
    fn new(run: &'a RunRecord, model: &'a ModelRecord, findings: &[Finding]) -> Self {
        let outcomes = |prompt| checks::outcomes(model, &run.suite, prompt);
        let own = findings.iter().filter(|finding| finding.model == model.name);
        Self {
            run,
            model,
            summary: Summary::of(model),
            outcomes: model.prompts.iter().map(outcomes).collect(),
            findings: own.cloned().collect(),
        }
    }

    /// The prompts with what their checks found.
    pub fn prompts(&self) -> impl Iterator<Item = (&'a PromptRecord, &[Outcome])> {
        self.model
            .prompts
            .iter()
            .zip(self.outcomes.iter().map(Vec::as_slice))
    }
}
