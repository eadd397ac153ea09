//! Gives criterion what was recorded.
//!
//! One inference feeds several phases, and criterion takes one number a run, so nothing is measured here: each
//! benchmark replays its recorded durations through `iter_custom`. Criterion divides by the iteration counts that it
//! chose itself, so what it stores is the recording, to the nanosecond.

use std::path::PathBuf;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};

use crate::inference::Input;
use crate::record::{ModelRecord, PromptRecord, RunRecord, Sample, SuiteRecord};

/// Fewest samples that criterion takes.
pub const MIN_SAMPLES: usize = 10;

/// Samples of a run with `--quick`: criterion's quick mode looks at two, of one and of two iterations.
pub const QUICK_SAMPLES: usize = 2;

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
    pub(crate) fn duration(self, sample: &Sample) -> Option<Duration> {
        let phases = &sample.phases;
        match self {
            Self::Prefill => phases.prefill_ns.map(Duration::from_nanos),
            Self::Ttft => Some(Duration::from_nanos(phases.ttft_ns)),
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

/// A benchmark's place in criterion: identifier and folder follow from it.
///
/// The prompts of a suite share a group for their model, with suite and phase as its function. Criterion cuts names of
/// folders off at 64 bytes, and what was cut off may be what tells two benchmarks apart; names of models are at most
/// 48 long, those of suites 56.
///
/// The prompts of a sweep have a group for each phase: criterion draws a curve over the size only within a group, and
/// with one rule for its rates.
pub(crate) struct Place {
    /// The group.
    pub(crate) group: String,
    /// The rest.
    pub(crate) id: BenchmarkId,
    folder: PathBuf,
}

impl Place {
    pub(crate) fn of(model: &str, suite: &SuiteRecord, phase: Phase, prompt: &str) -> Self {
        let phase = format!("{}/{}", suite.name, phase.name());
        let (group, id, parts) = if suite.sweep {
            let group = format!("{model}/{phase}");
            let id = BenchmarkId::from_parameter(prompt);
            (group.clone(), id, vec![group, prompt.to_owned()])
        } else {
            let id = BenchmarkId::new(&phase, prompt);
            (
                model.to_owned(),
                id,
                vec![model.to_owned(), phase, prompt.to_owned()],
            )
        };
        Self {
            group,
            id,
            folder: parts.iter().map(|part| folder_name(part)).collect(),
        }
    }
}

/// The folder that criterion keeps one benchmark in, below its home.
pub fn folder(model: &str, suite: &SuiteRecord, phase: Phase, prompt: &str) -> PathBuf {
    Place::of(model, suite, phase, prompt).folder
}

/// What criterion makes of a name: what a file system may not like is replaced, and it is cut off at 64 bytes
/// (criterion 0.8, `make_filename_safe`).
fn folder_name(part: &str) -> String {
    let part = part.replace(['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'], "_");
    part[..part.floor_char_boundary(64)].to_owned()
}

/// Criterion with our unit, set up from this process's arguments.
pub(crate) fn criterion(rates: TokenTime) -> Criterion<TokenTime> {
    Criterion::default()
        .with_measurement(rates)
        .nresamples(RESAMPLES)
        .configure_from_args()
}

/// Replays a record into criterion, which reads this process's arguments. `quick` is whether those ask for its quick
/// mode.
pub fn replay(record: &RunRecord, quick: bool) {
    let (suite, models) = (&record.suite, &record.models);
    if suite.sweep {
        for phase in Phase::ALL {
            for model in models {
                let mut criterion = criterion(TokenTime::of_sweep(phase, &model.prompts));
                replay_group(&mut criterion, suite, model, &[phase], quick);
            }
        }
    } else {
        let mut criterion = criterion(TokenTime::default());
        for model in models {
            replay_group(&mut criterion, suite, model, &Phase::ALL, quick);
        }
    }
    criterion(TokenTime::default()).final_summary();
}

/// Replays some phases of one model, all in one group of criterion's.
fn replay_group(
    criterion: &mut Criterion<TokenTime>,
    suite: &SuiteRecord,
    model: &ModelRecord,
    phases: &[Phase],
    quick: bool,
) {
    let mut group = criterion.benchmark_group(Place::of(&model.name, suite, phases[0], "").group);
    let size = suite.sweep.then(|| Size::of(&model.prompts));
    for phase in phases {
        for prompt in &model.prompts {
            if !is_replayed(*phase, prompt) {
                continue;
            }
            let durations = durations(*phase, prompt);
            if let Some(tokens) = phase.tokens(prompt) {
                group.throughput(Throughput::Elements(match size {
                    // Behind a kept turn prefill computes one token more than the prompt has.
                    Some(Size::Prompt) if *phase == Phase::Prefill => tokens,
                    Some(size) => size.in_tokens(prompt),
                    None => tokens,
                }));
            }
            let id = Place::of(&model.name, suite, *phase, &prompt.id).id;
            replay_benchmark(&mut group, id, &durations, quick);
        }
    }
    group.finish();
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

/// Whether a phase took place in each of a prompt's samples, so that criterion is given it.
pub(crate) fn is_replayed(phase: Phase, prompt: &PromptRecord) -> bool {
    durations(phase, prompt).len() == prompt.samples.len()
}

/// The recorded durations of one benchmark.
fn durations(phase: Phase, prompt: &PromptRecord) -> Vec<Duration> {
    prompt
        .samples
        .iter()
        .filter_map(|sample| phase.duration(sample))
        .collect()
}

/// What a sweep is drawn over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Prompt,
    Depth,
    New,
}

impl Size {
    /// The first in which the prompts of a sweep differ, the prompt's if in none.
    fn of(prompts: &[PromptRecord]) -> Self {
        let differs = |size: &Self| {
            let mut sizes = prompts.iter().map(|prompt| size.in_tokens(prompt));
            let first = sizes.next();
            sizes.any(|other| Some(other) != first)
        };
        let first = [Self::Prompt, Self::Depth, Self::New].into_iter().find(differs);
        first.unwrap_or(Self::Prompt)
    }

    fn in_tokens(self, prompt: &PromptRecord) -> u64 {
        match (self, &prompt.input) {
            (Self::Prompt, Input::Tokens(ids)) => ids.len() as u64,
            (Self::Prompt, Input::Text(_)) => 0,
            (Self::Depth, _) => prompt.depth.into(),
            (Self::New, _) => prompt.max_new_tokens.into(),
        }
    }
}

/// Answers criterion's calls: one of warm-up, then one a sample. Its quick mode has no warm-up, and ends with the
/// first call from the second on that leaves the measurement time behind.
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

/// Wall time whose rates are tokens a second.
///
/// Criterion draws a sweep over its number of elements. For prompts of given sizes that number is the size, and how
/// many tokens a duration stands for is said here.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenTime {
    /// Tokens of each duration; absent: criterion's number of elements.
    tokens: Option<u64>,
}

impl TokenTime {
    /// For one phase of the prompts of a sweep.
    fn of_sweep(phase: Phase, prompts: &[PromptRecord]) -> Self {
        let tokens = match (phase, Size::of(prompts)) {
            (Phase::Prefill, Size::Prompt) => None,
            // The prompts differ in something else, so they are of one length.
            (_, _) => prompts.first().and_then(|prompt| phase.tokens(prompt)),
        };
        Self { tokens }
    }

    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    fn rate(self, throughput: &Throughput, ns: f64) -> Option<f64> {
        match throughput {
            Throughput::Elements(elements) => Some(self.tokens.unwrap_or(*elements) as f64 * NS_PER_S / ns),
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
        self.rate(throughput, ns)
            .map_or_else(String::new, |rate| format!("{rate:.2} tok/s"))
    }

    fn scale_values(&self, typical_ns: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical_ns, values)
    }

    fn scale_throughputs(&self, _typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        for value in values {
            *value = self.rate(throughput, *value).unwrap_or_default();
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
    use crate::record::fixtures;

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
    fn a_sweep_is_drawn_over_the_size_that_differs() {
        let of_size = |prompt_tokens: usize, depth| PromptRecord {
            input: Input::Tokens(vec![1; prompt_tokens]),
            prompt_tokens: u32::try_from(prompt_tokens).ok(),
            depth,
            ..fixtures::prompt("p")
        };
        let rate = |phase, prompts: &[PromptRecord]| {
            let elements = Size::of(prompts).in_tokens(&prompts[1]);
            let rate =
                TokenTime::of_sweep(phase, prompts).format_throughput(&Throughput::Elements(elements), 1e9);
            (elements, rate)
        };
        let prompts = [of_size(128, 0), of_size(512, 0)];
        assert_eq!(rate(Phase::Prefill, &prompts), (512, "512.00 tok/s".into()));
        assert_eq!(rate(Phase::Decode, &prompts), (512, "1.00 tok/s".into()));
        let depths = [of_size(128, 0), of_size(128, 64)];
        assert_eq!(rate(Phase::Prefill, &depths), (64, "128.00 tok/s".into()));
        assert_eq!(rate(Phase::Decode, &depths), (64, "1.00 tok/s".into()));
    }

    #[test]
    fn identifiers_are_the_same_whatever_the_group() {
        let place = |sweep| {
            let suite = SuiteRecord {
                name: "table".into(),
                sweep,
                ..fixtures::empty().suite
            };
            Place::of("m", &suite, Phase::Decode, "a")
        };
        let path = |parts: &[&str]| parts.iter().collect::<PathBuf>();
        assert_eq!(place(false).folder, path(&["m", "table_decode", "a"]));
        assert_eq!(place(true).folder, path(&["m_table_decode", "a"]));
        assert_eq!(place(true).group, "m/table/decode");
    }

    #[test]
    fn rates_are_tokens_a_second() {
        let rates = TokenTime::default();
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
