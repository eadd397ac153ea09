//! Summary of a model's run: requests, tokens, and average, median, minimum and maximum over its samples.

use crate::base::number::{Float as _, Long as _, NS_PER_S};
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::analysis::figures::median;
use crate::analysis::metrics::{Measure, are_cold, of_sample};
use crate::base::stats;
use crate::machine::sampler::Conditions;
use crate::record::ledger::Mark;
use crate::record::{ModelRecord, Sample};

/// A model's run in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Inferences after the warm-up.
    pub requests: Requests,
    /// Tokens of the samples.
    pub tokens: Tokens,
    /// Time to the first token, ms. Absent, like total and prefill, if the KV cache held a part of a prompt.
    pub ttft_ms: Option<Spread>,
    /// Call to return, ms.
    pub total_ms: Option<Spread>,
    /// Tokens per second after the first token.
    pub decode_tok_per_s: Option<Spread>,
    /// Prompt tokens per second of prefill. Absent if the runtime does not report the prompt's tokens.
    pub prefill_tok_per_s: Option<Spread>,
    /// Peak resident set of the process that ran the model, MB.
    pub peak_memory_mb: Option<Spread>,
    /// From the first call, warm-up included, to the last return, seconds. Absent if nothing was run.
    pub duration_s: Option<f64>,
    /// Marks of the samples, by kind.
    pub marked: Vec<Marked>,
    /// Disturbances that could not be detected during some samples. These samples may have been disturbed even without
    /// a mark.
    pub unseen: Vec<Unseen>,
}

/// Samples with one kind of [`Mark`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Marked {
    /// Its name.
    pub mark: &'static str,
    /// How many.
    pub samples: usize,
    /// Their share of all samples, as a ratio.
    pub share: f64,
    /// What it means for the figures, from the first such mark. Absent if the name says it all.
    pub meaning: Option<String>,
}

/// Samples during which one kind of disturbance could not be detected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unseen {
    /// The name of its [`Mark`].
    pub mark: &'static str,
    /// How many.
    pub samples: usize,
    /// Their share of all samples, as a ratio.
    pub share: f64,
}

/// Numbers of inferences. One that the ledger rejected counts as failed, even if another one replaced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// All values.
    pub total: usize,
    /// Samples.
    pub successful: usize,
    /// Rejected by the ledger, or lost to an engine's failure.
    pub failed: usize,
}

/// Tokens of all samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Prompt tokens. Absent if one prompt's count is unknown.
    pub input: Option<u64>,
    /// Generated tokens. Absent if one answer's count is unknown.
    pub output: Option<u64>,
}

impl Tokens {
    /// The sum of both. Absent if one of them is.
    pub fn total(&self) -> Option<u64> {
        Some(self.input? + self.output?)
    }
}

/// How values spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub average: f64,
    /// The middle value, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest value.
    pub minimum: f64,
    /// The greatest value.
    pub maximum: f64,
}

impl Spread {
    /// Absent without a value.
    pub fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            average: stats::mean(values)?,
            median: median(values.to_vec())?,
            minimum: values.iter().copied().reduce(f64::min)?,
            maximum: values.iter().copied().reduce(f64::max)?,
        })
    }
}

impl Summary {
    /// Over all prompts of a model.
    pub fn of(model: &ModelRecord) -> Self {
        let are_cold = are_cold(&model.prompts);
        let spread = |measure: Measure| {
            if measure.is_of_cache_start() && !are_cold {
                return None;
            }
            let of_prompts = model.prompts.iter().flat_map(|prompt| {
                let samples = prompt.samples.iter();
                samples.filter_map(move |sample| of_sample(measure, prompt, sample))
            });
            Spread::of(&of_prompts.collect::<Vec<_>>())
        };
        let successful = samples(model).count();
        let failed = model
            .prompts
            .iter()
            .map(|prompt| prompt.rejected.len() + prompt.failures.len())
            .sum();
        Self {
            requests: Requests {
                total: successful + failed,
                successful,
                failed,
            },
            tokens: tokens(model),
            ttft_ms: spread(Measure::Ttft),
            total_ms: spread(Measure::Total),
            decode_tok_per_s: spread(Measure::Decode),
            prefill_tok_per_s: spread(Measure::Prefill),
            peak_memory_mb: spread(Measure::PeakMemory),
            duration_s: duration_s(model),
            marked: marked(model, successful),
            unseen: unseen(model, successful),
        }
    }
}

fn samples(model: &ModelRecord) -> impl Iterator<Item = &Sample> {
    model.prompts.iter().flat_map(|prompt| &prompt.samples)
}

