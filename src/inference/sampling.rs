//! How tokens are chosen.

use serde::{Deserialize, Serialize};

/// How a token is chosen: [`Sampling::GREEDY`] unless a prompt says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Candidates kept, the likeliest first; 1 is greedy.
    pub top_k: i32,
    /// Probability mass kept, above 0, at most 1.
    pub top_p: f32,
    /// Temperature; above 0.
    pub temperature: f32,
    /// Penalty on repeated tokens; above 0, 1.0 is none.
    pub repeat_penalty: f32,
    /// Penalty by frequency, -2.0 to 2.0; 0.0 is none.
    pub frequency_penalty: f32,
    /// Penalty by presence, -2.0 to 2.0; 0.0 is none.
    pub presence_penalty: f32,
}

impl Sampling {
    /// The likeliest token, independent of the earlier tokens: two runs do the same work.
    pub const GREEDY: Self = Self {
        top_k: 1,
        top_p: 1.0,
        temperature: 1.0,
        repeat_penalty: 1.0,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
    };
}
