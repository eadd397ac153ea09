//! Replays recorded durations to criterion.
//!
//! One inference yields several phases, but criterion takes one number from each run. So nothing is measured here:
//! each benchmark replays its recorded durations through `iter_custom`, multiplied by criterion's iteration count.
//! Criterion divides by that count, so it stores the recorded durations to the nanosecond.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkFilter, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};

use crate::base::number::Float as _;
use crate::inference::Abilities;
use crate::record::phase::{MIN_SAMPLES, Phase, durations, identifier, phases, planned_phases};
use crate::record::{ModelRecord, PromptRecord, RunRecord};
use crate::report::criterion_folder::Place;

/// Resamples of criterion's bootstrap. Its own default of 100,000 takes seconds for each benchmark.
const RESAMPLES: usize = 10_000;

/// Criterion estimates the time of an iteration from the warm-up's wall time. The first call sleeps this long, beyond
/// the warm-up time, so that one call ends the warm-up and the estimate is steady.
const WARM_UP_SLEEP: Duration = Duration::from_millis(2);
const WARM_UP_TIME: Duration = Duration::from_millis(1);
/// Measurement time for each sample: many times the sleep. Criterion warns if it estimates that fewer than two
/// iterations fit, and a sleep on a busy machine can take much longer than requested.
const TIME_PER_SAMPLE: Duration = Duration::from_millis(100);

/// Criterion with tokens per second as its rate, configured by this process's arguments.
pub(crate) fn criterion() -> Criterion<TokenTime> {
    Criterion::default()
        .with_measurement(TokenTime)
        .nresamples(RESAMPLES)
        .configure_from_args()
        // A group's name may be a digest, so this crate applies the filter.
        .with_benchmark_filter(BenchmarkFilter::AcceptAll)
}

/// Replays the benchmarks of a record whose identifiers `selects` accepts. Criterion reads this process's arguments;
/// `quick` is whether they include its quick mode.
///
/// `begins` gets the full identifier of each benchmark first, because criterion cuts long ones in its output.
///
/// Each benchmark gets its own group object, though the groups' names repeat. For one object criterion would draw all
/// phases in one picture, and their rates over the number of tokens. `report::pages` draws the charts instead.
pub(crate) fn replay(record: &RunRecord, quick: bool, selects: &dyn Fn(&str) -> bool, begins: &dyn Fn(&str)) {
    let mut criterion = criterion();
    for benchmark in benchmarks(record, selects) {
        let durations = durations(benchmark.phase, benchmark.prompt);
        let place = Place::of(
            &benchmark.model.name,
            &record.suite.name,
            benchmark.phase,
            &benchmark.prompt.id,
        );
        let mut group = criterion.benchmark_group(place.group);
        if let Some(tokens) = benchmark.phase.tokens(benchmark.prompt) {
            group.throughput(Throughput::Elements(tokens));
        }
        begins(&identifier(
            &benchmark.model.name,
            &record.suite.name,
            benchmark.phase,
            &benchmark.prompt.id,
        ));
        replay_benchmark(&mut group, place.id, &durations, quick);
        group.finish();
    }
    criterion.final_summary();
}

/// One benchmark of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Benchmark<'a> {
    pub(crate) model: &'a ModelRecord,
    pub(crate) phase: Phase,
    pub(crate) prompt: &'a PromptRecord,
}

/// The benchmarks of a record whose identifiers `selects` accepts, in criterion's order.
pub(crate) fn benchmarks<'a>(record: &'a RunRecord, selects: &dyn Fn(&str) -> bool) -> Vec<Benchmark<'a>> {
    let mut found = Vec::new();
    for model in &record.models {
        for phase in Phase::ALL {
            for prompt in &model.prompts {
                let id = identifier(&model.name, &record.suite.name, phase, &prompt.id);
                let all = if prompt.samples.is_empty() {
                    planned_phases(&record.parameters, Abilities::of_header())
                } else {
                    phases(&record.parameters, prompt)
                };
                if all.contains(&phase) && selects(&id) {
                    found.push(Benchmark { model, phase, prompt });
                }
            }
        }
    }
    found
}

/// Replays one benchmark's recorded durations.
pub(crate) fn replay_benchmark(
    group: &mut BenchmarkGroup<'_, TokenTime>,
    id: BenchmarkId,
    durations: &[Duration],
    quick: bool,
) {
    let samples = durations.len().max(MIN_SAMPLES); // criterion accepts no fewer, also to list or test
    group.sampling_mode(SamplingMode::Flat).warm_up_time(WARM_UP_TIME);
    group.sample_size(samples);
    group.measurement_time(if quick {
        WARM_UP_TIME
    } else {
        TIME_PER_SAMPLE * u32::try_from(samples).unwrap_or(u32::MAX)
    });
    let mut calls = Calls {
        durations,
        quick,
        made: 0,
    };
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| calls.next(iterations));
    });
}

/// Answers criterion's calls: one for the warm-up, then one for each sample.
///
/// Its quick mode has no warm-up. It ends with the first call, from the second on, that exceeds the measurement time.
struct Calls<'a> {
    durations: &'a [Duration],
    quick: bool,
    made: usize,
}

impl Calls<'_> {
    fn next(&mut self, iterations: u64) -> Duration {
        let (index, sleeps) = if self.quick {
            (self.made, self.made == 1)
        } else {
            (self.made.saturating_sub(1), self.made == 0)
        };
        if sleeps {
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

/// Wall time, with rates in tokens per second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TokenTime;

impl TokenTime {
    fn rate(throughput: &Throughput, ns: f64) -> Option<f64> {
        match throughput {
            Throughput::Elements(elements) => Some(elements.float() * NS_PER_S / ns),
            _ => None, // never set here
        }
    }
}

const NS_PER_S: f64 = 1e9;

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
        self
    }
}

impl ValueFormatter for TokenTime {
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
            quick: false,
            made: 0,
        };
        let given: Vec<u128> = [1, 3, 3]
            .map(|iterations| calls.next(iterations).as_nanos())
            .to_vec();
        assert_eq!(given, [7, 21, 33]);
        let mut quick = Calls {
            quick: true,
            made: 0,
            ..calls
        };
        assert_eq!(
            [1, 2].map(|iterations| quick.next(iterations).as_nanos()),
            [7, 22]
        );
    }

    #[test]
    fn rates_are_tokens_a_second() {
        let rates = TokenTime;
        let second = 1e9;
        assert_eq!(
            rates.format_throughput(&Throughput::Elements(128), second / 2.0),
            "256.00 tok/s"
        );
        let mut values = [second, second / 4.0];
        assert_eq!(
            rates.scale_throughputs(second, &Throughput::Elements(1), &mut values),
            "tok/s"
        );
        assert!((values[1] - 4.0).abs() < 1e-9);
    }
}
