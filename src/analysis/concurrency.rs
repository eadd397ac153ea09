//! A server under load: one level for each number of clients. Each client sends one request after the other.

use serde::Serialize;

use crate::analysis::metrics::percentile;
use crate::base::number::{Float as _, NS_PER_S, ms};
use crate::record::{ModelRecord, RunRecord, Sample};

/// One model at one number of clients.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// The model's name.
    pub model: String,
    /// Clients.
    pub clients: u16,
    /// Requests with accepted answers.
    pub requests: usize,
    /// Requests that failed or were rejected.
    pub failed: usize,
    /// Time during which all clients were busy, s: from the last client's first request to the first client's last
    /// answer. Rates are for this time. Absent if there was none.
    pub seconds: Option<f64>,
    /// New tokens per second over all clients.
    pub tokens_per_second: Option<f64>,
    /// Answers per second over all clients.
    pub requests_per_second: Option<f64>,
    /// Time to the first token, ms.
    pub ttft_ms: Percentiles,
    /// Time between neighbouring tokens (ITL), ms.
    pub inter_token_ms: Percentiles,
}

/// Percentiles. p90 needs at least 10 requests, p99 at least 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of the values are at most this.
    pub p50: Option<f64>,
    /// 90 % of the values are at most this.
    pub p90: Option<f64>,
    /// 99 % of the values are at most this.
    pub p99: Option<f64>,
}

impl Percentiles {
    fn of(values: &[f64], requests: usize) -> Self {
        let of = |share, fewest| {
            (requests >= fewest)
                .then(|| percentile(values.to_vec(), share))
                .flatten()
        };
        Self {
            p50: of(0.50, 1),
            p90: of(0.90, 10),
            p99: of(0.99, 100),
        }
    }
}

/// The levels of a run. Empty for a run without [`concurrency`](crate::record::ServerParameters::concurrency).
pub fn levels(run: &RunRecord) -> Vec<Level> {
    let server = run.parameters.server.as_ref();
    let Some(clients) = server.and_then(|server| server.concurrency) else {
        return Vec::new();
    };
    let models = run.models.iter();
    models.map(|model| level(model, clients)).collect()
}

fn level(model: &ModelRecord, clients: u16) -> Level {
    let samples: Vec<&Sample> = model.prompts.iter().flat_map(|prompt| &prompt.samples).collect();
    let prompts = model.prompts.iter();
    let busy = busy(&samples, clients);
    let seconds = busy.map(|(from, to)| (to - from).float() / NS_PER_S);
    let within = |at_ns: u64| busy.is_some_and(|(from, to)| (from..=to).contains(&at_ns));
    // If the token count of one answer is unknown, so is the sum.
    let tokens: Option<f64> = samples.iter().map(|sample| tokens_within(sample, &within)).sum();
    let answers = samples
        .iter()
        .filter(|sample| within(sample.inference.return_ns))
        .count();
    let ttft: Vec<f64> = samples
        .iter()
        .filter_map(|sample| Some(ms(sample.phases.ttft_ns?)))
        .collect();
    let gaps: Vec<f64> = samples
        .iter()
        .filter(|sample| sample.phases.worst_gap_ns.is_some())
        .flat_map(|sample| sample.inference.own_tokens().windows(2))
        .map(|pair| ms(pair[1].at_ns.saturating_sub(pair[0].at_ns)))
        .collect();
    Level {
        model: model.name.clone(),
        clients,
        requests: samples.len(),
        failed: prompts
            .map(|prompt| prompt.rejected.len() + prompt.failures.len())
            .sum(),
        seconds,
        tokens_per_second: seconds.zip(tokens).map(|(seconds, tokens)| tokens / seconds),
        requests_per_second: seconds.map(|seconds| answers.float() / seconds),
        ttft_ms: Percentiles::of(&ttft, samples.len()),
        inter_token_ms: Percentiles::of(&gaps, samples.len()),
    }
}

