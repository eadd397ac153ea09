//! The overhead of a server over its runtime, from two records whose inferences were made in turns.

use serde::Serialize;

use super::figures::Interval;
use super::summary::{Marked, Summary};
use crate::base::number::{NS_PER_MS, ms};
use crate::base::stats::{mean, paired};
use crate::record::{PromptRecord, RunRecord, Sample};

/// Confidence of the intervals.
const LEVEL: f64 = 0.95;

/// The overhead of a server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Overhead {
    /// One entry per prompt with pairs.
    pub(crate) prompts: Vec<OfPrompt>,
    /// Over the pairs of all prompts.
    pub(crate) ttft: Option<Cost>,
    /// Over the pairs of all prompts, for each token after the first.
    pub(crate) per_token: Option<Cost>,
    /// What the marks of the server's samples mean for these figures.
    pub(crate) notes: Vec<String>,
}

/// The overhead of a server on one prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OfPrompt {
    /// Its id.
    pub(crate) id: String,
    /// Prompt tokens of the direct runtime, if known.
    pub(crate) direct_tokens: Option<u32>,
    /// Prompt tokens of the server, if it reports them. They differ from the direct ones if it uses another template.
    pub(crate) server_tokens: Option<u32>,
    /// Time to the first token.
    pub(crate) ttft: Option<Cost>,
    /// Time of each token after the first.
    pub(crate) per_token: Option<Cost>,
}

/// A time with and without the server, ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// Pairs.
    pub(crate) pairs: usize,
    /// Mean of the direct values.
    pub(crate) direct_ms: f64,
    /// Mean of the values through the server.
    pub(crate) server_ms: f64,
    /// Server minus direct, by pairs: the median of Walsh averages with 16 pairs or more, else the mean.
    pub(crate) added_ms: f64,
    /// Its interval of 95 %.
    pub(crate) interval: Interval,
}

impl Cost {
    /// Absent with fewer than two pairs.
    fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(direct, server)| server - direct).collect();
        let change = paired(&differences)?;
        let (lower, upper) = change.interval(LEVEL);
        let of = |side: fn(&(f64, f64)) -> f64| mean(&pairs.iter().map(side).collect::<Vec<_>>());
        Some(Self {
            pairs: pairs.len(),
            direct_ms: of(|pair| pair.0)?,
            server_ms: of(|pair| pair.1)?,
            added_ms: change.estimate(),
            interval: Interval { lower, upper },
        })
    }
}

/// The overhead of one run's server over the other run. Samples with the same prompt and index are a pair.
pub(crate) fn overhead(direct: &RunRecord, server: &RunRecord) -> Overhead {
    let (mut all_ttft, mut all_tokens) = (Vec::new(), Vec::new());
    let prompts = |run: &RunRecord| -> Vec<PromptRecord> {
        run.models
            .iter()
            .flat_map(|model| model.prompts.clone())
            .collect()
    };
    let mut found = Vec::new();
    for (direct, server) in prompts(direct).into_iter().zip(prompts(server)) {
        let of = |measure: fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
            let pairs = direct.samples.iter().zip(&server.samples);
            pairs
                .filter_map(|(direct, server)| Some((measure(direct)?, measure(server)?)))
                .collect()
        };
        let ttft = of(|sample| Some(ms(sample.phases.ttft_ns?)));
        let per_token = of(|sample| Some(sample.phases.decode_ns_per_token? / NS_PER_MS));
        if !ttft.is_empty() || !per_token.is_empty() {
            found.push(OfPrompt {
                id: direct.id.clone(),
                direct_tokens: direct.prompt_tokens,
                server_tokens: server.prompt_tokens,
                ttft: Cost::of(&ttft),
                per_token: Cost::of(&per_token),
            });
        }
        all_ttft.extend(ttft);
        all_tokens.extend(per_token);
    }
    Overhead {
        prompts: found,
        ttft: Cost::of(&all_ttft),
        per_token: Cost::of(&all_tokens),
        notes: notes(server),
    }
}

fn notes(server: &RunRecord) -> Vec<String> {
    let summaries = server.models.iter().map(Summary::of);
    let note = |all: usize, marked: Marked| {
        let Marked { mark, samples, .. } = marked;
        Some(format!("{mark}, {samples} of {all} samples: {}", marked.meaning?))
    };
    summaries
        .flat_map(|summary| {
            let all = summary.requests.successful;
            summary
                .marked
                .into_iter()
                .filter_map(move |marked| note(all, marked))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    #[test]
    fn what_is_added_in_known_numbers() {
        let ms = 1_000_000;
        // Prompts of 10 and 20 ms on a machine that slows down: what a server adds is 2 ms and 0.5 ms a token throughout.
        let direct = fixtures::run("1", &[(10 * ms, ms), (20 * ms, 2 * ms), (30 * ms, 3 * ms)]);
        let half = ms / 2;
        let server = fixtures::run(
            "2",
            &[
                (12 * ms, ms + half),
                (22 * ms, 2 * ms + half),
                (32 * ms, 3 * ms + half),
            ],
        );
        let found = overhead(&direct, &server);
        assert_eq!(found.prompts.len(), 2);
        for cost in [found.ttft, found.prompts[0].ttft].map(|cost| cost.expect("pairs")) {
            assert!(
                (cost.added_ms - 2.0).abs() < 1e-9 && (cost.direct_ms - 20.0).abs() < 1e-9,
                "{cost:?}"
            );
            assert!(cost.interval.upper - cost.interval.lower < 0.001, "{cost:?}");
        }
        let per_token = found.per_token.expect("pairs");
        assert_eq!(per_token.pairs, 6);
        assert!((per_token.added_ms - 0.5).abs() < 1e-9, "{per_token:?}");
    }

    #[test]
    fn a_prompt_without_pairs_is_left_out() {
        let direct = fixtures::run("1", &[(10, 1), (20, 2)]);
        let mut server = fixtures::run("2", &[(10, 1), (20, 2)]);
        server.models[0].prompts[0].samples.clear();
        let found = overhead(&direct, &server);
        assert_eq!(
            found
                .prompts
                .iter()
                .map(|prompt| prompt.id.as_str())
                .collect::<Vec<_>>(),
            ["b"]
        );
    }
}
