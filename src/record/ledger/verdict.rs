//! What the ledger can say of an inference.

use serde::{Deserialize, Serialize};

use crate::inference::{CountRule, Phases};

/// An inference that stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its phases.
    pub phases: Phases,
    /// What is odd about it.
    pub marks: Vec<Mark>,
}

/// Why an inference is no sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "law")]
#[non_exhaustive]
pub enum Rejection {
    /// The call returned a refusal or the runtime reported an error.
    #[error("the run failed: {reason}")]
    RunFailed {
        /// The runtime's words.
        reason: String,
    },
    /// The deadline passed.
    #[error(
        "the run passed its deadline of {deadline_s} s and was aborted after {tokens} tokens (--timeout)"
    )]
    DeadlinePassed {
        /// The deadline, seconds.
        deadline_s: u64,
        /// Tokens until then.
        tokens: usize,
    },
    /// No token came.
    #[error("no token came")]
    NoTokens,
    /// Callbacks ended without FINISH.
    #[error("no FINISH came after {tokens} tokens")]
    LostFinish {
        /// Tokens that came.
        tokens: usize,
    },
    /// A server's stream ended in its middle.
    #[error(
        "the stream ended after {tokens} chunks with text, without [DONE] and without a known finish_reason"
    )]
    StreamCut {
        /// Chunks that came.
        tokens: usize,
    },
    /// A server ended the answer early, for a reason that is not known.
    #[error(
        "the server ended the answer after {got} of {asked} tokens with the finish_reason {reason:?}, which is no known end"
    )]
    UnknownEnd {
        /// The server's word.
        reason: String,
        /// Tokens asked for.
        asked: u32,
        /// Tokens or, where those are not known, chunks that came.
        got: usize,
    },
    /// Stamps of our own clock are out of order.
    #[error("the stamps of call, tokens and return are out of order")]
    TimeRunsBackwards,
    /// More or fewer tokens than were asked for.
    #[error("{got} tokens came where {asked} were asked for")]
    TokenCount {
        /// Tokens asked for.
        asked: u32,
        /// Tokens that came.
        got: usize,
    },
    /// The run ended because its context was full.
    #[error(
        "{got} of {asked} tokens came, then the context of {context} was full with {held} tokens: raise --max-context \
         or lower --max-new-tokens"
    )]
    ContextFull {
        /// Tokens asked for.
        asked: u32,
        /// Tokens that came.
        got: usize,
        /// The context window.
        context: u32,
        /// Tokens in it at the end.
        held: u32,
    },
    /// The KV cache did not hold what the prompt was to come behind.
    #[error("the KV cache held {held} tokens where a depth of {depth} was asked for")]
    Depth {
        /// Tokens asked for.
        depth: u32,
        /// Tokens held before the call.
        held: u32,
    },
    /// Prefill computed another number of tokens than the prompt has, as when the KV cache held a prefix.
    #[error("prefill computed {computed} tokens of a prompt of {prompt}: the KV cache was not cold")]
    WarmPrefill {
        /// Tokens that the runtime says it computed.
        computed: i32,
        /// Tokens of the prompt.
        prompt: u32,
    },
    /// The engine began it otherwise than its label says.
    #[error("labelled {label}, but begun {was}")]
    OtherStart {
        /// What it was to be.
        label: String,
        /// What the engine made of it.
        was: String,
    },
    /// The prefix of its label is no beginning of the prompt.
    #[error("labelled {label}, but the prompt does not go on from the prefix of that label")]
    NoPrefix {
        /// What it was to be.
        label: String,
    },
    /// The KV cache held something else than its label says.
    #[error("labelled {label}, but the KV cache held {held} positions where that label has {expected}")]
    HeldOther {
        /// What it was to be.
        label: String,
        /// Positions that the runtime says it held.
        held: u32,
        /// Positions that it is to hold.
        expected: u32,
    },
    /// Prefill computed another number of tokens than its label leaves.
    #[error(
        "labelled {label}, but prefill computed {computed} tokens where that label leaves {expected}: the prompt has {prompt}, \
         its prefix {prefix}"
    )]
    ComputedOther {
        /// What it was to be.
        label: String,
        /// Tokens that the runtime says it computed.
        computed: i32,
        /// Tokens to compute, at least.
        expected: u32,
        /// Tokens of the prompt.
        prompt: u32,
        /// Tokens of the prefix.
        prefix: u32,
    },
    /// The runtime told nothing that could prove its label.
    #[error(
        "labelled {label}, and the runtime told neither what it held nor what it computed, so nothing proves that"
    )]
    UnprovenStart {
        /// What it was to be.
        label: String,
    },
    /// The runtime's statistics are those of the run before.
    #[error("the runtime's statistics are those of the run before")]
    StaleStats,
    /// One of the runtime's times cannot be.
    #[error("the runtime reports {field} = {value} ms for {tokens} tokens")]
    ImpossibleTime {
        /// Field of the statistics.
        field: String,
        /// Its value, as text since it may be NaN.
        value: String,
        /// Tokens it stands for.
        tokens: i32,
    },
    /// The runtime's times do not fit into what our clock measured around the call.
    #[error("the runtime reports {reported_ms:.3} ms of {what}, our clock measured {measured_ms:.3} ms")]
    TimeOverrun {
        /// Which times.
        what: String,
        /// The runtime's, ms.
        reported_ms: f64,
        /// Ours, ms.
        measured_ms: f64,
    },
    /// A callback came after its run had returned.
    #[error("a callback came after its run had returned")]
    LateCallback,
    /// The machine disturbed it, and the run was told to be strict.
    #[error("disturbed (--strict): {}", in_words(by))]
    Disturbed {
        /// By what.
        by: Vec<Mark>,
    },
}

