//! What a runtime can do wrong is caught and named, and a clean run is not taken for a faulty one.
//!
//! A thousand random runs go through the ledger as the recorder hands them to it; what exists at the C boundary only goes
//! through the guard, the session and a worker on the stub of `tests/stub` as well.

#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;

use common::{Place, SDK, succeed};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rkllm_bench::inference::Abilities;
use rkllm_bench::inference::LoadSpec;
use rkllm_bench::inference::{Finish, Inference, Input, Request, RuntimeStats, Stream, TokenEvent, Usage};
use rkllm_bench::ledger::{Ledger, Mark, Rejection, TOLERANCE_MS, TOLERANCE_RATIO};

const SEED: u64 = 4711;
const RUNS: usize = 1000;
/// Runs between two loads of a model.
const RUNS_A_LOAD: usize = 25;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    LostFinish,
    Pause,
    StaleStatistics,
    ImpossibleStatistics,
    PrefixReuse,
    ZeroTokens,
    /// The first token is lost, so that the second one passes for it.
    LateFirstToken,
    /// A callback without a token comes before the first one, at the beginning of the run.
    EarlyFirstToken,
    DuplicateCallback,
    /// The runtime's clock is the wall clock, which is set while it runs.
    ClockStepOfTheRuntime,
    /// As if our clock were not the monotonic one.
    ClockStepOfOurs,
    LateCallback,
    OtherThread,
    SplitUtf8,
    /// A server's chunk holds several tokens.
    ChunkOfTokens,
    /// A server counts the words of its answer and calls them tokens.
    WordCountUsage,
    /// A server had a part of the prompt in its cache.
    ServerCache,
    /// A server's stream ends in its middle.
    StreamCut,
    /// A server keeps its answer back and sends all of it at once.
    Burst,
}

/// Of a server's streams.
const SERVER_FAULTS: [Fault; 6] = [
    Fault::ChunkOfTokens,
    Fault::WordCountUsage,
    Fault::ServerCache,
    Fault::StreamCut,
    Fault::Burst,
    Fault::ZeroTokens,
];

const FAULTS: [Fault; 14] = [
    Fault::LostFinish,
    Fault::Pause,
    Fault::StaleStatistics,
    Fault::ImpossibleStatistics,
    Fault::PrefixReuse,
    Fault::ZeroTokens,
    Fault::LateFirstToken,
    Fault::EarlyFirstToken,
    Fault::DuplicateCallback,
    Fault::ClockStepOfTheRuntime,
    Fault::ClockStepOfOurs,
    Fault::LateCallback,
    Fault::OtherThread,
    Fault::SplitUtf8,
];

impl Fault {
    /// The names that this fault may be caught by.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::LostFinish | Self::Pause => &["lost_finish"],
            Self::StaleStatistics => &["stale_stats"],
            Self::ImpossibleStatistics => &["impossible_time"],
            Self::PrefixReuse | Self::ServerCache => &["warm_prefill"],
            Self::ZeroTokens => &["no_tokens"],
            Self::LateFirstToken => &["token_count", "generate_tokens"],
            Self::EarlyFirstToken => &["token_count", "time_overrun"],
            Self::DuplicateCallback => &["token_count", "repeated_callback"],
            Self::ClockStepOfTheRuntime => &["time_overrun", "impossible_time", "unexplained_time"],
            Self::ClockStepOfOurs => &["time_runs_backwards", "unexplained_time"],
            Self::LateCallback => &["late_callback"],
            Self::OtherThread => &["other_thread"],
            Self::SplitUtf8 => &["split_text"],
            Self::ChunkOfTokens | Self::WordCountUsage => &["counted_by"],
            Self::StreamCut => &["stream_cut"],
            Self::Burst => &["not_streamed"],
        }
    }
}

