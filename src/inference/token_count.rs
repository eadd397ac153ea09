//! How many tokens an inference generated, and whether they were streamed as they were generated.

use serde::{Deserialize, Serialize};

use super::ends::End;
use super::input::Input;
use super::outcome::Inference;
use super::pieces::{Pieces, is_in_letters};
use super::stream::Stream;
use crate::base::number::{Float as _, Long as _, Size as _};

/// The number of new tokens, and how it was determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCount {
    /// New tokens; absent if unknown.
    pub tokens: Option<usize>,
    /// How they were counted.
    pub rule: CountRule,
}

impl TokenCount {
    const fn of(tokens: usize, rule: CountRule) -> Self {
        Self {
            tokens: Some(tokens),
            rule,
        }
    }

    const fn unknown(rule: CountRule) -> Self {
        Self { tokens: None, rule }
    }
}

/// How new tokens were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountRule {
    /// Each has a callback.
    Callbacks,
    /// `usage` of the server and the chunks with text agree; an end token has no text.
    UsageAndChunks,
    /// By `usage`: some chunks hold several tokens.
    Usage,
    /// By `generate_tokens` of the runtime, which the server passes on: some chunks hold several tokens.
    RuntimeStatistics,
    /// By the chunks with text: the server sends no `usage`.
    ChunksNoUsage,
    /// By the chunks with text: `usage` counts words.
    ChunksUsageIsWords,
    /// By the chunks with text: `usage` counts fewer.
    ChunksUsageTooFew,
    /// Unknown: each chunk is one character, and there is no token count.
    ChunksAreCharacters,
    /// Unknown: each chunk is a word, and there is no token count.
    ChunksAreWords,
    /// Unknown: the chunks are pieces of equal size, and there is no token count.
    ChunksArePieces,
    /// By `usage`, if present. Between the chunks with text, other chunks had content in fields that are not read, so
    /// the times of the tokens are unknown.
    UnreadDeltas,
}

impl CountRule {
    /// Whether two independent counts agree.
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::Callbacks | Self::UsageAndChunks)
    }
}

/// Whether `count` is the number of words in `text` plus at most `more`: some servers send that as tokens.
pub fn is_word_count(count: u32, text: &str, more: usize) -> bool {
    let words = text.split_whitespace().count();
    (words..=words + more).contains(&(count.size()))
}

/// Words that a server may put around a prompt, such as `User:` and `Assistant:`. A real template has more tokens.
const WORDS_AROUND: usize = 2;

impl Inference {
    /// The number of new tokens.
    pub fn token_count(&self) -> TokenCount {
        let Some(stream) = &self.stream else {
            return TokenCount::of(self.tokens.len() + self.overflow.size(), CountRule::Callbacks);
        };
        let chunks = self.own_tokens().len();
        let counted = self.counted_by_stream(stream, chunks);
        if counted.rule == CountRule::UsageAndChunks {
            return counted;
        }
        // The runtime counts the callbacks, or one less.
        let of_runtime = self.reported_new_tokens();
        let is_all = |reported| reported == chunks || reported + 1 == chunks;
        if stream.unread.is_some() && !of_runtime.is_some_and(is_all) {
            let tokens = of_runtime.filter(|reported| *reported > chunks);
            let of_usage = counted.tokens.filter(|_| counted.rule == CountRule::Usage);
            return TokenCount {
                tokens: tokens.or(of_usage),
                rule: CountRule::UnreadDeltas,
            };
        }
        match of_runtime {
            Some(reported) if reported > chunks || counted.tokens.is_none() => {
                TokenCount::of(reported, CountRule::RuntimeStatistics)
            }
            _ => counted,
        }
    }

