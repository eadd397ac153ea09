//! Metrics that the gate judges, and their values in a run record.

use crate::base::number::{self, BYTES_PER_MB, Float as _, NS_PER_S, ms};
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::stats::RunValue;
use crate::inputs::prompts::OF_SERVER;
use crate::record::{ModelRecord, PromptRecord, RunRecord, Sample};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Prompt tokens per second of prefill.
    Prefill,
    /// Time to the first token.
    Ttft,
    /// Tokens per second after the first token.
    Decode,
    /// From the call to its return.
    Total,
    /// How long `rkllm_init` took.
    Load,
    /// Peak resident set of the process that ran the model.
    PeakMemory,
    /// The longest gap between neighbouring tokens of a run.
    WorstGap,
    /// 90th percentile of the gaps between neighbouring tokens.
    GapP90,
    /// 99th percentile of the gaps between neighbouring tokens.
    GapP99,
}

/// Which direction is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worse {
    /// A higher value is worse: times, memory.
    Higher,
    /// A lower value is worse: rates.
    Lower,
}

impl Measure {
    /// All values.
    pub const ALL: [Self; 9] = [
        Self::Prefill,
        Self::Ttft,
        Self::Decode,
        Self::Total,
        Self::Load,
        Self::PeakMemory,
        Self::WorstGap,
        Self::GapP90,
        Self::GapP99,
    ];

    /// Whether its values depend on the KV cache's state before a prompt.
    pub(crate) const fn is_of_cache_start(self) -> bool {
        matches!(self, Self::Prefill | Self::Ttft | Self::Total)
    }

    /// The measures that each prompt has.
    const OF_A_PROMPT: [Self; 4] = [Self::Prefill, Self::Ttft, Self::Decode, Self::Total];

    /// Its name in identifiers and in `--per-phase`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Ttft => "ttft",
            Self::Decode => "decode",
            Self::Total => "total",
            Self::Load => "load",
            Self::PeakMemory => "peak_memory",
            Self::WorstGap => "worst_gap",
            Self::GapP90 => "gap_p90",
            Self::GapP99 => "gap_p99",
        }
    }

    /// Unit of its values.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Prefill | Self::Decode => "tok/s",
            Self::PeakMemory => "MB",
            _ => "ms",
        }
    }

    /// Which direction is worse.
    pub const fn worse(self) -> Worse {
        match self {
            Self::Prefill | Self::Decode => Worse::Lower,
            _ => Worse::Higher,
        }
    }

    /// Whether this number of inferences of each prompt on a side suffices for it.
    pub(crate) fn is_carried_by(self, inferences: usize) -> bool {
        self.percentile().is_none_or(|(_, needed)| inferences >= needed)
    }

    /// The share of gaps below the percentile, and the number of independent samples that a side needs for it. That is
    /// the smallest count with which `MLPerf` Inference's early stopping accepts the percentile at 99 % confidence,
    /// without a single value above it. Gaps within one inference are correlated, so an inference is one sample.
    const fn percentile(self) -> Option<(f64, usize)> {
        match self {
            Self::GapP90 => Some((0.90, 64)),
            Self::GapP99 => Some((0.99, 662)),
            _ => None,
        }
    }
}

/// One metric; it prints as its identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Metric {
    /// The model's name.
    pub model: String,
    /// The suite's name.
    pub suite: String,
    /// What is measured.
    pub measure: Measure,
    /// The prompt's id. Absent: a metric of the model, or the geometric mean over the suite's prompts.
    pub prompt: Option<String>,
}

impl Metric {
    /// The metric with the same information. With the runtime in the same process, TTFT and prefill come from one
    /// duration. A server reports its own prefill.
    pub(crate) fn twin(&self) -> Option<Self> {
        let measure = match self.measure {
            Measure::Prefill => Measure::Ttft,
            Measure::Ttft => Measure::Prefill,
            _ => return None,
        };
        (!self.suite.starts_with(OF_SERVER)).then(|| Self {
            measure,
            ..self.clone()
        })
    }
}