/// A model that is loaded, and the ways of the runtime or the server behind it.
struct Model {
    is_server: bool,
    is_fixed_length: bool,
    limit: u32,
    prompt_tokens: u32,
    prefill_ns_per_token: u64,
    step_ns: u64,
    /// Tokens that `generate_tokens` leaves out: none or one.
    uncounted: i32,
    now_ns: u64,
    late_callbacks: u64,
    /// The last statistics that a run had.
    last_stats: Option<RuntimeStats>,
}

impl Model {
    /// From a small model on an NPU to a large one.
    fn random(rng: &mut ChaCha8Rng) -> Self {
        Self {
            is_server: rng.random_bool(0.3),
            is_fixed_length: rng.random_bool(0.5),
            limit: rng.random_range(8..200),
            prompt_tokens: rng.random_range(16..1500),
            prefill_ns_per_token: rng.random_range(500 * US..10 * MS),
            step_ns: rng.random_range(5 * MS..200 * MS),
            uncounted: rng.random_range(0..=1),
            now_ns: rng.random_range(1_000_000 * MS..2_000_000 * MS),
            late_callbacks: 0,
            last_stats: None,
        }
    }

    fn spec(&self) -> LoadSpec {
        LoadSpec {
            ignore_eos: self.is_fixed_length,
            ..LoadSpec::new("m")
        }
    }

    fn request(&self) -> Request {
        Request::new(Input::Text("prompt".into()), self.limit)
    }

    /// A clean run of `tokens` tokens: gaps vary by a quarter, one in fifty is a stall, words come twice in a row. The first
    /// gap of a server's is none: it could be a prefill behind a chunk of the answer before.
    fn clean(&mut self, rng: &mut ChaCha8Rng, tokens: u32) -> Inference {
        let call_ns = self.now_ns;
        let prefill_ns = u64::from(self.prompt_tokens) * self.prefill_ns_per_token + rng.random_range(0..MS);
        let mut at_ns = call_ns + rng.random_range(0..MS / 2) + prefill_ns + rng.random_range(0..50 * US);
        let mut id = 0;
        let mut events = Vec::new();
        for index in 0..tokens {
            if index > 0 {
                let stall = if rng.random_bool(0.02) && !(self.is_server && index == 1) {
                    rng.random_range(2..20)
                } else {
                    1
                };
                at_ns += self.step_ns * rng.random_range(80..125) / 100 * stall;
            }
            if !rng.random_bool(0.1) {
                id = rng.random_range(0..50_000);
            }
            events.push(TokenEvent { at_ns, id });
        }
        let return_ns = at_ns + rng.random_range(0..200 * US);
        self.now_ns = return_ns + rng.random_range(MS..100 * MS);
        let run = self.run(call_ns, prefill_ns, events, return_ns);
        if self.is_server { self.streamed(run) } else { run }
    }

    /// The same from a server that tells its counts and nothing of its runtime. Its answer has three words for four tokens.
    fn streamed(&self, mut run: Inference) -> Inference {
        let tokens = u32::try_from(run.tokens.len()).expect("few");
        run.tokens.iter_mut().for_each(|token| token.id = -1);
        run.text = "word ".repeat(run.tokens.len() * 3 / 4);
        run.stream = Some(Stream {
            response_ns: run.call_ns,
            usage: Some(Usage {
                prompt_tokens: Some(self.prompt_tokens),
                completion_tokens: Some(tokens),
                cached_tokens: Some(0),
            }),
            finish_reason: Some(if tokens == self.limit { "length" } else { "stop" }.into()),
            model: None,
            ..Stream::default()
        });
        Inference {
            stats: None,
            kv_cache_before: None,
            kv_cache_after: None,
            ..run
        }
    }

