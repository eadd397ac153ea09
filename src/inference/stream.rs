//! What a server's stream tells, and what can be believed of it: how many tokens there were, and whether they came as
//! they were made.

use serde::{Deserialize, Serialize};

use super::{Inference, Input};

/// What a server told beside the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// When the response's headers were read, `CLOCK_MONOTONIC` nanoseconds.
    pub response_ns: u64,
    /// Its counts; absent where it sends none.
    pub usage: Option<Usage>,
    /// Why the answer ended, in the server's word, such as `stop` or `length`.
    pub finish_reason: Option<String>,
    /// The model that the server says it answered with; absent where it says none.
    pub model: Option<String>,
}

impl Stream {
    /// Whether the server says that nothing of the prompt was in its cache.
    pub fn is_told_cold(&self) -> bool {
        self.usage.and_then(|usage| usage.cached_tokens) == Some(0)
    }
}

/// The server's own counts, as delivered. Some servers count words here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// New tokens.
    pub completion_tokens: Option<u32>,
    /// Tokens of the prompt that were found in the server's cache.
    pub cached_tokens: Option<u32>,
}

/// How many new tokens there were, and by what that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCount {
    /// New tokens.
    pub tokens: usize,
    /// How they were counted.
    pub rule: CountRule,
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
    (words..=words + more).contains(&(count as usize))
}

/// Words that a server may put around a prompt, such as `User:` and `Assistant:`. A real template has more tokens.
const WORDS_AROUND: usize = 2;

impl Inference {
    /// How many new tokens there were.
    pub fn token_count(&self) -> TokenCount {
        let seen = self.tokens.len() + self.overflow as usize;
        let Some(stream) = &self.stream else {
            return TokenCount {
                tokens: seen,
                rule: CountRule::Callbacks,
            };
        };
        let usage = stream.usage.and_then(|usage| usage.completion_tokens);
        let by_chunks = match usage {
            None => CountRule::ChunksNoUsage,
            Some(told) if self.agrees(told as usize, seen) => CountRule::UsageAndChunks,
            Some(told) if is_word_count(told, &self.text, 0) => CountRule::ChunksUsageIsWords,
            Some(told) if told as usize > seen => {
                return TokenCount {
                    tokens: told as usize,
                    rule: CountRule::Usage,
                };
            }
            Some(_) => CountRule::ChunksUsageTooFew,
        };
        // The runtime counts the callbacks, or one less.
        match self.told_new_tokens() {
            Some(told) if by_chunks != CountRule::UsageAndChunks && told > seen => TokenCount {
                tokens: told,
                rule: CountRule::RuntimeStatistics,
            },
            _ => TokenCount {
                tokens: seen,
                rule: by_chunks,
            },
        }
    }

    /// Whether the server's count is that of the chunks, with an end token or without.
    fn agrees(&self, told: usize, chunks: usize) -> bool {
        let reason = self
            .stream
            .as_ref()
            .and_then(|stream| stream.finish_reason.as_deref());
        told == chunks || (reason == Some("stop") && told == chunks + 1)
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
                        && self.token_count().rule != CountRule::ChunksUsageIsWords
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
        let steps = self.tokens.len() as u64 - 1;
        let took_ns = last.at_ns.saturating_sub(first.at_ns);
        let told_ms = self.stats.map_or(0.0, |stats| stats.generate_time_ms);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a run's nanoseconds fit the 52 bits of a float"
        )]
        let decode_ms = took_ns as f64 / 1e6;
        steps == 0 || (took_ns >= steps * FASTEST_NS && decode_ms * 2.0 >= f64::from(told_ms))
    }
}

/// Less time a token than any model needs, ns: 20,000 tokens a second.
const FASTEST_NS: u64 = 50_000;