fn tokens(model: &ModelRecord) -> Tokens {
    let with_samples = model.prompts.iter().filter(|prompt| !prompt.samples.is_empty());
    let input =
        with_samples.map(|prompt| Some(u64::from(prompt.prompt_tokens?) * prompt.samples.len().long()));
    Tokens {
        input: input.sum(),
        output: samples(model)
            .map(|sample| Some(sample.inference.token_count().tokens?.long()))
            .sum(),
    }
}

/// By name. A sample with several marks of a kind counts once.
fn marked(model: &ModelRecord, of: usize) -> Vec<Marked> {
    let mut counts: BTreeMap<&'static str, (usize, Option<String>)> = BTreeMap::new();
    for sample in samples(model) {
        let marks: BTreeMap<_, _> = sample
            .marks
            .iter()
            .rev()
            .map(|mark| (mark.name(), mark))
            .collect();
        for (name, mark) in marks {
            let (count, meaning) = counts.entry(name).or_default();
            *count += 1;
            *meaning = meaning.take().or_else(|| mark.explanation());
        }
    }
    let marked = |(mark, (samples, meaning))| Marked {
        mark,
        samples,
        share: samples.float() / of.float(),
        meaning,
    };
    counts.into_iter().map(marked).collect()
}

/// What the machine does not show. A virtual machine, for example, shows neither clocks nor temperatures.
fn unseen(model: &ModelRecord, of: usize) -> Vec<Unseen> {
    type IsSeen = fn(&Conditions) -> bool;
    let kinds: [(&'static str, IsSeen); 3] = [
        ("throttled", |seen| seen.throttled.is_some()),
        ("lower_frequency", |seen| !seen.clocks.is_empty()),
        ("other_process", |seen| seen.lost_percent().is_some()),
    ];
    let unseen = kinds.map(|(mark, is_seen)| {
        let is_unseen = |sample: &&Sample| !sample.conditions.as_ref().is_some_and(is_seen);
        let count = samples(model).filter(is_unseen).count();
        (count > 0).then(|| Unseen {
            mark,
            samples: count,
            share: count.float() / of.float(),
        })
    });
    unseen.into_iter().flatten().collect()
}

/// Samples disturbed by heat, a lower clock or another process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbance {
    /// How many.
    pub samples: usize,
    /// Of how many.
    pub of: usize,
    /// Names of the marks, each once.
    pub kinds: Vec<String>,
}

impl Disturbance {
    /// Counts the samples of `models`.
    pub(crate) fn of<'a>(models: impl Iterator<Item = &'a ModelRecord>) -> Self {
        let mut found = Self::default();
        let mut kinds = BTreeSet::new();
        for sample in models.flat_map(samples) {
            let marks = || sample.marks.iter().filter(|mark| mark.is_disturbance());
            found.of += 1;
            found.samples += usize::from(marks().next().is_some());
            kinds.extend(marks().map(Mark::name));
        }
        found.kinds = kinds.into_iter().map(str::to_owned).collect();
        found
    }

    /// Whether more than half of the samples were disturbed, so that more samples would not help.
    pub fn is_most(&self) -> bool {
        self.samples * 2 > self.of
    }
}

/// A message about samples of `models` disturbed by heat, a lower clock or another process. Absent without any.
pub(crate) fn disturbed<'a>(models: impl Iterator<Item = &'a ModelRecord>) -> Option<String> {
    let found = Disturbance::of(models);
    (found.samples > 0).then(|| {
        format!(
            "{} of {} samples were disturbed ({}); --strict takes none of those",
            found.samples,
            found.of,
            found.kinds.join(", ")
        )
    })
}