    fn run(&self, call_ns: u64, prefill_ns: u64, events: Vec<TokenEvent>, return_ns: u64) -> Inference {
        let decode_ns = events.last().expect("tokens").at_ns - events[0].at_ns;
        let tokens = i32::try_from(events.len()).expect("few");
        Inference {
            call_ns,
            return_ns,
            tokens: events,
            overflow: 0,
            text: "text".into(),
            finish: Finish::Finished,
            aborted: false,
            refusal: None,
            stats: Some(RuntimeStats {
                prefill_time_ms: ms(prefill_ns),
                prefill_tokens: i32::try_from(self.prompt_tokens).expect("small"),
                generate_time_ms: ms(decode_ns),
                generate_tokens: tokens - self.uncounted,
                memory_usage_mb: 1.0,
            }),
            set_up: None,
            kv_cache_before: Some(0),
            kv_cache_after: Some(self.prompt_tokens),
            late_callbacks: self.late_callbacks,
            split_characters: 0,
            other_thread: 0,
            peak_rss_bytes: None,
            stream: None,
        }
    }

    fn fault_of_a_server(&self, rng: &mut ChaCha8Rng, fault: Fault, run: &mut Inference) {
        let tokens = run.tokens.len();
        let usage = run.stream.as_mut().and_then(|stream| stream.usage.as_mut());
        let usage = usage.expect("a clean run has it");
        match fault {
            Fault::ChunkOfTokens => {
                // It comes with the last of its tokens. One chunk less than tokens may be an end token without text.
                let joined = rng.random_range(2..tokens);
                let first = rng.random_range(0..tokens - joined);
                run.tokens.drain(first..first + joined);
            }
            Fault::WordCountUsage => {
                usage.completion_tokens = u32::try_from(run.text.split_whitespace().count()).ok();
            }
            Fault::ServerCache => usage.cached_tokens = Some(rng.random_range(1..=self.prompt_tokens)),
            Fault::StreamCut => {
                run.tokens.truncate(rng.random_range(1..tokens));
                run.finish = Finish::Lost;
            }
            Fault::Burst => {
                let (last_ns, gap_ns) = (run.tokens[tokens - 1].at_ns, rng.random_range(US..10 * US));
                for (back, token) in run.tokens.iter_mut().rev().enumerate() {
                    token.at_ns = last_ns - back as u64 * gap_ns;
                }
            }
            Fault::ZeroTokens => run.tokens.clear(),
            other => panic!("{other:?} is none of a server's"),
        }
    }

