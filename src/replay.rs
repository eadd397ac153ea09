//! Gives criterion what was recorded.
//!
//! One inference feeds several phases, and criterion takes one number a run, so nothing is measured here: each
//! benchmark replays its recorded durations through `iter_custom`. Criterion divides by the iteration counts that it
//! chose itself, so what it stores is the recording, to the nanosecond.

use std::path::PathBuf;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};

use crate::record::{ModelRecord, PromptRecord, RunRecord, Sample};

/// Fewest samples that criterion takes.
pub const MIN_SAMPLES: usize = 10;

/// Resamples of criterion's bootstrap; its own default of 100,000 takes seconds a benchmark.
const RESAMPLES: usize = 10_000;

/// Criterion estimates the time of an iteration from the warm-up's wall time. The first call sleeps this long, beyond
/// the warm-up time, so that one call ends the warm-up and the estimate is steady.
const WARM_UP_SLEEP: Duration = Duration::from_millis(2);
const WARM_UP_TIME: Duration = Duration::from_millis(1);
/// Measurement time a sample. Many times the sleep: criterion warns when it believes that less than two iterations
/// fit, and a sleep on a busy machine can take much longer than asked.
const TIME_PER_SAMPLE: Duration = Duration::from_millis(100);

/// What is measured of an inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The prompt's tokens.
    Prefill,
    /// To the first token.
    Ttft,
    /// Each token after the first.
    Decode,
    /// The whole run.
    Total,
}

impl Phase {
    /// All, in the order of criterion's output: those without a rate come first, since a criterion group that was once
    /// given a rate keeps it.
    pub const ALL: [Self; 4] = [Self::Ttft, Self::Total, Self::Prefill, Self::Decode];

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
    fn duration(self, sample: &Sample) -> Option<Duration> {
        let phases = &sample.phases;
        match self {
            Self::Prefill | Self::Ttft => Some(Duration::from_nanos(phases.ttft_ns)),
            Self::Decode => phases.decode_ns_per_token.map(whole_nanoseconds),
            Self::Total => Some(Duration::from_nanos(phases.total_ns)),
        }
    }

    /// Tokens that one duration stands for, where a rate makes sense.
    fn tokens(self, prompt: &PromptRecord) -> Option<u64> {
        match self {
            Self::Prefill => prompt.prompt_tokens.map(u64::from),
            Self::Decode => Some(1),
            Self::Ttft | Self::Total => None,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of stamps, not negative"
)]
fn whole_nanoseconds(ns: f64) -> Duration {
    Duration::from_nanos(ns.round() as u64)
}

/// The identifier of one benchmark: `<model>/<suite>/<phase>/<prompt id>`.
pub fn identifier(model: &str, suite: &str, phase: Phase, prompt: &str) -> String {
    format!("{model}/{suite}/{}/{prompt}", phase.name())
}

/// The folder that criterion keeps one benchmark in, below its home: group, function and value, each with what a
/// file system may not like replaced, and cut off at 64 bytes (criterion 0.8, `make_filename_safe`).
pub fn folder(model: &str, suite: &str, phase: Phase, prompt: &str) -> PathBuf {
    let safe = |part: &str| {
        let part = part.replace(['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'], "_");
        part[..part.floor_char_boundary(64)].to_owned()
    };
    [
        safe(model),
        safe(&format!("{suite}/{}", phase.name())),
        safe(prompt),
    ]
    .iter()
    .collect()
}

/// Replays a record into criterion, which reads this process's arguments.
pub fn replay(record: &RunRecord) {
    let mut criterion = Criterion::default()
        .with_measurement(TokenTime)
        .nresamples(RESAMPLES)
        .configure_from_args();
    for model in &record.models {
        replay_model(&mut criterion, &record.suite.name, model);
    }
    criterion.final_summary();
}

fn replay_model(criterion: &mut Criterion<TokenTime>, suite: &str, model: &ModelRecord) {
    // The group is the model and not the phase: criterion cuts names of folders off at 64 bytes, and what was cut
    // off may be what tells two benchmarks apart.
    let mut group = criterion.benchmark_group(&model.name);
    group.sampling_mode(SamplingMode::Flat).warm_up_time(WARM_UP_TIME);
    for phase in Phase::ALL {
        for prompt in &model.prompts {
            let durations = durations(phase, prompt);
            if durations.len() < prompt.samples.len() {
                continue; // a phase that did not take place in each of the samples
            }
            let samples = durations.len().max(MIN_SAMPLES); // criterion accepts no fewer, also to list or test
            group.sample_size(samples);
            group.measurement_time(TIME_PER_SAMPLE * u32::try_from(samples).unwrap_or(u32::MAX));
            if let Some(tokens) = phase.tokens(prompt) {
                group.throughput(Throughput::Elements(tokens));
            }
            let id = BenchmarkId::new(format!("{suite}/{}", phase.name()), &prompt.id);
            let mut calls = Calls {
                durations: &durations,
                made: 0,
            };
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| calls.next(iterations));
            });
        }
    }
    group.finish();
}

