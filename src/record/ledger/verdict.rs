//! The verdicts of the ledger on an inference.

use serde::{Deserialize, Serialize};

use crate::inference::{CountRule, Phases};

/// An accepted inference.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its phases.
    pub phases: Phases,
    /// Odd things about it.
    pub marks: Vec<Mark>,
}

/// Why an inference is not a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "law")]
#[non_exhaustive]
pub enum Rejection {
    /// The call returned a refusal or the runtime reported an error.
    #[error("the run failed: {reason}")]
    RunFailed {
        /// The runtime's message.
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
    /// A server's stream was cut off.
    #[error(
        "the stream ended after {tokens} chunks with text, without [DONE] and without a known finish_reason"
    )]
    StreamCut {
        /// Chunks that came.
        tokens: usize,
    },
    /// A server ended the answer early for an unknown reason.
    #[error(
        "the server ended the answer after {got} of {asked} tokens with the finish_reason {reason:?}, which is unknown"
    )]
    UnknownEnd {
        /// The server's `finish_reason`.
        reason: String,
        /// Tokens asked for.
        asked: u32,
        /// Tokens that came, or chunks if the number of tokens is unknown.
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
    /// The KV cache did not hold the requested depth.
    #[error("the KV cache held {held} tokens where a depth of {depth} was asked for")]
    Depth {
        /// Tokens asked for.
        depth: u32,
        /// Tokens held before the call.
        held: u32,
    },
    /// Prefill computed a different number of tokens than the prompt has, for example because the KV cache held a
    /// prefix.
    #[error("prefill computed {computed} tokens of a prompt of {prompt}: the KV cache was not cold")]
    WarmPrefill {
        /// Tokens computed, as the runtime reports.
        computed: i32,
        /// Tokens of the prompt.
        prompt: u32,
    },
    /// The engine started it differently from its label.
    #[error("labelled {label}, but started {was}")]
    OtherStart {
        /// The requested start.
        label: String,
        /// The actual start.
        was: String,
    },
    /// The prompt does not start with the prefix of its label.
    #[error("labelled {label}, but the prompt does not go on from the prefix of that label")]
    NoPrefix {
        /// The requested start.
        label: String,
    },
    /// The KV cache did not hold what its label says.
    #[error("labelled {label}, but the KV cache held {held} positions where that label has {expected}")]
    HeldOther {
        /// The requested start.
        label: String,
        /// Positions held, as the runtime reports.
        held: u32,
        /// Positions that it should hold.
        expected: u32,
    },
    /// Prefill computed a different number of tokens than its label leaves.
    #[error(
        "labelled {label}, but prefill computed {computed} tokens where that label leaves {expected}: the prompt has \
         {prompt}, its prefix {prefix}"
    )]
    ComputedOther {
        /// The requested start.
        label: String,
        /// Tokens computed, as the runtime reports.
        computed: i32,
        /// Fewest tokens to compute.
        expected: u32,
        /// Tokens of the prompt.
        prompt: u32,
        /// Tokens of the prefix.
        prefix: u32,
    },
    /// The runtime reported nothing that proves its label.
    #[error(
        "labelled {label}, but the runtime reported neither what it held nor what it computed, so nothing proves it"
    )]
    UnprovenStart {
        /// The requested start.
        label: String,
    },
    /// The runtime's statistics are those of the run before.
    #[error("the runtime's statistics are those of the run before")]
    StaleStats,
    /// One of the runtime's times is impossible.
    #[error("the runtime reports {field} = {value} ms for {tokens} tokens")]
    ImpossibleTime {
        /// Field of the statistics.
        field: String,
        /// Its value, as text since it may be NaN.
        value: String,
        /// Tokens that it covers.
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
    /// The machine disturbed it in a run with `--strict`.
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

/// Something odd about an accepted sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mark")]
#[non_exhaustive]
pub enum Mark {
    /// The runtime gave no statistics, or only zeroes, so nothing proves that prefill was cold.
    NoStats,
    /// The KV cache held something before the run.
    CacheNotEmpty {
        /// Positions held.
        positions: u32,
    },
    /// `generate_tokens` is neither the number of tokens nor one less, or it changed between these two since the runs
    /// before. A token was lost or reported twice.
    GenerateTokens {
        /// As reported.
        reported: i32,
        /// Tokens that came.
        counted: usize,
    },
    /// Callbacks that repeat the previous token much sooner than the run's tokens arrive: one token was reported twice.
    RepeatedCallback {
        /// How many.
        callbacks: usize,
    },
    /// The runtime split characters; they were joined.
    SplitText {
        /// Tokens that begin within a character.
        tokens: u32,
    },
    /// Callbacks came on another thread than the caller's, so their stamps may include time in a queue.
    OtherThread {
        /// How many.
        callbacks: u32,
    },
    /// The runtime's times leave part of the run unexplained.
    UnexplainedTime {
        /// Our time less the runtime's, ms.
        ms: f64,
    },
    /// The runtime cannot report its KV cache's size, so the depth is unproven.
    DepthUnproven,
    /// The prompt began with another token than in the run before: this runtime's KV cache cannot be cleared.
    PromptVaried,
    /// The answer could have ended earlier, but reached the limit.
    ReachedLimit {
        /// The limit, tokens.
        limit: u32,
    },
    /// The run ended early; this runtime cannot ignore end tokens.
    EndedEarly {
        /// Tokens asked for.
        asked: u32,
        /// Tokens that came.
        got: usize,
    },
    /// The server's count of tokens and the chunks disagree, or only one of them exists.
    CountedBy {
        /// How the tokens were counted.
        rule: CountRule,
        /// `completion_tokens` of the server's `usage`; absent where it sent none.
        usage: Option<u32>,
        /// Chunks with text.
        chunks: usize,
    },
    /// The server generated the whole answer before it sent anything, so decode cannot be timed.
    NotStreamed,
    /// Chunks had content in fields that are not read, and the token count is not the number of chunks with text.
    /// Neither TTFT nor decode is known.
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
    /// The server answered under a different model name than the requested one, which its list contains.
    AnsweredAs {
        /// That name.
        name: String,
    },
    /// The server refuses these request fields by name, so its own values applied.
    LeftOut {
        /// The fields.
        fields: Vec<String>,
    },
    /// The server went past the given limit.
    LongerThanAsked {
        /// Tokens asked for.
        asked: u32,
        /// Tokens that came.
        got: usize,
    },
    /// The first chunk belongs to the previous answer, so TTFT is taken to the second one.
    StaleFirstChunk {
        /// From the call to the first chunk, ms.
        first_ms: f64,
        /// From there to the second one, ms.
        gap_ms: f64,
    },
    /// `[DONE]` came without a `finish_reason`.
    NoFinishReason,
    /// The server gave an unknown reason for the end after all requested tokens.
    UnknownEnd {
        /// The server's `finish_reason`.
        reason: String,
    },
    /// The kernel lowered clocks because of heat.
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

    /// Whether the machine, not the runtime, is the cause.
    pub const fn is_disturbance(&self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::LowerFrequency { .. } | Self::OtherProcess { .. }
        )
    }

    /// Its name in words, without numbers, so that inferences rejected for the same cause are counted together.
    fn in_words(&self) -> &'static str {
        match self {
            Self::Throttled => "clocks were lowered because of heat",
            Self::LowerFrequency { .. } => "a held clock was lower than at the run's start",
            Self::OtherProcess { .. } => "other processes took CPU time from the model",
            other => other.name(),
        }
    }
}