/// New tokens of a sample within a time span. Absent if the token count is unknown. A chunk with several tokens counts
/// for its share of the answer's tokens.
fn tokens_within(sample: &Sample, within: &impl Fn(u64) -> bool) -> Option<f64> {
    let inference = &sample.inference;
    let chunks = inference
        .own_tokens()
        .iter()
        .filter(|token| within(token.at_ns))
        .count();
    let tokens = inference.token_count().tokens?.float();
    let share = tokens / inference.own_tokens().len().float();
    Some(chunks.float() * share)
}

/// Time span in which all clients were busy, ns: from the first to the last moment with as many open requests as
/// clients. Absent if there was no such moment.
fn busy(samples: &[&Sample], clients: u16) -> Option<(u64, u64)> {
    // An answer's end and its client's next request may have the same time: the request counts first.
    let mut moments: Vec<(u64, i32)> = samples
        .iter()
        .flat_map(|sample| [(sample.inference.call_ns, 1), (sample.inference.return_ns, -1)])
        .collect();
    moments.sort_by_key(|(at_ns, change)| (*at_ns, -change));
    let (mut under_way, mut from, mut to) = (0, None, None);
    for (at_ns, change) in moments {
        if change < 0 && under_way >= i32::from(clients) {
            to = Some(at_ns);
        }
        under_way += change;
        if change > 0 && under_way >= i32::from(clients) {
            from.get_or_insert(at_ns);
        }
    }
    from.zip(to).filter(|(from, to)| from < to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Api;
    use crate::record::{ServerParameters, fixtures};

    const MS: u64 = 1_000_000;

    /// An answer of four tokens in the middle of its time.
    fn sample(call_ms: u64, return_ms: u64) -> Sample {
        let step = (return_ms - call_ms) * MS / 5;
        let mut sample = fixtures::sample_of(&[step, 2 * step, 3 * step, 4 * step]);
        for token in &mut sample.inference.tokens {
            token.at_ns += call_ms * MS;
        }
        sample.inference.call_ns = call_ms * MS;
        sample.inference.return_ns = return_ms * MS;
        sample
    }

    fn run(clients: u16, samples: Vec<Sample>) -> RunRecord {
        let mut run = fixtures::empty();
        run.parameters.server = Some(ServerParameters {
            url: "http://board".into(),
            api: Api::Chat,
            manages_models: true,
            concurrency: Some(clients),
        });
        run.models.push(ModelRecord {
            prompts: vec![crate::record::PromptRecord {
                samples,
                ..fixtures::prompt("p")
            }],
            ..fixtures::model("m")
        });
        run
    }

    #[test]
    fn two_clients_in_known_numbers() {
        // The second begins 50 ms later and ends 100 ms before the first: both are busy from 50 to 200 ms.
        let samples = vec![
            sample(0, 100),
            sample(100, 200),
            sample(200, 300),
            sample(50, 150),
            sample(150, 200),
        ];
        let level = &levels(&run(2, samples))[0];
        assert_eq!((level.requests, level.failed, level.clients), (5, 0, 2));
        let seconds = level.seconds.expect("both were busy");
        assert!((seconds - 0.15).abs() < 1e-12, "{seconds}");
        // Of the first answer two tokens (60 and 80 ms), of the others but the last one of the first client all.
        let expected = f64::from(2 + 4 + 4 + 4) / 0.15;
        assert!(
            (level.tokens_per_second.expect("a rate") - expected).abs() < 1e-9,
            "{level:?}"
        );
        assert!(
            (level.requests_per_second.expect("a rate") - 4.0 / 0.15).abs() < 1e-9,
            "{level:?}"
        );
        assert_eq!(level.ttft_ms.p50, Some(20.0));
        assert_eq!(level.ttft_ms.p90, None);
    }

    #[test]
    fn clients_that_were_never_busy_together_have_no_rates() {
        let level = &levels(&run(2, vec![sample(0, 100), sample(100, 200)]))[0];
        // The end of the one and the beginning of the other are one moment and no time.
        assert_eq!((level.seconds, level.tokens_per_second), (None, None));
        assert!(level.ttft_ms.p50.is_some());
    }

    #[test]
    fn a_run_without_clients_in_parallel_has_no_levels() {
        assert_eq!(levels(&fixtures::complete("one")), []);
    }
}
