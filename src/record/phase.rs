//! The phases as benchmarks: their names, their identifiers, and the durations of a record's samples.

use std::time::Duration;

use super::{Parameters, PromptRecord, Sample};
use crate::base::number;
use crate::inference::Abilities;

/// Fewest samples that criterion takes.
pub const MIN_SAMPLES: usize = 10;

/// Samples of a run with `--quick`: criterion's quick mode looks at two, of one and of two iterations.
pub const QUICK_SAMPLES: usize = 2;

/// A phase of an inference that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Computing the prompt's tokens.
    Prefill,
    /// Time to the first token.
    Ttft,
    /// Each token after the first.
    Decode,
    /// The whole run.
    Total,
}

impl Phase {
    /// All phases in the order in which they happen, then the total.
    pub const ALL: [Self; 4] = [Self::Ttft, Self::Prefill, Self::Decode, Self::Total];

    /// Its name in identifiers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Ttft => "ttft",
            Self::Decode => "decode",
            Self::Total => "total",
        }
    }

    /// A sample's duration; absent where the phase did not take place.
    pub(crate) fn duration(self, sample: &Sample) -> Option<Duration> {
        let phases = &sample.phases;
        match self {
            Self::Prefill => phases.prefill_ns.map(Duration::from_nanos),
            Self::Ttft => phases.ttft_ns.map(Duration::from_nanos),
            Self::Decode => phases.decode_ns_per_token.map(whole_nanoseconds),
            Self::Total => Some(Duration::from_nanos(phases.total_ns)),
        }
    }

    /// Number of tokens in one duration, for phases where a rate makes sense.
    pub(crate) fn tokens(self, prompt: &PromptRecord) -> Option<u64> {
        match self {
            Self::Prefill => prompt.prompt_tokens.map(u64::from),
            Self::Decode => Some(1),
            Self::Ttft | Self::Total => None,
        }
    }
}

fn whole_nanoseconds(ns: f64) -> Duration {
    Duration::from_nanos(number::whole(ns.round()).unwrap_or_default())
}

/// The identifier of one benchmark: `<model>/<suite>/<phase>/<prompt id>`.
pub fn identifier(model: &str, suite: &str, phase: Phase, prompt: &str) -> String {
    format!("{model}/{suite}/{}/{prompt}", phase.name())
}

/// The phases that get a benchmark each, as far as known before the first sample.
///
/// With the runtime in the same process, nothing happens between the call and prefill. Prefill and TTFT are then the
/// same duration and one benchmark, [`Phase::Prefill`]. [`Phase::Ttft`] has its own benchmark if prefill is another
/// duration or unknown: a server reports its own, and runtimes before 1.2.1 report no statistics.
pub(crate) fn planned_phases(parameters: &Parameters, abilities: Abilities) -> Vec<Phase> {
    let lacking = match &parameters.server {
        Some(_) => None,
        None if abilities.perf => Some(Phase::Ttft),
        None => Some(Phase::Prefill),
    };
    let mut phases = Phase::ALL.to_vec();
    phases.retain(|phase| Some(*phase) != lacking);
    phases
}

/// The phases that a prompt's samples have; before the first sample, the planned ones.
pub fn phases(parameters: &Parameters, prompt: &PromptRecord) -> Vec<Phase> {
    let prefill_is_ttft = parameters.server.is_none() && is_replayed(Phase::Prefill, prompt);
    let is_one = |phase: &Phase| !(*phase == Phase::Ttft && prefill_is_ttft) && is_replayed(*phase, prompt);
    Phase::ALL.into_iter().filter(is_one).collect()
}

/// Whether every sample of a prompt has the phase, so that criterion gets it.
fn is_replayed(phase: Phase, prompt: &PromptRecord) -> bool {
    durations(phase, prompt).len() == prompt.samples.len()
}

/// The recorded durations of one benchmark.
pub(crate) fn durations(phase: Phase, prompt: &PromptRecord) -> Vec<Duration> {
    prompt
        .samples
        .iter()
        .filter_map(|sample| phase.duration(sample))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Api;
    use crate::record::{RunRecord, ServerParameters, fixtures};

    #[test]
    fn prefill_and_ttft_are_one_benchmark_where_they_are_one_duration() {
        let mut record = fixtures::complete("one");
        let names = |record: &RunRecord| -> Vec<&str> {
            let prompt = &record.models[0].prompts[0];
            phases(&record.parameters, prompt)
                .into_iter()
                .map(Phase::name)
                .collect()
        };
        assert_eq!(names(&record), ["prefill", "decode", "total"]);
        for sample in &mut record.models[0].prompts[0].samples {
            sample.phases.prefill_ns = None;
        }
        assert_eq!(names(&record), ["ttft", "decode", "total"]);
        let mut record = fixtures::complete("one");
        record.parameters.server = Some(ServerParameters {
            url: "http://localhost".into(),
            api: Api::Chat,
            manages_models: false,
            concurrency: None,
        });
        assert_eq!(names(&record), ["ttft", "prefill", "decode", "total"]);
        // A stream whose first token has no known time.
        for sample in &mut record.models[0].prompts[0].samples {
            sample.phases.ttft_ns = None;
        }
        assert_eq!(names(&record), ["prefill", "decode", "total"]);
    }
}
