//! The two sides of an A/B comparison.

use serde::{Deserialize, Serialize};

/// A side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// The side to compare with.
    Base,
    /// The side under test.
    Candidate,
}

impl Side {
    /// Both sides.
    pub(super) const ALL: [Self; 2] = [Self::Base, Self::Candidate];

    /// Its name in files.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Candidate => "candidate",
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Base => Self::Candidate,
            Self::Candidate => Self::Base,
        }
    }
}