    /// A clean run with the fault in it.
    fn faulty(&mut self, rng: &mut ChaCha8Rng, fault: Fault, tokens: u32) -> Inference {
        let mut run = self.clean(rng, tokens);
        if self.is_server {
            self.fault_of_a_server(rng, fault, &mut run);
            return run;
        }
        let mut stats = run.stats.expect("a clean run has them");
        let place = rng.random_range(1..run.tokens.len());
        match fault {
            Fault::LostFinish => run.finish = Finish::Lost,
            Fault::Pause => {
                run.tokens.truncate(place);
                run.finish = Finish::Lost;
            }
            Fault::StaleStatistics => stats = self.last_stats.expect("a run before"),
            Fault::ImpossibleStatistics => {
                let value = [f32::NAN, f32::INFINITY, -1.0, 0.0][rng.random_range(0..4)];
                let field = if rng.random_bool(0.5) {
                    &mut stats.prefill_time_ms
                } else {
                    &mut stats.generate_time_ms
                };
                *field = value;
            }
            Fault::PrefixReuse => {
                let computed = rng.random_range(0..self.prompt_tokens);
                let saved = u64::from(self.prompt_tokens - computed) * self.prefill_ns_per_token;
                run.tokens.iter_mut().for_each(|token| token.at_ns -= saved);
                run.return_ns -= saved;
                stats.prefill_tokens = i32::try_from(computed).expect("small");
                stats.prefill_time_ms = ms(u64::from(computed) * self.prefill_ns_per_token);
            }
            Fault::ZeroTokens => run.tokens.clear(),
            Fault::LateFirstToken => drop(run.tokens.remove(0)),
            Fault::EarlyFirstToken => {
                let at_ns = run.call_ns + rng.random_range(0..MS);
                run.tokens.insert(0, TokenEvent { at_ns, id: -1 });
                if rng.random_bool(0.5) {
                    run.tokens.pop(); // the count fits
                }
            }
            Fault::DuplicateCallback => {
                let mut again = run.tokens[place - 1];
                again.at_ns += rng.random_range(0..20 * US);
                run.tokens.insert(place, again);
                if rng.random_bool(0.5) {
                    run.tokens.pop(); // the count fits
                }
            }
            Fault::ClockStepOfTheRuntime => {
                let step = beyond_tolerance(rng, &run);
                let sign = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                let field = if rng.random_bool(0.5) {
                    &mut stats.prefill_time_ms
                } else {
                    &mut stats.generate_time_ms
                };
                *field += sign * ms(step);
            }
            Fault::ClockStepOfOurs => {
                let step = beyond_tolerance(rng, &run);
                let is_back = rng.random_bool(0.5);
                let gap = run.tokens[place].at_ns - run.tokens[place - 1].at_ns;
                let set = |at: u64| {
                    if is_back {
                        at - step.max(gap + 1)
                    } else {
                        at + step
                    }
                };
                run.tokens[place..]
                    .iter_mut()
                    .for_each(|token| token.at_ns = set(token.at_ns));
                run.return_ns = set(run.return_ns);
            }
            Fault::LateCallback => {
                self.late_callbacks += 1;
                run.late_callbacks += 1;
            }
            Fault::OtherThread => run.other_thread = tokens + 1,
            Fault::SplitUtf8 => run.split_characters = rng.random_range(1..=tokens),
            other => panic!("{other:?} is a server's"),
        }
        run.stats = (run.finish == Finish::Finished).then_some(stats);
        run
    }
}

/// A step that the tolerance between two clocks cannot hide: what is smaller changes no figure, since ours come from the
/// monotonic clock.
fn beyond_tolerance(rng: &mut ChaCha8Rng, run: &Inference) -> u64 {
    let total_ns = run.return_ns - run.call_ns;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both are small and positive"
    )]
    let (least, share) = ((TOLERANCE_MS * 1e6) as u64, (1.0 / TOLERANCE_RATIO) as u64);
    let tolerance = least.max(total_ns / share);
    rng.random_range(2 * tolerance..4 * tolerance)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "as a runtime reports it"
)]
fn ms(ns: u64) -> f32 {
    (ns as f64 / 1e6) as f32
}

/// The name of a rejection, or those of marks, as records have them. An answer that went on to its limit is no fault.
fn names(verdict: Result<Vec<Mark>, Rejection>) -> Vec<String> {
    match verdict {
        Ok(marks) => marks
            .iter()
            .filter(|mark| !matches!(mark, Mark::ReachedLimit { .. }))
            .map(|mark| mark.name().to_owned())
            .collect(),
        Err(reason) => {
            let document = serde_json::to_value(&reason).expect("JSON");
            vec![document["law"].as_str().expect("its name").to_owned()]
        }
    }
}