fn in_words(marks: &[Mark]) -> String {
    let words: Vec<&str> = marks.iter().map(Mark::in_words).collect();
    words.join(", ")
}

/// What is odd about a sample that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mark")]
#[non_exhaustive]
pub enum Mark {
    /// The runtime gave no statistics, or zeroes alone, so prefill could not be proven cold.
    NoStats,
    /// The KV cache held something before the run.
    CacheNotEmpty {
        /// Positions held.
        positions: u32,
    },
    /// `generate_tokens` is neither the number of tokens nor one below, or the other of the two than in the runs before: a
    /// token was lost or told twice.
    GenerateTokens {
        /// As reported.
        reported: i32,
        /// Tokens that came.
        counted: usize,
    },
    /// Callbacks with the token of the one before, far sooner after it than the run's tokens come: one token told twice.
    RepeatedCallback {
        /// How many.
        callbacks: usize,
    },
    /// The runtime gave characters in pieces; they were joined.
    SplitText {
        /// Tokens that begin within a character.
        tokens: u32,
    },
    /// Callbacks came on another thread than the one that made the call, so their stamps may be those of a queue.
    OtherThread {
        /// How many.
        callbacks: u32,
    },
    /// The runtime's times leave part of the run unexplained.
    UnexplainedTime {
        /// Our time less the runtime's, ms.
        ms: f64,
    },
    /// The KV cache's size cannot be asked, so the depth could not be proven.
    DepthUnproven,
    /// The prompt began with another token than in the run before: this runtime's KV cache cannot be cleared.
    PromptVaried,
    /// The answer was to end by itself and went on to the limit.
    ReachedLimit {
        /// The limit, tokens.
        limit: u32,
    },
    /// The run ended by itself; this runtime cannot be told to go on.
    EndedEarly {
        /// Tokens asked for.
        asked: u32,
        /// Tokens that came.
        got: usize,
    },
    /// The server's count of tokens and the chunks that came do not agree, or there is one of them alone.
    CountedBy {
        /// How the tokens were counted.
        rule: CountRule,
        /// `completion_tokens` of the server's `usage`; absent where it sent none.
        usage: Option<u32>,
        /// Chunks with text.
        chunks: usize,
    },
    /// The server made the whole answer before it sent the first of it, so decode has no time.
    NotStreamed,
    /// Chunks came with something in fields that are not read, and the count of tokens is not that of the chunks with
    /// text, so neither TTFT nor decode is known.
    UnreadDeltas {
        /// Such chunks.
        chunks: usize,
        /// The fields, the first few.
        fields: Vec<String>,
        /// Chunks with text.
        with_text: usize,
        /// `completion_tokens` of the server's `usage`; absent where it sent none.
        usage: Option<u32>,
    },
    /// The server answered under another name of the model than the one asked for, which its list has.
    AnsweredAs {
        /// That name.
        name: String,
    },
    /// The server refuses these fields of the request by name, so its own values for them were in use.
    LeftOut {
        /// The fields.
        fields: Vec<String>,
    },
    /// The server went on past the limit that it was given.
    LongerThanAsked {
        /// Tokens asked for.
        asked: u32,
        /// Tokens that came.
        got: usize,
    },
    /// The first chunk belongs to the answer before: TTFT goes to the second one.
    StaleFirstChunk {
        /// From the call to the first chunk, ms.
        first_ms: f64,
        /// From there to the second one, ms.
        gap_ms: f64,
    },
    /// `[DONE]` came without a `finish_reason`.
    NoFinishReason,
    /// The server gave a reason for the end that is not known; all tokens that were asked for had come.
    UnknownEnd {
        /// The server's word.
        reason: String,
    },
    /// The kernel lowered clocks against heat.
    Throttled,
    /// A clock was lower than at the run's start, when it was held.
    LowerFrequency {
        /// Which: a CPU cluster's folder, `npu` or `ddr`.
        clock: String,
        /// Frequency at the start, Hz.
        from_hz: u64,
        /// Lowest frequency that was seen, Hz.
        to_hz: u64,
    },
    /// The model's process lost CPU time to others.
    OtherProcess {
        /// How much, percent of one core.
        percent: f64,
        /// CPUs that the model ran on, as far as is known.
        cpus: Vec<u16>,
    },
}

