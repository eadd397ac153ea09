//! How many tokens an inference gave, and whether they came as they were made: what can be believed of a stream.

use serde::{Deserialize, Serialize};

use super::ends::End;
use super::input::Input;
use super::outcome::Inference;
use super::pieces::{Pieces, is_in_letters};
use super::stream::Stream;
use crate::base::number::{Float as _, Long as _, Size as _};

/// How many new tokens there were, and by what that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCount {
    /// New tokens; absent where nobody knows.
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
    /// Each by its callback.
    Callbacks,
    /// The server's `usage` and the chunks with text agree; an end token has no text.
    UsageAndChunks,
    /// By `usage`: some chunks hold several tokens.
    Usage,
    /// By the runtime's `generate_tokens` that the server passes on: some chunks hold several tokens.
    RuntimeStatistics,
    /// By the chunks with text: the server sends no `usage`.
    ChunksNoUsage,
    /// By the chunks with text: `usage` counts words.
    ChunksUsageIsWords,
    /// By the chunks with text: `usage` counts fewer than those.
    ChunksUsageTooFew,
    /// Not at all: each chunk is one character, and no count of tokens is there.
    ChunksAreCharacters,
    /// Not at all: each chunk is a word, and no count of tokens is there.
    ChunksAreWords,
    /// Not at all: the chunks are pieces of one size, and no count of tokens is there.
    ChunksArePieces,
    /// By `usage`, where that is there: chunks between those with text held something in fields that are not read, so that
    /// nobody knows when the tokens came.
    UnreadDeltas,
}

impl CountRule {
    /// Whether two counts that do not depend on each other agree.
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::Callbacks | Self::UsageAndChunks)
    }
}

/// Whether `count` is that of the words in `text`, with up to `more` around it: what some servers send as tokens.
pub fn is_word_count(count: u32, text: &str, more: usize) -> bool {
    let words = text.split_whitespace().count();
    (words..=words + more).contains(&(count.size()))
}

/// Words that a server may put around a prompt, such as `User:` and `Assistant:`. A real template has more tokens.
const WORDS_AROUND: usize = 2;

impl Inference {
    /// How many new tokens there were.
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
        let of_runtime = self.told_new_tokens();
        let is_all = |told| told == chunks || told + 1 == chunks;
        if stream.unread.is_some() && !of_runtime.is_some_and(is_all) {
            let tokens = of_runtime.filter(|told| *told > chunks);
            let of_usage = counted.tokens.filter(|_| counted.rule == CountRule::Usage);
            return TokenCount {
                tokens: tokens.or(of_usage),
                rule: CountRule::UnreadDeltas,
            };
        }
        match of_runtime {
            Some(told) if told > chunks || counted.tokens.is_none() => {
                TokenCount::of(told, CountRule::RuntimeStatistics)
            }
            _ => counted,
        }
    }

    /// The count by `usage` and the chunks.
    fn counted_by_stream(&self, stream: &Stream, chunks: usize) -> TokenCount {
        let by_chunks = |rule| match stream.pieces {
            Pieces::Tokens => TokenCount::of(chunks, rule),
            Pieces::Characters => TokenCount::unknown(CountRule::ChunksAreCharacters),
            Pieces::Words => TokenCount::unknown(CountRule::ChunksAreWords),
            Pieces::FixedSize => TokenCount::unknown(CountRule::ChunksArePieces),
        };
        let usage = stream.usage.and_then(|usage| usage.completion_tokens);
        // Some servers send a usage without having counted.
        let Some(told) = usage.filter(|told| *told > 0 || chunks == 0) else {
            return by_chunks(CountRule::ChunksNoUsage);
        };
        let count = told.size();
        if self.agrees(count, chunks) {
            // Some servers count what they send.
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
        if is_word_count(told, &self.text, 0) {
            return by_chunks(CountRule::ChunksUsageIsWords);
        }
        if count > chunks || stream.pieces != Pieces::Tokens {
            return TokenCount::of(count, CountRule::Usage);
        }
        TokenCount::of(chunks, CountRule::ChunksUsageTooFew)
    }

    /// Whether the server's count is that of the chunks: with an end token or without, and without a token that the server
    /// keeps for the next answer.
    fn agrees(&self, told: usize, chunks: usize) -> bool {
        let reason = self
            .stream
            .as_ref()
            .and_then(|stream| stream.finish_reason.as_deref());
        let ends_by_itself = reason.is_some_and(|word| End::of(word) == End::ByItself);
        told == chunks || (told == chunks + 1 && (ends_by_itself || self.is_first_chunk_stale()))
    }

    fn told_new_tokens(&self) -> Option<usize> {
        let stats = self.stats.filter(|stats| !stats.are_zero())?;
        usize::try_from(stats.generate_tokens).ok()
    }

    /// Tokens of the prompt, chat template included, as far as they are told: a server's count, unless it is one of words, or
    /// what the prefill computed, whichever is more. A prefill computes the whole prompt only in a cold run.
    pub fn told_prompt_tokens(&self, input: &Input) -> Option<u32> {
        let usage = self.stream.as_ref().and_then(|stream| stream.usage);
        let told = usage
            .and_then(|usage| usage.prompt_tokens)
            .filter(|told| match input {
                Input::Text(text) => {
                    !is_word_count(*told, text, WORDS_AROUND)
                        && ![CountRule::ChunksUsageIsWords, CountRule::ChunksAreWords]
                            .contains(&self.token_count().rule)
                }
                Input::Tokens(_) => true,
            });
        let stats = self.stats.filter(|stats| !stats.are_zero());
        let computed = stats.and_then(|stats| u32::try_from(stats.prefill_tokens).ok());
        told.max(computed)
    }

    /// The server's own time of prefill, ns.
    pub(super) fn told_prefill_ns(&self) -> Option<u64> {
        let ms = self.stats.filter(|stats| !stats.are_zero())?.prefill_time_ms;
        let time = std::time::Duration::try_from_secs_f32(ms / 1e3).ok()?;
        u64::try_from(time.as_nanos()).ok().filter(|ns| *ns > 0)
    }

    /// Whether the tokens came as they were made. Some servers keep an answer back and then send its chunks at once: a
    /// token in less than 50 microseconds, or in less than half of what the server itself says that decoding took.
    pub fn is_streamed(&self) -> bool {
        if self.stream.is_none() {
            return true;
        }
        let (Some(first), Some(last)) = (self.tokens.first(), self.tokens.last()) else {
            return true;
        };
        let steps = self.tokens.len().long() - 1;
        let took_ns = last.at_ns.saturating_sub(first.at_ns);
        let told_ms = self.stats.map_or(0.0, |stats| stats.generate_time_ms);
        let decode_ms = took_ns.float() / 1e6;
        steps == 0 || (took_ns >= steps * FASTEST_NS && decode_ms * 2.0 >= f64::from(told_ms))
    }
}

/// Less time a token than any model needs, ns: 20,000 tokens a second.
const FASTEST_NS: u64 = 50_000;