/// Of two such twins, keeps prefill if `has` says that it is known, else TTFT.
pub(crate) fn without_twins<V>(values: &mut BTreeMap<Metric, V>, has: impl Fn(&Metric) -> bool) {
    values.retain(|metric, _| match (metric.measure, metric.twin()) {
        (Measure::Prefill, Some(_)) => has(metric),
        (Measure::Ttft, Some(prefill)) => !has(&prefill),
        _ => true,
    });
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.model, self.suite, self.measure.name())?;
        match &self.prompt {
            Some(prompt) => write!(f, "/{prompt}"),
            None => Ok(()),
        }
    }
}

/// The prompts of a metric over several prompts, by model and id.
pub(crate) type Prompts = BTreeSet<(String, String)>;

/// The prompts of a run that have samples.
pub(crate) fn prompts_with_samples(run: &RunRecord) -> Prompts {
    let of_model = |model: &ModelRecord| {
        let prompts = model
            .prompts
            .iter()
            .filter(|prompt| prompt.given_up.is_none() && !prompt.samples.is_empty());
        prompts
            .map(|prompt| (model.name.clone(), prompt.id.clone()))
            .collect::<Vec<_>>()
    };
    run.models.iter().flat_map(of_model).collect()
}

/// The metrics of one run, over the prompts of `scope`.
///
/// A percentile has a value even with too little data. [`carries`] decides over all runs of a side whether it counts.
pub(crate) fn of_run(run: &RunRecord, scope: &Prompts) -> BTreeMap<Metric, RunValue> {
    let mut values = BTreeMap::new();
    for model in &run.models {
        let in_scope = |prompt: &&PromptRecord| scope.contains(&(model.name.clone(), prompt.id.clone()));
        let prompts: Vec<&PromptRecord> = model.prompts.iter().filter(in_scope).collect();
        let metric = |measure, prompt: Option<&str>| Metric {
            model: model.name.clone(),
            suite: run.suite.name.clone(),
            measure,
            prompt: prompt.map(str::to_owned),
        };
        for measure in Measure::OF_A_PROMPT {
            let of_prompts: Vec<Vec<f64>> = prompts.iter().map(|prompt| of_prompt(measure, prompt)).collect();
            for (prompt, samples) in prompts.iter().zip(&of_prompts) {
                insert(
                    &mut values,
                    metric(measure, Some(&prompt.id)),
                    RunValue::of(samples),
                );
            }
            if prompts.len() > 1 && (!measure.is_of_cache_start() || are_cold(prompts.iter().copied())) {
                insert(
                    &mut values,
                    metric(measure, None),
                    RunValue::of(&means(&of_prompts)),
                );
            }
        }
        for measure in Measure::ALL {
            if !Measure::OF_A_PROMPT.contains(&measure) {
                let value = of_model(measure, model, &prompts);
                insert(
                    &mut values,
                    metric(measure, None),
                    value.and_then(RunValue::single),
                );
            }
        }
    }
    values
}

/// Whether each prompt is computed whole. Only such values are averaged, since the name of a mean over prompts does not
/// say how they started.
pub(crate) fn are_cold<'a>(prompts: impl IntoIterator<Item = &'a PromptRecord>) -> bool {
    prompts.into_iter().all(|prompt| prompt.cache_start.is_cold())
}

/// Whether a side's runs have enough data for a metric.
pub(crate) fn carries<'a>(metric: &Metric, runs: impl Iterator<Item = &'a RunRecord>) -> bool {
    let mut inferences = BTreeMap::<&str, usize>::new();
    for run in runs {
        for model in run.models.iter().filter(|model| model.name == metric.model) {
            for prompt in &model.prompts {
                *inferences.entry(&prompt.id).or_default() += prompt.samples.len();
            }
        }
    }
    metric
        .measure
        .is_carried_by(inferences.into_values().min().unwrap_or_default())
}

fn insert(values: &mut BTreeMap<Metric, RunValue>, metric: Metric, value: Option<RunValue>) {
    if let Some(value) = value {
        values.insert(metric, value);
    }
}