impl Mark {
    /// Its name in records and reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoStats => "no_stats",
            Self::CacheNotEmpty { .. } => "cache_not_empty",
            Self::GenerateTokens { .. } => "generate_tokens",
            Self::RepeatedCallback { .. } => "repeated_callback",
            Self::SplitText { .. } => "split_text",
            Self::OtherThread { .. } => "other_thread",
            Self::UnexplainedTime { .. } => "unexplained_time",
            Self::DepthUnproven => "depth_unproven",
            Self::PromptVaried => "prompt_varied",
            Self::ReachedLimit { .. } => "reached_limit",
            Self::EndedEarly { .. } => "ended_early",
            Self::CountedBy { .. } => "counted_by",
            Self::NotStreamed => "not_streamed",
            Self::UnreadDeltas { .. } => "unread_deltas",
            Self::AnsweredAs { .. } => "answered_as",
            Self::LeftOut { .. } => "left_out",
            Self::LongerThanAsked { .. } => "longer_than_asked",
            Self::StaleFirstChunk { .. } => "stale_first_chunk",
            Self::NoFinishReason => "no_finish_reason",
            Self::UnknownEnd { .. } => "unknown_end",
            Self::Throttled => "throttled",
            Self::LowerFrequency { .. } => "lower_frequency",
            Self::OtherProcess { .. } => "other_process",
        }
    }

    /// Whether it says that the machine, not the runtime, was at fault.
    pub const fn is_disturbance(&self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::LowerFrequency { .. } | Self::OtherProcess { .. }
        )
    }

    /// Its name as words. Numbers are left out, so that inferences rejected alike are counted as one cause.
    fn in_words(&self) -> &'static str {
        match self {
            Self::Throttled => "clocks were lowered against heat",
            Self::LowerFrequency { .. } => "a held clock was lower than at the run's start",
            Self::OtherProcess { .. } => "others took CPU time from the model",
            other => other.name(),
        }
    }
}
