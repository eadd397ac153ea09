//! A finding, and the overall fitness from all findings.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The verdict of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to change.
    Ok,
    /// Figures will be wrong, slow or not repeatable.
    Bad,
    /// It could not be determined, so it is unknown whether the machine is fit; the remedy makes it visible.
    Unknown,
    /// Worth knowing but not part of the overall verdict, or not applicable.
    Note,
}

impl Verdict {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
            Self::Note => "note",
        }
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The identifier of the check; stable.
    pub name: Cow<'static, str>,
    /// The verdict.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// The recommended state; absent if there is none.
    pub recommended: Option<String>,
    /// The command that establishes it; absent if no command can.
    pub command: Option<String>,
}

impl Item {
    pub(crate) fn new(name: &'static str, verdict: Verdict, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict,
            found: found.into(),
            recommended: None,
            command: None,
        }
    }

    pub(super) fn recommending(self, recommended: impl Into<String>) -> Self {
        Self {
            recommended: Some(recommended.into()),
            ..self
        }
    }

    pub(super) fn by(self, command: impl Into<String>) -> Self {
        Self {
            command: Some(command.into()),
            ..self
        }
    }
}

/// Whether a machine is fit to measure on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitness {
    /// Everything relevant was determined, and nothing is bad.
    Fit,
    /// Something is bad.
    NotFit,
    /// Nothing is bad, but some relevant things could not be determined.
    CannotTell,
}

impl Fitness {
    /// The fitness of a machine with these findings.
    pub fn of(items: &[Item]) -> Self {
        let has = |verdict| items.iter().any(|item| item.verdict == verdict);
        if has(Verdict::Bad) {
            Self::NotFit
        } else if has(Verdict::Unknown) || items.is_empty() {
            Self::CannotTell
        } else {
            Self::Fit
        }
    }

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fit => "fit to measure",
            Self::NotFit => "not fit to measure",
            Self::CannotTell => "cannot tell whether it is fit to measure",
        }
    }

    /// The exit code for this fitness; 2 means undetermined, as for the gate.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fit => 0,
            Self::NotFit => 1,
            Self::CannotTell => 2,
        }
    }
}