/// A measure of each sample of a prompt. Empty if one of them lacks it.
fn of_prompt(measure: Measure, prompt: &PromptRecord) -> Vec<f64> {
    let samples = prompt.samples.iter();
    let values: Option<Vec<f64>> = samples.map(|sample| of_sample(measure, prompt, sample)).collect();
    values.unwrap_or_default()
}

/// A measure of one sample. Absent if the sample lacks it, or if the measure needs many samples.
pub(crate) fn of_sample(measure: Measure, prompt: &PromptRecord, sample: &Sample) -> Option<f64> {
    let phases = &sample.phases;
    match measure {
        Measure::Prefill => Some(f64::from(prompt.prompt_tokens?) * NS_PER_S / phases.prefill_ns?.float()),
        Measure::Ttft => Some(ms(phases.ttft_ns?)),
        Measure::Decode => Some(NS_PER_S / phases.decode_ns_per_token?),
        Measure::Total => Some(ms(phases.total_ns)),
        Measure::PeakMemory => Some(sample.inference.peak_rss_bytes?.float() / BYTES_PER_MB),
        Measure::WorstGap => Some(ms(phases.worst_gap_ns?)),
        Measure::Load | Measure::GapP90 | Measure::GapP99 => None,
    }
}

/// Geometric means over the prompts, sample by sample, for as many samples as all prompts have.
fn means(of_prompts: &[Vec<f64>]) -> Vec<f64> {
    let rounds = of_prompts.iter().map(Vec::len).min().unwrap_or_default();
    let count = of_prompts.len().float();
    (0..rounds)
        .map(|round| (of_prompts.iter().map(|samples| samples[round].ln()).sum::<f64>() / count).exp())
        .collect()
}

/// A measure with one value per model and run.
fn of_model(measure: Measure, model: &ModelRecord, prompts: &[&PromptRecord]) -> Option<f64> {
    match measure {
        Measure::Load => Some(ms(model.loaded.as_ref()?.load_ns)),
        Measure::PeakMemory | Measure::WorstGap => {
            let of_prompts = prompts.iter().flat_map(|prompt| {
                let samples = prompt.samples.iter();
                samples.filter_map(move |sample| of_sample(measure, prompt, sample))
            });
            of_prompts.reduce(f64::max)
        }
        _ => {
            let (share, _) = measure.percentile()?;
            let of_prompts: Option<Vec<Vec<f64>>> = prompts
                .iter()
                .map(|prompt| Some(vec![percentile(gaps(prompt), share)?]))
                .collect();
            means(&of_prompts?).first().copied()
        }
    }
}

/// The gaps between neighbouring tokens over all samples of a prompt, ms.
fn gaps(prompt: &PromptRecord) -> Vec<f64> {
    let of_sample = |sample: &Sample| {
        // Without a longest gap, chunks are not tokens.
        let has_gaps = sample.phases.worst_gap_ns.is_some();
        let tokens = sample.inference.own_tokens().windows(2).filter(|_| has_gaps);
        let gaps = tokens.map(|pair| ms(pair[1].at_ns.saturating_sub(pair[0].at_ns)));
        gaps.collect::<Vec<_>>()
    };
    prompt.samples.iter().flat_map(of_sample).collect()
}

/// The smallest value that at least `share` of all values do not exceed.
pub(crate) fn percentile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = number::count((share * values.len().float()).ceil())?;
    values.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By nearest rank: the smallest value that so many do not exceed.
    #[test]
    fn percentiles_are_values_of_the_sample() {
        let up_to = |n: u32| (1..=n).rev().map(f64::from).collect::<Vec<_>>();
        for (n, share, expected) in [
            (10, 0.9, 9.0),
            (11, 0.9, 10.0),
            (100, 0.99, 99.0),
            (101, 0.99, 100.0),
            (1, 0.9, 1.0),
            (4, 0.5, 2.0),
            (4, 1.0, 4.0),
        ] {
            assert_eq!(percentile(up_to(n), share), Some(expected), "{share} of {n}");
        }
        assert_eq!(percentile(vec![], 0.9), None);
    }
}
