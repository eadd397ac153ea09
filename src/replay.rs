//! Gives criterion what was recorded.
//!
//! One inference feeds several phases, and criterion takes one number a run, so nothing is measured here: each
//! benchmark replays its recorded durations through `iter_custom`. Criterion divides by the iteration counts that it
//! chose itself, so what it stores is the recording, to the nanosecond.

use crate::number::{self, Float as _};
use std::path::PathBuf;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkFilter, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};

use crate::ffi::Abilities;
use crate::foreign::is_active;
use crate::paths;
use crate::record::{ModelRecord, Parameters, PromptRecord, RunRecord, Sample};

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
    /// All, in the order in which they take place, the whole last.
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

    /// Tokens that one duration stands for, where a rate makes sense.
    fn tokens(self, prompt: &PromptRecord) -> Option<u64> {
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

/// Longest name of a folder that criterion makes, bytes (criterion 0.8, `MAX_DIRECTORY_NAME_LEN`).
const MOST_OF_A_FOLDER: usize = 64;

/// The phases that are benchmarks of their own, as far as that is known before the first sample.
///
/// With the runtime in the same process nothing lies between the call and prefill, so prefill and TTFT are one duration
/// and one benchmark, [`Phase::Prefill`]. [`Phase::Ttft`] is one where prefill is another duration (a server gives its own) or
/// unknown (runtimes before 1.2.1 give no statistics).
pub(crate) fn planned_phases(parameters: &Parameters) -> Vec<Phase> {
    let lacking = match &parameters.server {
        Some(_) => None,
        None if Abilities::of_header().perf => Some(Phase::Ttft),
        None => Some(Phase::Prefill),
    };
    let mut phases = Phase::ALL.to_vec();
    phases.retain(|phase| Some(*phase) != lacking);
    phases
}

/// Those of a prompt's samples; the planned ones before the first sample.
pub fn phases(parameters: &Parameters, prompt: &PromptRecord) -> Vec<Phase> {
    if prompt.samples.is_empty() {
        return planned_phases(parameters);
    }
    let prefill_is_ttft = parameters.server.is_none() && is_replayed(Phase::Prefill, prompt);
    let is_one = |phase: &Phase| !(*phase == Phase::Ttft && prefill_is_ttft) && is_replayed(*phase, prompt);
    Phase::ALL.into_iter().filter(is_one).collect()
}

/// A benchmark's place in criterion: identifier and folder follow from it.
///
/// A model and a suite are a group, the phase is its function and the prompt its parameter.
pub(crate) struct Place {
    /// The group.
    pub(crate) group: String,
    /// The rest.
    pub(crate) id: BenchmarkId,
    folder: PathBuf,
}

impl Place {
    pub(crate) fn of(model: &str, suite: &str, phase: Phase, prompt: &str) -> Self {
        let group = group_name(model, suite);
        let prompt = paths::folder_name(prompt.as_ref(), MOST_OF_A_FOLDER, is_kept);
        Self {
            folder: [&folder_of(&group), phase.name(), &prompt].iter().collect(),
            id: BenchmarkId::new(phase.name(), prompt),
            group,
        }
    }
}

/// Whether criterion keeps a character in a folder's name (criterion 0.8, `make_filename_safe`), as far as it may: it keeps
/// control characters too.
fn is_kept(c: char) -> bool {
    !is_active(c) && !['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'].contains(&c)
}

/// Criterion's group for a model and a suite: `<model>/<suite>`.
///
/// Criterion turns it into a folder's name: it writes `_` for `/` and cuts off what is past 64 bytes. A name that could then be
/// another's, or lead elsewhere, ends in a digest of the whole instead; so does one whose suite has a `_` of its own (`a_b/c`
/// and `a/b_c`).
fn group_name(model: &str, suite: &str) -> String {
    let whole = format!("{model}/{suite}");
    let is_short = whole.len() <= MOST_OF_A_FOLDER && !suite.contains('_');
    if is_short
        && [model, suite]
            .iter()
            .all(|name| paths::stands(name, MOST_OF_A_FOLDER, is_kept))
    {
        return whole;
    }
    paths::with_digest(whole.as_ref(), MOST_OF_A_FOLDER, |c| is_kept(c) || c == '/')
}

/// The folder that criterion makes for a group.
fn folder_of(group: &str) -> String {
    group.replace('/', "_")
}

/// The folder that criterion keeps one benchmark in, below its home.
pub fn folder(model: &str, suite: &str, phase: Phase, prompt: &str) -> PathBuf {
    Place::of(model, suite, phase, prompt).folder
}

/// The folder of all benchmarks of a model and a suite.
pub(crate) fn group_folder(model: &str, suite: &str) -> PathBuf {
    folder_of(&group_name(model, suite)).into()
}

/// Criterion with our unit, set up from this process's arguments.
pub(crate) fn criterion() -> Criterion<TokenTime> {
    Criterion::default()
        .with_measurement(TokenTime)
        .nresamples(RESAMPLES)
        .configure_from_args()
        // A group's name may be a digest, so the filter is ours to apply.
        .with_benchmark_filter(BenchmarkFilter::AcceptAll)
}

/// Replays the benchmarks of a record that `selects` takes by their identifiers into criterion, which reads this process's
/// arguments. `quick` is whether those ask for its quick mode.
///
/// `begins` gets the identifier of each benchmark before criterion does: criterion cuts long ones off where it prints
/// them.
///
/// Each benchmark is a group object of its own, though the groups' names repeat: criterion would draw the benchmarks of an object
/// in one picture, whatever their phases are, and their rates over the number of tokens. `report::pages` draws instead.
pub fn replay(record: &RunRecord, quick: bool, selects: &dyn Fn(&str) -> bool, begins: &dyn Fn(&str)) {
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

/// The benchmarks of a record whose identifiers `selects` takes, in criterion's order.
pub(crate) fn benchmarks<'a>(record: &'a RunRecord, selects: &dyn Fn(&str) -> bool) -> Vec<Benchmark<'a>> {
    let mut found = Vec::new();
    for model in &record.models {
        for phase in Phase::ALL {
            for prompt in &model.prompts {
                let id = identifier(&model.name, &record.suite.name, phase, &prompt.id);
                if phases(&record.parameters, prompt).contains(&phase) && selects(&id) {
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

/// Whether a phase took place in each of a prompt's samples, so that criterion is given it.
fn is_replayed(phase: Phase, prompt: &PromptRecord) -> bool {
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
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenTime;

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
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::server::Api;
    use crate::record::{ServerParameters, fixtures};

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
    fn no_two_groups_share_a_folder() {
        let long = "DeepSeek-R1-Distill-Qwen-1.5B_W8A8_G128_RK3588_c4096";
        let names = [
            ("a", "b_c"),
            ("a_b", "c"),
            ("a", "b"),
            ("..", "b"),
            ("", "b"),
            ("a", ".."),
            ("a/..", ".."),
            ("a/../..", ".."),
            ("\u{1b}]0;a\u{7}", "b"),
            ("m", &*"s".repeat(70)),
            ("m", &*"s".repeat(71)),
            (long, "server-performance-c4"),
            (long, "server-performance-c16"),
        ];
        let folders: BTreeSet<PathBuf> = names
            .iter()
            .map(|(model, suite)| group_folder(model, suite))
            .collect();
        assert_eq!(folders.len(), names.len(), "{folders:?}");
        assert!(
            folders.iter().all(|folder| folder.as_os_str().len() <= 64),
            "{folders:?}"
        );
        for (model, suite) in names {
            let inside = folder(model, suite, Phase::Decode, "..");
            let is_folder = |part: std::path::Component| matches!(part, std::path::Component::Normal(name) if !name.to_string_lossy().contains(is_active));
            assert!(inside.components().all(is_folder), "{inside:?}");
            assert_eq!(inside.components().count(), 3, "{inside:?}");
        }
        assert_eq!(group_folder("m", "quick"), PathBuf::from("m_quick"));
        assert_eq!(
            folder("m", "quick", Phase::Decode, "a"),
            ["m_quick", "decode", "a"].iter().collect::<PathBuf>()
        );
    }

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
        // A stream of which nobody knows where its first token was.
        for sample in &mut record.models[0].prompts[0].samples {
            sample.phases.ttft_ns = None;
        }
        assert_eq!(names(&record), ["prefill", "decode", "total"]);
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
