//! Detects a first chunk that belongs to the previous answer. Some servers keep the last token of an answer in their
//! queue and send it first in the next one. The prefill then lies between the first chunk and the second.

use super::outcome::Inference;
use super::tokens::TokenEvent;

/// Fewest chunks for which the pace of a stream can be determined.
const FEWEST_CHUNKS: usize = 5;
/// Shortest first gap that can be a prefill, ns: the scheduler delays a process by less.
const SHORTEST_NS: u64 = 20_000_000;
/// If the median of the other gaps is shorter than this, chunks arrive in bursts and have no pace, ns.
const BURST_NS: u64 = 50_000;
/// A first gap of so many medians is a prefill if it is at least half as long as the wait before it.
const MANY: u64 = 10;
/// A first gap of so many medians is a prefill if it is at least as long as the wait before it.
const SEVERAL: u64 = 5;
/// A first gap of so many medians is a prefill if the first chunk arrived in less than half a median gap. A prefill
/// reads all weights, like the computation of one token.
const SOME: u64 = 3;

impl Inference {
    /// The tokens of this answer: all, or all but the first if that belongs to the previous answer.
    pub fn own_tokens(&self) -> &[TokenEvent] {
        &self.tokens[usize::from(self.is_first_chunk_stale())..]
    }

    /// Whether the first chunk belongs to the previous answer. Always false if the server served several requests at a
    /// time: that causes such gaps too.
    pub fn is_first_chunk_stale(&self) -> bool {
        let alone = self.stream.as_ref().is_some_and(|stream| !stream.shared);
        if !alone || self.tokens.len() < FEWEST_CHUNKS {
            return false;
        }
        let gap = |pair: &[TokenEvent]| pair[1].at_ns.saturating_sub(pair[0].at_ns);
        let first = gap(&self.tokens[..2]);
        let mut others: Vec<u64> = self.tokens[1..].windows(2).map(gap).collect();
        others.sort_unstable();
        // One stall in the rest of the answer hides nothing. Chunks that arrive in bursts have several such gaps.
        let (median, long) = (others[others.len() / 2], others[others.len() - 2]);
        let wait = self.tokens[0].at_ns.saturating_sub(self.call_ns);
        if median < BURST_NS || first < SHORTEST_NS || first < 2 * long || self.is_prefill_before(wait) {
            return false;
        }
        (first >= MANY * median && 2 * first >= wait)
            || (first >= SEVERAL * median && first >= wait)
            || (first >= SOME * median && 2 * wait < median)
    }

    /// Whether the server reports a prefill time no longer than the wait for the first chunk.
    fn is_prefill_before(&self, wait_ns: u64) -> bool {
        self.reported_prefill_ns().is_some_and(|ns| ns <= wait_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stream;
    use super::*;
    use crate::base::number::Float as _;
    use crate::inference::RuntimeStats;
    use crate::runtime::engine::scripted;

    const MS: u64 = 1_000_000;

    /// Chunks after these waits, ms.
    fn after(waits: &[u64]) -> Inference {
        let stamps = waits.iter().scan(0, |at, wait| {
            *at += wait * MS;
            Some(*at)
        });
        let stamps: Vec<u64> = stamps.collect();
        let end = stamps.last().copied().unwrap_or_default() + MS;
        Inference {
            stats: None,
            stream: Some(Stream::default()),
            ..scripted::inference(0, &stamps, end)
        }
    }

    #[test]
    fn a_prefill_after_the_first_chunk_is_seen() {
        for waits in [
            [163, 276, 14, 14, 14, 15, 13],
            [1, 276, 14, 14, 90, 15, 13],
            [300, 200, 14, 14, 14, 15, 13],
            [50, 200, 30, 30, 30, 30, 30],
            [2, 50, 14, 14, 14, 15, 13],
        ] {
            let inference = after(&waits);
            assert!(inference.is_first_chunk_stale(), "{waits:?}");
            let phases = inference.phases().expect("tokens");
            assert_eq!(phases.ttft_ns, Some((waits[0] + waits[1]) * MS), "{waits:?}");
            let decode: u64 = waits[2..].iter().sum();
            let expected = (decode * MS).float() / 5.0;
            assert_eq!(phases.decode_ns_per_token, Some(expected), "{waits:?}");
            assert_eq!(phases.worst_gap_ns, waits[2..].iter().max().map(|ms| ms * MS));
        }
    }

    #[test]
    fn bursts_stalls_and_ordinary_streams_are_left_alone() {
        for (what, waits) in [
            ("even", vec![163, 14, 14, 14, 14, 14, 14]),
            ("a stall in the first step", vec![163, 60, 14, 14, 14, 14, 14]),
            ("a stall of a short prompt", vec![15, 40, 14, 14, 14, 14, 14]),
            ("a delay by the scheduler", vec![3, 15, 1, 1, 1, 1, 1]),
            ("bursts of three", vec![100, 90, 1, 1, 90, 1, 1, 90, 1, 1]),
            ("one, then a burst", vec![100, 300, 0, 0, 0, 0, 0]),
            ("a slow machine", vec![100, 300, 14, 200, 14, 180, 14]),
            ("few chunks", vec![1, 300, 14, 14]),
            ("several tokens a chunk", vec![20, 100, 100, 100, 100, 100]),
        ] {
            assert!(!after(&waits).is_first_chunk_stale(), "{what}");
        }
    }

    #[test]
    fn only_a_server_that_serves_one_request_is_judged() {
        let stale = after(&[163, 276, 14, 14, 14, 15, 13]);
        let shared = Stream {
            shared: true,
            ..Stream::default()
        };
        for stream in [None, Some(shared)] {
            let inference = Inference {
                stream,
                ..stale.clone()
            };
            assert!(!inference.is_first_chunk_stale());
        }
        let with_statistics = Inference {
            stats: Some(RuntimeStats {
                prefill_time_ms: 150.0,
                prefill_tokens: 12,
                generate_time_ms: 300.0,
                generate_tokens: 7,
                memory_usage_mb: 0.0,
            }),
            ..stale
        };
        assert!(
            !with_statistics.is_first_chunk_stale(),
            "the prefill was over before the first chunk"
        );
    }
}
