//! What went wrong in a run, counted.

use super::run_record::RunRecord;

/// What went wrong in a run, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Models that were not loaded.
    pub models_not_loaded: usize,
    /// Models whose unloading failed.
    pub models_not_unloaded: usize,
    /// Models that changed while they were measured.
    pub models_changed: usize,
    /// Inferences lost to an engine's failure.
    pub failed: usize,
    /// Inferences that the ledger rejected.
    pub rejected: usize,
    /// Prompts that were given up.
    pub given_up: usize,
}

impl Faults {
    /// Whether the run ends with a failure: something died, was not loaded or was given up. A rejected inference that
    /// was replaced by another one is reported, but is no failure.
    pub fn are_fatal(&self) -> bool {
        self.models_not_loaded + self.models_not_unloaded + self.models_changed + self.failed + self.given_up
            > 0
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |count: usize, one: &str, many: &str| {
            (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
        };
        let parts: Vec<String> = [
            part(self.models_not_loaded, "model not loaded", "models not loaded"),
            part(
                self.models_not_unloaded,
                "model failed on unloading",
                "models failed on unloading",
            ),
            part(
                self.models_changed,
                "model changed while it was measured",
                "models changed while they were measured",
            ),
            part(self.failed, "inference failed", "inferences failed"),
            part(
                self.rejected,
                "inference rejected by the ledger",
                "inferences rejected by the ledger",
            ),
            part(self.given_up, "prompt given up", "prompts given up"),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(&if parts.is_empty() {
            "no faults".to_owned()
        } else {
            parts.join(", ")
        })
    }
}

impl RunRecord {
    /// Counts what went wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for model in &self.models {
            faults.models_not_loaded += usize::from(model.load_failure.is_some());
            faults.models_not_unloaded += usize::from(model.unload_failure.is_some());
            faults.models_changed += usize::from(model.changed.is_some());
            for prompt in &model.prompts {
                faults.failed += prompt.failures.len();
                faults.rejected += prompt.rejected.len();
                faults.given_up += usize::from(prompt.given_up.is_some());
            }
        }
        faults
    }
}