#[test]
fn of_a_thousand_random_runs_every_faulty_one_is_named_and_no_clean_one() {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut caught: BTreeMap<Option<Fault>, BTreeMap<String, usize>> = BTreeMap::new();
    let can = Abilities::of_header();
    for load in 0..RUNS / RUNS_A_LOAD {
        let mut model = Model::random(&mut rng);
        let (request, mut ledger) = (model.request(), Ledger::new(can, &model.spec()));
        for index in 0..RUNS_A_LOAD {
            let goes_on = index != 1 && (index == 0 || rng.random_bool(0.2));
            let tokens = if model.is_fixed_length || goes_on {
                model.limit
            } else {
                rng.random_range(4..model.limit)
            };
            // The first runs show the prompt's length and the runtime's way of counting either ending.
            let faults: &[Fault] = if model.is_server { &SERVER_FAULTS } else { &FAULTS };
            let fault =
                (index > 1 && rng.random_bool(0.6)).then(|| faults[rng.random_range(0..faults.len())]);
            let run = match fault {
                Some(fault) => model.faulty(&mut rng, fault, tokens),
                None => model.clean(&mut rng, tokens),
            };
            model.last_stats = run.stats.or(model.last_stats);
            if matches!(fault, Some(Fault::ChunkOfTokens | Fault::WordCountUsage)) {
                // Marked, and the figures are right all the same.
                assert_eq!(
                    run.token_count().tokens,
                    Some(tokens as usize),
                    "{fault:?}: {run:?}"
                );
            }
            let known = (index > 0).then_some(model.prompt_tokens);
            let verdict = ledger.judge(&request, known, &run).map(|accepted| accepted.marks);
            let names = names(verdict);
            let right = match fault {
                Some(fault) => names.iter().any(|name| fault.names().contains(&name.as_str())),
                None => names.is_empty(),
            };
            assert!(
                right,
                "seed {SEED}, load {load}, run {index}: {fault:?} gave {names:?}\n{run:?}"
            );
            *caught
                .entry(fault)
                .or_default()
                .entry(names.join(" + "))
                .or_default() += 1;
        }
    }
    eprintln!("seed {SEED}, {RUNS} runs");
    for (fault, names) in &caught {
        let fault = fault.map_or_else(|| "clean".to_owned(), |fault| format!("{fault:?}"));
        eprintln!("{:5} {fault}: {names:?}", names.values().sum::<usize>());
    }
    // No token at all is a fault of both.
    assert_eq!(
        caught.len(),
        FAULTS.len() + SERVER_FAULTS.len(),
        "each class was drawn"
    );
}

#[test]
fn what_exists_at_the_c_boundary_only_is_named_there() {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let rows = [
        ("pause", Fault::Pause),
        ("no-finish", Fault::LostFinish),
        ("late", Fault::LateCallback),
        ("thread", Fault::OtherThread),
        ("split", Fault::SplitUtf8),
        ("duplicate", Fault::DuplicateCallback),
    ];
    for (fault, class) in rows {
        // After the warm-up of three prompts, and once among their 30 samples.
        let run = rng.random_range(18..=30);
        let place = Place::new();
        let script = place.script(&[&format!("run {run} {fault}")]);
        let text = succeed(SDK.quick(&place).arg("--record-only").env("STUB_SCRIPT", script));
        let record = place.record();
        let mut named = Vec::new();
        for prompt in &record.models[0].prompts {
            named.extend(
                prompt
                    .rejected
                    .iter()
                    .flat_map(|rejected| names(Err(rejected.reason.clone()))),
            );
            named.extend(
                prompt
                    .samples
                    .iter()
                    .flat_map(|sample| names(Ok(sample.marks.clone()))),
            );
            assert_eq!(prompt.samples.len(), 10, "{fault}: {text}");
            let whole = |text: &str| text.starts_with("stub ") && !text.contains('\u{fffd}');
            let texts = prompt.samples.iter().map(|sample| &sample.inference.text);
            assert!(
                texts.clone().all(|text| whole(text)),
                "{fault}: {:?}",
                texts.collect::<Vec<_>>()
            );
        }
        // What the machine does to such short runs is no matter of this test.
        named.retain(|name| {
            ![
                "other_process",
                "throttled",
                "lower_frequency",
                "unexplained_time",
            ]
            .contains(&name.as_str())
        });
        assert!(!named.is_empty(), "{fault} in run {run} was not named: {text}");
        let expected = [class.names(), &["generate_tokens"]].concat();
        assert!(
            named.iter().all(|name| expected.contains(&name.as_str())),
            "{fault}: {named:?}"
        );
    }
}