    /// The count from `usage` and the chunks.
    fn counted_by_stream(&self, stream: &Stream, chunks: usize) -> TokenCount {
        let by_chunks = |rule| match stream.pieces {
            Pieces::Tokens => TokenCount::of(chunks, rule),
            Pieces::Characters => TokenCount::unknown(CountRule::ChunksAreCharacters),
            Pieces::Words => TokenCount::unknown(CountRule::ChunksAreWords),
            Pieces::FixedSize => TokenCount::unknown(CountRule::ChunksArePieces),
        };
        let usage = stream.usage.and_then(|usage| usage.completion_tokens);
        // Some servers send `usage` without counting.
        let Some(reported) = usage.filter(|reported| *reported > 0 || chunks == 0) else {
            return by_chunks(CountRule::ChunksNoUsage);
        };
        let count = reported.size();
        if self.agrees(count, chunks) {
            // Some servers count the chunks.
            let is_letters = stream.pieces == Pieces::Characters && is_in_letters(&self.text);
            let tokens = if self.is_first_chunk_stale() {
                count
            } else {
                chunks
            };
            return if is_letters {
                by_chunks(CountRule::ChunksNoUsage)
            } else {
                TokenCount::of(tokens, CountRule::UsageAndChunks)
            };
        }
        if is_word_count(reported, &self.text, 0) {
            return by_chunks(CountRule::ChunksUsageIsWords);
        }
        if count > chunks || stream.pieces != Pieces::Tokens {
            return TokenCount::of(count, CountRule::Usage);
        }
        TokenCount::of(chunks, CountRule::ChunksUsageTooFew)
    }

    /// Whether the server counts the chunks, with or without an end token and a token that it keeps for the next
    /// answer.
    fn agrees(&self, reported: usize, chunks: usize) -> bool {
        let reason = self
            .stream
            .as_ref()
            .and_then(|stream| stream.finish_reason.as_deref());
        let is_ended_by_model = reason.is_some_and(|word| End::of(word) == End::ByModel);
        reported == chunks || (reported == chunks + 1 && (is_ended_by_model || self.is_first_chunk_stale()))
    }

    fn reported_new_tokens(&self) -> Option<usize> {
        let stats = self.stats.filter(|stats| !stats.are_zero())?;
        usize::try_from(stats.generate_tokens).ok()
    }

    /// Tokens of the prompt with its chat template, as reported: the larger of the server's count, unless it counts
    /// words, and the tokens that the prefill computed. Only the prefill of a cold run computes the whole prompt.
    pub fn reported_prompt_tokens(&self, input: &Input) -> Option<u32> {
        let usage = self.stream.as_ref().and_then(|stream| stream.usage);
        let reported = usage
            .and_then(|usage| usage.prompt_tokens)
            .filter(|reported| match input {
                Input::Text(text) => {
                    !is_word_count(*reported, text, WORDS_AROUND)
                        && ![CountRule::ChunksUsageIsWords, CountRule::ChunksAreWords]
                            .contains(&self.token_count().rule)
                }
                Input::Tokens(_) => true,
            });
        let stats = self.stats.filter(|stats| !stats.are_zero());
        let computed = stats.and_then(|stats| u32::try_from(stats.prefill_tokens).ok());
        reported.max(computed)
    }

    /// The prefill time that the server reports, ns.
    pub(super) fn reported_prefill_ns(&self) -> Option<u64> {
        let ms = self.stats.filter(|stats| !stats.are_zero())?.prefill_time_ms;
        let time = std::time::Duration::try_from_secs_f32(ms / 1e3).ok()?;
        u64::try_from(time.as_nanos()).ok().filter(|ns| *ns > 0)
    }

    /// Whether the tokens arrived as they were generated. Some servers hold an answer back and then send all its chunks
    /// at once. Then a token takes less than 50 microseconds, or less than half the decode time that the server
    /// reports.
    pub fn is_streamed(&self) -> bool {
        if self.stream.is_none() {
            return true;
        }
        let (Some(first), Some(last)) = (self.tokens.first(), self.tokens.last()) else {
            return true;
        };
        let steps = self.tokens.len().long() - 1;
        let took_ns = last.at_ns.saturating_sub(first.at_ns);
        let reported_ms = self.stats.map_or(0.0, |stats| stats.generate_time_ms);
        let decode_ms = took_ns.float() / 1e6;
        steps == 0 || (took_ns >= steps * FASTEST_NS && decode_ms * 2.0 >= f64::from(reported_ms))
    }
}

/// Time per token, ns, below which no model generates: 20,000 tokens a second.
const FASTEST_NS: u64 = 50_000;
