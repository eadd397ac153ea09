//! The two sides of an A/B comparison.

use serde::{Deserialize, Serialize};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// What is compared with.
    Base,
    /// What is compared.
    Candidate,
}

impl Side {
    /// Both.
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