/// Computed from the stamps: all processes use the same clock.
fn duration_s(model: &ModelRecord) -> Option<f64> {
    let inferences = || {
        model.prompts.iter().flat_map(|prompt| {
            let accepted = prompt.warm_up.iter().chain(&prompt.samples);
            let accepted = accepted.map(|sample| &sample.inference);
            accepted.chain(prompt.rejected.iter().map(|rejected| &rejected.inference))
        })
    };
    let first = inferences().map(|inference| inference.call_ns).min()?;
    let last = inferences().map(|inference| inference.return_ns).max()?;
    Some(last.saturating_sub(first).float() / NS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Failure;
    use crate::record::{Rejected, fixtures};

    #[test]
    fn a_spread_of_known_values() {
        let spread = Spread {
            average: 4.0,
            median: 2.5,
            minimum: 1.0,
            maximum: 10.0,
        };
        assert_eq!(Spread::of(&[10.0, 2.0, 1.0, 3.0]), Some(spread));
        assert_eq!(Spread::of(&[]), None);
    }

    /// Two prompts of 100 tokens, each with samples of 20 ms and 40 ms to the first of ten tokens, then 1 ms and 2 ms a token.
    #[test]
    fn a_model_in_known_numbers() {
        let mut run = fixtures::run("one", &[(20_000_000, 1_000_000), (40_000_000, 2_000_000)]);
        let model = &mut run.models[0];
        let rejected = Rejected {
            reason: crate::record::ledger::Rejection::LateCallback,
            inference: model.prompts[0].samples[0].inference.clone(),
        };
        model.prompts[0].rejected.push(rejected);
        model.prompts[1].failures.push(Failure::refused("no"));
        let summary = Summary::of(model);
        assert_eq!(
            summary.requests,
            Requests {
                total: 6,
                successful: 4,
                failed: 2
            }
        );
        assert_eq!(
            (
                summary.tokens.input,
                summary.tokens.output,
                summary.tokens.total()
            ),
            (Some(400), Some(40), Some(440))
        );
        let spread = |average, median, minimum, maximum| {
            Some(Spread {
                average,
                median,
                minimum,
                maximum,
            })
        };
        assert_eq!(summary.ttft_ms, spread(30.0, 30.0, 20.0, 40.0));
        assert_eq!(summary.total_ms, spread(43.5, 43.5, 29.0, 58.0));
        assert_eq!(summary.decode_tok_per_s, spread(750.0, 750.0, 500.0, 1000.0));
        assert_eq!(summary.prefill_tok_per_s, spread(3750.0, 3750.0, 2500.0, 5000.0));
        assert_eq!(summary.peak_memory_mb, spread(100.0, 100.0, 100.0, 100.0));
        assert_eq!(summary.duration_s, Some(0.058));
    }

    #[test]
    fn marked_samples_are_counted_by_kind() {
        let mut run = fixtures::run("one", &[(20_000_000, 1_000_000), (40_000_000, 2_000_000)]);
        let prompts = &mut run.models[0].prompts;
        let lower = |clock: &str| Mark::LowerFrequency {
            clock: clock.into(),
            from_hz: 2,
            to_hz: 1,
        };
        prompts[0].samples[0].marks = vec![Mark::Throttled, lower("npu"), lower("ddr")];
        prompts[1].samples[1].marks = vec![Mark::Throttled];
        let of = |mark, samples, share| Marked {
            mark,
            samples,
            share,
            meaning: None,
        };
        assert_eq!(
            Summary::of(&run.models[0]).marked,
            [of("lower_frequency", 1, 0.25), of("throttled", 2, 0.5)]
        );
    }

    #[test]
    fn disturbed_samples_are_told_over_all_models() {
        let mut run = fixtures::run("one", &[(20_000_000, 1_000_000), (40_000_000, 2_000_000)]);
        run.models[0].prompts[0].samples[1].marks = vec![Mark::NoStats];
        assert_eq!(disturbed(run.models.iter()), None);
        run.models[0].prompts[0].samples[0].marks = vec![Mark::Throttled, Mark::NoStats];
        assert_eq!(
            disturbed(run.models.iter().chain(&run.models)).as_deref(),
            Some("2 of 8 samples were disturbed (throttled); --strict takes none of those")
        );
    }

    #[test]
    fn most_samples_are_more_than_half_of_them() {
        let mut run = fixtures::run("one", &[(20_000_000, 1_000_000), (40_000_000, 2_000_000)]);
        assert!(!Disturbance::of(std::iter::empty()).is_most());
        for sample in &mut run.models[0].prompts[0].samples {
            sample.marks = vec![Mark::Throttled];
        }
        assert!(!Disturbance::of(run.models.iter()).is_most());
        run.models[0].prompts[1].samples[0].marks = vec![Mark::Throttled];
        assert!(Disturbance::of(run.models.iter()).is_most());
    }

    #[test]
    fn what_is_unknown_is_absent() {
        let mut run = fixtures::complete("one");
        let summary = Summary::of(&run.models[0]);
        assert_eq!((summary.tokens.input, summary.tokens.total()), (None, None));
        assert_eq!((summary.prefill_tok_per_s, summary.peak_memory_mb), (None, None));
        run.models[0].prompts.clear();
        let summary = Summary::of(&run.models[0]);
        assert_eq!((summary.ttft_ms, summary.duration_s), (None, None));
        assert_eq!((summary.tokens.input, summary.tokens.output), (Some(0), Some(0)));
    }
}
