//! Tokens with their times, and how a run ends.

use serde::{Deserialize, Serialize};

/// One token of the callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEvent {
    /// `CLOCK_MONOTONIC` nanoseconds, read at the start of the callback.
    pub at_ns: u64,
    /// The runtime's id of the token.
    pub id: i32,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The runtime reported that it finished.
    Finished,
    /// The runtime reported an error.
    Error,
    /// It reported neither.
    Lost,
}
