//! The words that servers use for the reason why an answer ended. docs/server.md lists the servers that use them.

/// What a server's `finish_reason` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The model ended its answer.
    ByModel,
    /// The token limit ended it.
    AtLimit,
    /// Something else ended it: the answer is incomplete.
    Failure,
    /// An unknown word.
    Unknown,
}

const BY_MODEL: [&str; 20] = [
    "stop",
    "eos",
    "eos_token",
    "eos_token_id",
    "end",
    "end_turn",
    "end_of_sequence",
    "end_of_turn",
    "stop_sequence",
    "stop_string",
    "stop_str",
    "stop_token",
    "stop_word",
    "word",
    "complete",
    "completed",
    "tool_call",
    "tool_calls",
    "tool_use",
    "function_call",
];

const AT_LIMIT: [&str; 7] = [
    "length",
    "limit",
    "max_tokens",
    "max_new_tokens",
    "max_length",
    "max_output_tokens",
    "model_length",
];

const FAILURES: [&str; 29] = [
    "abort",
    "aborted",
    "blocklist",
    "cancel",
    "canceled",
    "cancelled",
    "content_filter",
    "content_filtered",
    "crash",
    "disconnect",
    "disconnected",
    "error",
    "fail",
    "failed",
    "failure",
    "insufficient_system_resource",
    "interrupted",
    "load",
    "malformed_function_call",
    "oom",
    "overloaded",
    "preempt",
    "preempted",
    "prohibited_content",
    "recitation",
    "refusal",
    "safety",
    "timeout",
    "unload",
];

impl End {
    /// From the word of the server, ignoring case.
    pub fn of(word: &str) -> Self {
        let word = word.trim().to_lowercase().replace(['-', ' '], "_");
        let is_in = |list: &[&str]| list.contains(&word.as_str());
        if is_in(&BY_MODEL) {
            Self::ByModel
        } else if is_in(&AT_LIMIT) {
            Self::AtLimit
        } else if is_in(&FAILURES) || word.starts_with("error") {
            Self::Failure
        } else {
            Self::Unknown
        }
    }

    /// Whether the answer is complete.
    pub const fn is_known(self) -> bool {
        matches!(self, Self::ByModel | Self::AtLimit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_several_servers() {
        for (word, end) in [
            ("stop", End::ByModel),
            ("tool-calls", End::ByModel),
            ("eos_token", End::ByModel),
            ("MAX_TOKENS", End::AtLimit),
            ("length", End::AtLimit),
            ("abort", End::Failure),
            ("ERROR_TOXIC", End::Failure),
            ("content_filter", End::Failure),
            ("Cancelled", End::Failure),
            ("banana", End::Unknown),
        ] {
            assert_eq!(End::of(word), end, "{word}");
        }
    }
}
