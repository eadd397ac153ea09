//! Tokens as they come, and how a run ends.

use serde::{Deserialize, Serialize};

/// One token as the callback delivered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEvent {
    /// `CLOCK_MONOTONIC` nanoseconds, taken first thing in the callback.
    pub at_ns: u64,
    /// The runtime's id of the token.
    pub id: i32,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The runtime said that it finished.
    Finished,
    /// The runtime reported an error by callback.
    Error,
    /// Neither came.
    Lost,
}
