//! Sentences for the marks that remove figures or change their meaning.

use super::verdict::Mark;
use crate::inference::CountRule;

impl Mark {
    /// What the mark means for the figures, and what to do. Absent if its name says it all.
    pub fn explanation(&self) -> Option<String> {
        Some(match self {
            Self::CountedBy { rule, usage, chunks } => return without_a_count(*rule, *usage, *chunks),
            Self::NotStreamed => "no decode: the server made the whole answer before it sent it".into(),
            Self::UnreadDeltas {
                chunks,
                fields,
                with_text,
                usage,
            } => {
                let counted = match usage {
                    Some(tokens) => format!("usage counts {tokens} tokens"),
                    None => "the server sends no usage".into(),
                };
                format!(
                    "no TTFT and no decode: {chunks} chunks held something in fields that are not read ({}), \
                     {with_text} held text, and {counted}",
                    fields.join(", ")
                )
            }
            Self::AnsweredAs { name } => format!("the server calls the model {name} in its answers"),
            Self::LeftOut { fields } => format!(
                "the server refuses {}, so it samples by its own settings: the answers need not be greedy",
                fields.join(", ")
            ),
            Self::LongerThanAsked { asked, got } => format!(
                "the server ignores --max-new-tokens {asked}: {got} tokens came; decode is over all of them, total is \
                 that of the longer answer. Set --max-new-tokens to the server's length, or set a limit when you start the server"
            ),
            Self::StaleFirstChunk { first_ms, gap_ms } => format!(
                "the first chunk came after {first_ms:.0} ms and the second {gap_ms:.0} ms later, a wait as long as a \
                 prefill: the first belongs to the previous answer, so TTFT is taken to the second"
            ),
            Self::NoFinishReason => "the server ends its answers with [DONE] and does not say why".into(),
            Self::UnknownEnd { reason } => {
                format!("the server ends its answers with the finish_reason {reason:?}, which is not known")
            }
            _ => return None,
        })
    }
}

fn without_a_count(rule: CountRule, usage: Option<u32>, chunks: usize) -> Option<String> {
    let are = match rule {
        CountRule::ChunksAreCharacters => "each chunk is one character",
        CountRule::ChunksAreWords => "each chunk is a word",
        CountRule::ChunksArePieces => "all chunks have the same length",
        _ => return None,
    };
    let usage = match usage {
        Some(count) if count > 0 => format!("usage says {count}, which does not count tokens"),
        _ => "the server sends no usage".into(),
    };
    Some(format!(
        "no decode: {are}, and {usage}, so the number of tokens in the {chunks} chunks is unknown"
    ))
}
