//! The phases of an inference: TTFT, prefill, decode, total.

use serde::{Deserialize, Serialize};

use super::outcome::Inference;
use super::token_count::{CountRule, TokenCount};
use super::tokens::TokenEvent;
use crate::base::number::{Float as _, Long as _};

/// The phases of one inference from our own time stamps, in nanoseconds.
///
/// TTFT = first callback - call. Decode, the time per output token (TPOT), is (last - first) / (tokens - 1). It is
/// absent below two tokens, if a server did not stream, and if the number of tokens is unknown. Total = return - call.
///
/// A runtime in the same process starts its prefill with the call, so prefill is the TTFT; the runtime's own
/// `prefill_time_ms` is recorded beside it. Between a client and the prefill of a server lies the work of the server.
/// There prefill is the time that the server reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Time to the first token, ns; absent if the first tokens of a server may have come in fields that are not read.
    #[serde(deserialize_with = "Option::deserialize")]
    pub ttft_ns: Option<u64>,
    /// Time to compute the prompt, ns; absent if a server does not report it.
    pub prefill_ns: Option<u64>,
    /// Mean time per output token after the first, ns.
    pub decode_ns_per_token: Option<f64>,
    /// Call to return, ns.
    pub total_ns: u64,
    /// Longest gap between neighbouring tokens, ns.
    pub worst_gap_ns: Option<u64>,
}

impl Inference {
    /// The phases; absent without a token or if the time stamps run backwards.
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
                Some(_) => self.reported_prefill_ns(),
            },
            decode_ns_per_token: self
                .steps(count)
                .filter(|_| has_pace)
                .map(|steps| float(last - first) / float(steps)),
            total_ns: self.return_ns.checked_sub(self.call_ns)?,
            worst_gap_ns: gaps.max().filter(|_| has_pace),
        })
    }

    /// Number of tokens computed between the first and the last time stamp; absent if there are none or it is unknown.
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
