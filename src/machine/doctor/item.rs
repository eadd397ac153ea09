//! A finding, and what all findings say of a machine.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Figures will be wrong, slow or not repeatable.
    Bad,
    /// It could not be seen, so it is not known whether the machine is fit; the remedy makes it visible.
    Unknown,
    /// Worth knowing and no part of the verdict, or not applicable here.
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
    /// What was looked at: a stable identifier.
    pub name: Cow<'static, str>,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What is recommended; absent where nothing is.
    pub recommended: Option<String>,
    /// The command that does it; absent where no command can.
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
    /// All that matters was seen, and none of it is bad.
    Fit,
    /// Something is bad.
    NotFit,
    /// Nothing that was seen is bad, but not all that matters was seen.
    CannotTell,
}

impl Fitness {
    /// Of a machine with these findings.
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

    /// The exit code of a program that gives this verdict; as the gate has it, 2 is that it cannot tell.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fit => 0,
            Self::NotFit => 1,
            Self::CannotTell => 2,
        }
    }
}
