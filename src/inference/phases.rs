//! The phases of an inference: TTFT, prefill, decode, total.

use serde::{Deserialize, Serialize};

use super::outcome::Inference;
use super::token_count::{CountRule, TokenCount};
use super::tokens::TokenEvent;
use crate::base::number::{Float as _, Long as _};

/// The phases of one inference, from our own stamps, in nanoseconds.
///
/// TTFT = first callback - call. Decode, the time per output token (TPOT) = (last - first) / (tokens - 1), absent
/// below two tokens, where a server did not stream, and where nobody knows how many tokens there were. Total = return - call. With a runtime in the same process nothing
/// lies between call and prefill, so prefill is the TTFT; the runtime's own `prefill_time_ms` stands beside it. Between a
/// client and a server's prefill lies all that the server adds, so there prefill is what the server says of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Time to the first token, ns; absent where a server's first tokens may have come in fields that are not read.
    #[serde(deserialize_with = "Option::deserialize")]
    pub ttft_ns: Option<u64>,
    /// Time of the prompt's computation, ns; absent where a server does not tell it.
    pub prefill_ns: Option<u64>,
    /// Mean time per output token after the first, ns.
    pub decode_ns_per_token: Option<f64>,
    /// Call to return, ns.
    pub total_ns: u64,
    /// Longest gap between neighbouring tokens, ns.
    pub worst_gap_ns: Option<u64>,
}

impl Inference {
    /// The phases; absent when no token came or the stamps run backwards.
    pub fn phases(&self) -> Option<Phases> {
        self.tokens.first()?.at_ns.checked_sub(self.call_ns)?;
        let in_order = |pair: &[TokenEvent]| pair[0].at_ns <= pair[1].at_ns;
        if !self.tokens.windows(2).all(in_order) {
            return None;
        }
        let own = self.own_tokens();
        let (first, last) = (own.first()?.at_ns, own.last()?.at_ns);
        let count = self.token_count();
        let ttft_ns = (count.rule != CountRule::UnreadDeltas).then_some(first - self.call_ns);
        let has_pace = self.is_streamed() && ttft_ns.is_some() && count.tokens.is_some();
        let gaps = own.windows(2).map(|pair| pair[1].at_ns - pair[0].at_ns);
        Some(Phases {
            ttft_ns,
            prefill_ns: match self.stream {
                None => ttft_ns,
                Some(_) => self.told_prefill_ns(),
            },
            decode_ns_per_token: self
                .steps(count)
                .filter(|_| has_pace)
                .map(|steps| float(last - first) / float(steps)),
            total_ns: self.return_ns.checked_sub(self.call_ns)?,
            worst_gap_ns: gaps.max().filter(|_| has_pace),
        })
    }

    /// Computations of a token between the first and the last stamp; absent where there are none, or nobody knows.
    fn steps(&self, count: TokenCount) -> Option<u64> {
        let tokens = match count.rule {
            CountRule::Callbacks | CountRule::UsageAndChunks => self.own_tokens().len(),
            _ => count.tokens?,
        };
        Some(tokens.checked_sub(1)?.long()).filter(|steps| *steps > 0)
    }
}

fn float(value: u64) -> f64 {
    value.float()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::scripted;

    #[test]
    fn phases_of_known_stamps() {
        let inference = scripted::inference(1_000, &[6_000, 7_000, 8_500, 9_000], 9_200);
        assert_eq!(
            inference.phases(),
            Some(Phases {
                ttft_ns: Some(5_000),
                prefill_ns: Some(5_000),
                decode_ns_per_token: Some(1_000.0),
                total_ns: 8_200,
                worst_gap_ns: Some(1_500)
            })
        );
    }

    #[test]
    fn one_token_has_no_decode_and_no_gap() {
        let phases = scripted::inference(0, &[10], 12).phases().expect("a token came");
        assert_eq!((phases.decode_ns_per_token, phases.worst_gap_ns), (None, None));
    }

    #[test]
    fn no_token_or_stamps_that_run_backwards_have_no_phases() {
        assert_eq!(scripted::inference(0, &[], 5).phases(), None);
        assert_eq!(scripted::inference(10, &[5], 20).phases(), None);
        assert_eq!(scripted::inference(0, &[5, 4], 20).phases(), None);
    }
}