/// The recorded durations of one benchmark.
fn durations(phase: Phase, prompt: &PromptRecord) -> Vec<Duration> {
    prompt
        .samples
        .iter()
        .filter_map(|sample| phase.duration(sample))
        .collect()
}

/// Answers criterion's calls: one of warm-up, then one a sample.
struct Calls<'a> {
    durations: &'a [Duration],
    made: usize,
}

impl Calls<'_> {
    fn next(&mut self, iterations: u64) -> Duration {
        let index = self.made.saturating_sub(1);
        if self.made == 0 {
            std::thread::sleep(WARM_UP_SLEEP);
        }
        self.made += 1;
        let one = self.durations.get(index).copied().unwrap_or_default();
        Duration::from_nanos(
            u64::try_from(one.as_nanos())
                .unwrap_or(u64::MAX)
                .saturating_mul(iterations),
        )
    }
}

/// Wall time whose rates are tokens a second.
#[derive(Debug)]
pub struct TokenTime;

impl Measurement for TokenTime {
    type Intermediate = ();
    type Value = Duration;

    fn start(&self) {}

    fn end(&self, (): ()) -> Duration {
        Duration::ZERO
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &TokenFormatter
    }
}

struct TokenFormatter;

const NS_PER_S: f64 = 1e9;

impl TokenFormatter {
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    fn rate(throughput: &Throughput, ns: f64) -> Option<f64> {
        match throughput {
            Throughput::Elements(tokens) => Some(*tokens as f64 * NS_PER_S / ns),
            _ => None, // never set here
        }
    }
}

impl ValueFormatter for TokenFormatter {
    fn format_throughput(&self, throughput: &Throughput, ns: f64) -> String {
        Self::rate(throughput, ns).map_or_else(String::new, |rate| format!("{rate:.2} tok/s"))
    }

    fn scale_values(&self, typical_ns: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical_ns, values)
    }

    fn scale_throughputs(&self, _typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        for value in values {
            *value = Self::rate(throughput, *value).unwrap_or_default();
        }
        "tok/s"
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "ns"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_call_is_warm_up_and_the_rest_are_the_samples() {
        let durations = [Duration::from_nanos(7), Duration::from_nanos(11)];
        let mut calls = Calls {
            durations: &durations,
            made: 0,
        };
        let given: Vec<u128> = [1, 3, 3]
            .map(|iterations| calls.next(iterations).as_nanos())
            .to_vec();
        assert_eq!(given, [7, 21, 33]);
    }

    #[test]
    fn rates_are_tokens_a_second() {
        let second = 1e9;
        assert_eq!(
            TokenFormatter.format_throughput(&Throughput::Elements(128), second / 2.0),
            "256.00 tok/s"
        );
        let mut values = [second, second / 4.0];
        assert_eq!(
            TokenFormatter.scale_throughputs(second, &Throughput::Elements(1), &mut values),
            "tok/s"
        );
        assert!((values[1] - 4.0).abs() < 1e-9);
    }
}
