//! Cold, warm-prefix and restored-cache prefill on the host runtime, which reuses whatever it finds in its KV cache: over a
//! random schedule no sample has another start than its label, and one that has is rejected and named.
//!
//! What is expected here is arithmetic on token ids, which knows nothing of the ledger.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rkllm_bench::engine::{Engine, InProcess};
use rkllm_bench::ffi::{Params, Recording, RunInput, RunRequest, Session};
use rkllm_bench::inference::Abilities;
use rkllm_bench::inference::{
    CacheSetUp, CacheStart, Inference, Input, PrefixSource, Request, RuntimeStats, Sampling, token_ids,
};
use rkllm_bench::inference::{Failure, LoadSpec, Loaded};
use rkllm_bench::ledger::{Ledger, Rejection};
use rkllm_bench::{models, paths};

const SEED: u64 = 20_261;
const RUNS: usize = 1000;
const NEW_TOKENS: u32 = 2;

/// One at a time: they would share the cores otherwise.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spec() -> LoadSpec {
    LoadSpec {
        max_context: 512,
        max_new_tokens: NEW_TOKENS,
        threads: Some(1),
        ..LoadSpec::new(models::built_in("tiny", &paths::cache_dir()).expect("made").path)
    }
}

fn engine() -> InProcess {
    let mut engine = InProcess::new();
    engine.load(&spec()).expect("loaded");
    engine
}

fn ledger() -> Ledger {
    Ledger::new(Abilities::of_header(), &spec())
}

/// Prompts of ids that begin alike, one of them with the whole of another, and one that shares nothing.
fn prompts_of_ids() -> Vec<Vec<i32>> {
    let ids = token_ids(200);
    let with = |shared: usize, own: &[i32]| [&ids[..shared], own].concat();
    vec![
        with(20, &[]),
        with(28, &[]),
        with(16, &ids[100..108]),
        with(8, &ids[120..136]),
        with(19, &ids[140..141]),
        ids[150..174].to_vec(),
    ]
}

const TEXTS: [&str; 3] = [
    "The ferry leaves at nine and comes back at noon.",
    "The ferry leaves at nine and nobody knows why it does.",
    "The ferry leaves at nine and comes back at noon. Or so they say.",
];
const PREFIXES_OF_TEXT: [&str; 2] = ["The ferry leaves at", "The ferry leaves at nine and"];

/// A prompt with a start, and what the runtime must tell of it.
#[derive(Debug, Clone)]
struct Case {
    request: Request,
    /// Tokens to compute.
    computed: u32,
    /// Positions held before the call.
    held: u32,
    /// Tokens of the whole prompt.
    prompt: u32,
}

fn request(input: Input, cache_start: CacheStart) -> Request {
    Request {
        cache_start,
        ..Request::new(input, NEW_TOKENS)
    }
}

fn count(ids: &[i32]) -> u32 {
    u32::try_from(ids.len()).expect("small")
}

/// Every prompt of ids cold, and behind prefixes of several lengths by either way.
fn cases_of_ids() -> Vec<Case> {
    let mut cases = Vec::new();
    for ids in prompts_of_ids() {
        let input = || Input::Tokens(ids.clone());
        let mut add = |cache_start, computed, held| {
            cases.push(Case {
                request: request(input(), cache_start),
                computed,
                held,
                prompt: count(&ids),
            });
        };
        add(CacheStart::Cold, count(&ids), 0);
        for length in [1, 7, 15, ids.len() - 1] {
            let prefix = || Input::Tokens(ids[..length].to_vec());
            let left = count(&ids[length..]);
            add(CacheStart::WarmPrefix(prefix()), left, count(&ids[..length]));
            add(CacheStart::RestoredCache(prefix()), left, 0);
        }
    }
    cases
}

/// The same of texts, whose tokens a runtime of its own tells.
fn cases_of_text() -> Vec<Case> {
    let mut raw = Raw::open();
    let mut cases = Vec::new();
    for text in TEXTS {
        raw.session.clear_kv_cache().expect("cleared");
        let prompt = raw.computed(&Input::Text(text.into()));
        let input = || Input::Text(text.into());
        let mut add = |cache_start, computed, held| {
            cases.push(Case {
                request: request(input(), cache_start),
                computed,
                held,
                prompt,
            });
        };
        add(CacheStart::Cold, prompt, 0);
        for prefix in PREFIXES_OF_TEXT {
            raw.session.clear_kv_cache().expect("cleared");
            let held = raw.computed(&Input::Text(prefix.into()));
            let left = raw.computed(&input());
            assert!(0 < left && left < prompt, "{text}: {left} of {prompt}");
            let prefix = || Input::Text(prefix.into());
            add(CacheStart::WarmPrefix(prefix()), left, held);
            add(CacheStart::RestoredCache(prefix()), left, 0);
        }
    }
    cases
}

/// The runtime as a harness without any care has it: nothing is cleared.
struct Raw {
    session: Session,
}

impl Raw {
    fn open() -> Self {
        let spec = spec();
        let params = Params {
            max_context_len: 512,
            sampling: Sampling::GREEDY,
            ignore_eos: true,
            cpu_count: 1,
            ..Params::new(&spec.model_path).expect("defaults")
        };
        Self {
            session: Session::open(&params).expect("loaded"),
        }
    }

    fn computed(&mut self, input: &Input) -> u32 {
        let stats = self.infer(input).stats.expect("statistics");
        u32::try_from(stats.prefill_tokens).expect("a number")
    }

    fn infer(&mut self, input: &Input) -> Inference {
        let held = |session: &Session| u32::try_from(session.kv_cache_size().expect("told")).ok();
        let mut recording = Recording::with_room_for(NEW_TOKENS as usize);
        let kv_cache_before = held(&self.session);
        let input = match input {
            Input::Text(text) => RunInput::Text(text),
            Input::Tokens(ids) => RunInput::Tokens(ids),
        };
        let run = RunRequest::new(input, NEW_TOKENS.cast_signed());
        let outcome = self.session.run(&run, &mut recording).expect("no exception");
        let stats = recording.stats.expect("statistics");
        Inference {
            call_ns: outcome.call_ns,
            return_ns: outcome.return_ns,
            overflow: recording.overflow,
            text: String::from_utf8_lossy(&recording.text).into_owned(),
            finish: recording.finish(),
            aborted: outcome.aborted,
            refusal: outcome.refusal,
            stats: Some(RuntimeStats {
                prefill_time_ms: stats.prefill_time_ms,
                prefill_tokens: stats.prefill_tokens,
                generate_time_ms: stats.generate_time_ms,
                generate_tokens: stats.generate_tokens,
                memory_usage_mb: stats.memory_usage_mb,
            }),
            set_up: None,
            kv_cache_before,
            kv_cache_after: held(&self.session),
            late_callbacks: 0,
            split_characters: 0,
            other_thread: 0,
            peak_rss_bytes: None,
            tokens: recording.tokens,
            stream: None,
        }
    }
}

/// What the runtime told: tokens computed, positions before and after.
fn told(inference: &Inference) -> (i32, Option<u32>, Option<u32>) {
    let stats = inference.stats.expect("statistics");
    (
        stats.prefill_tokens,
        inference.kv_cache_before,
        inference.kv_cache_after,
    )
}

#[test]
fn over_a_thousand_random_runs_no_sample_is_mislabelled_and_none_rejected() {
    let _turn = turn();
    let cases: Vec<Case> = cases_of_ids().into_iter().chain(cases_of_text()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (mut engine, mut ledger) = (engine(), ledger());
    let mut lengths = vec![None; cases.len()];
    let mut labels = BTreeMap::<&str, usize>::new();
    let (mut last, mut repeats, mut treacherous) = (None, 0, 0);
    for run in 0..RUNS {
        let index = next(&mut rng, &cases, last);
        let case = &cases[index];
        if let Some(last) = last {
            let last: &Request = &cases[last].request;
            repeats += usize::from(last.input == case.request.input);
            treacherous += usize::from(shared(&last.input, &case.request.input) > 0);
        }
        last = Some(index);
        let inference = engine.infer(&case.request).expect("an inference");
        let start = case.request.cache_start.name();
        // As the recorder does: known from the first sample on.
        let accepted = ledger.judge(&case.request, lengths[index], &inference);
        assert!(accepted.is_ok(), "run {run}, {case:?}: {accepted:?}");
        lengths[index] = inference.reported_prompt_tokens(&case.request.input);
        let expected = (case.computed.cast_signed(), Some(case.held), Some(case.prompt));
        assert_eq!(told(&inference), expected, "run {run}, {case:?}");
        *labels.entry(start).or_default() += 1;
    }
    eprintln!("seed {SEED}: {labels:?}; {repeats} of the prompt before, {treacherous} begin as it does");
    assert_eq!(labels.values().sum::<usize>(), RUNS);
    assert!(
        labels.len() == 3 && labels.values().all(|count| *count > 250),
        "{labels:?}"
    );
    assert!(repeats > 300 && treacherous > 500, "{repeats} {treacherous}");
}

/// The run after `last`: in two of five the same prompt again, of which a runtime that is left alone computes nothing; any start.
fn next(rng: &mut ChaCha8Rng, cases: &[Case], last: Option<usize>) -> usize {
    let start = *["cold", "warm_prefix", "restored_cache"]
        .choose(rng)
        .expect("some");
    let again = last.filter(|_| rng.random_bool(0.4));
    let fits = |case: &Case| {
        case.request.cache_start.name() == start
            && again.is_none_or(|last| cases[last].request.input == case.request.input)
    };
    let fitting: Vec<usize> = (0..cases.len()).filter(|index| fits(&cases[*index])).collect();
    *fitting.choose(rng).expect("each prompt has each start")
}

fn common_prefix<T: PartialEq>(one: &[T], other: &[T]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// How much one prompt begins as another does: ids, or bytes of text.
fn shared(one: &Input, other: &Input) -> usize {
    match (one, other) {
        (Input::Text(one), Input::Text(other)) => common_prefix(one.as_bytes(), other.as_bytes()),
        (Input::Tokens(one), Input::Tokens(other)) => common_prefix(one, other),
        _ => 0,
    }
}

#[test]
fn a_harness_that_clears_nothing_has_its_warm_runs_rejected_and_its_cold_ones_kept() {
    let _turn = turn();
    let prompts = prompts_of_ids();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (mut raw, mut ledger) = (Raw::open(), ledger());
    let mut before = Input::Tokens(Vec::new());
    let (mut cold, mut warm) = (0, 0);
    for run in 0..200 {
        let ids = prompts.choose(&mut rng).expect("some");
        let input = Input::Tokens(ids.clone());
        let is_repeat = before == input;
        // The last token is computed all the same, but for an exact repeat, whose logits are kept.
        let most = if is_repeat { ids.len() } else { ids.len() - 1 };
        let reused = shared(&before, &input).min(most);
        before = input.clone();
        let inference = raw.infer(&input);
        let verdict = ledger.judge(&request(input, CacheStart::Cold), Some(count(ids)), &inference);
        if reused == 0 {
            cold += 1;
            assert!(verdict.is_ok(), "run {run}: {verdict:?}");
        } else {
            warm += 1;
            let computed = count(&ids[reused..]).cast_signed();
            let prompt = count(ids);
            assert_eq!(
                verdict,
                Err(Rejection::WarmPrefill { computed, prompt }),
                "run {run}"
            );
        }
    }
    eprintln!("seed {SEED}: {cold} cold, {warm} warm");
    assert!(cold > 20 && warm > 100, "{cold} {warm}");

    // Of a text nothing but what the KV cache held tells, until its length is known.
    let input = Input::Text(TEXTS[0].into());
    let inference = raw.infer(&input);
    let verdict = ledger.judge(&request(input, CacheStart::Cold), None, &inference);
    assert!(
        matches!(&verdict, Err(Rejection::HeldOther { label, .. }) if label == "cold"),
        "{verdict:?}"
    );
}

/// The name of the law that was broken.
fn law(verdict: Result<rkllm_bench::ledger::Accepted, Rejection>) -> String {
    let reason = verdict.expect_err("mislabelled");
    let law = serde_json::to_value(&reason).expect("JSON")["law"].clone();
    law.as_str().expect("a name").to_owned()
}

/// What the engine would have noted of an honest run of `request`.
fn noted(request: &Request) -> Option<CacheSetUp> {
    let (prefix, source) = request.cache_start.prefix()?;
    Some(CacheSetUp {
        source,
        prompt_tokens: request.input.token_count()?,
        prefix_tokens: prefix.token_count()?,
        cleared_to: Some(0),
    })
}

#[test]
fn every_wrong_label_is_rejected_and_named() {
    let _turn = turn();
    let ids = token_ids(24);
    let input = || Input::Tokens(ids.clone());
    let prefix = |length: usize| Input::Tokens(ids[..length].to_vec());
    let starts = [
        CacheStart::Cold,
        CacheStart::WarmPrefix(prefix(16)),
        CacheStart::RestoredCache(prefix(16)),
        CacheStart::WarmPrefix(prefix(9)),
        CacheStart::RestoredCache(prefix(9)),
    ];
    let (mut engine, mut ledger) = (engine(), ledger());
    let mut made = Vec::new();
    for start in &starts {
        let request = request(input(), start.clone());
        let inference = engine.infer(&request).expect("an inference");
        let accepted = ledger.judge(&request, None, &inference);
        assert!(accepted.is_ok(), "{start:?}: {accepted:?}");
        made.push((request, inference));
    }
    // A later run, so that none of those is the run before.
    let later = request(Input::Tokens(token_ids(9)), CacheStart::Cold);
    let inference = engine.infer(&later).expect("an inference");
    ledger.judge(&later, None, &inference).expect("stands");
    let mut rejected = BTreeMap::<(&str, &str, String), usize>::new();
    for (was, inference) in &made {
        for (label, _) in made.iter().filter(|(label, _)| label != was) {
            // As the engine noted it, then with notes that say what the label does: the runtime's own numbers are left.
            let lied = Inference {
                set_up: noted(label),
                ..inference.clone()
            };
            for inference in [inference, &lied] {
                let law = law(ledger.clone().judge(label, None, inference));
                let row = (was.cache_start.name(), label.cache_start.name(), law);
                *rejected.entry(row).or_default() += 1;
            }
        }
    }
    for ((was, label, law), times) in &rejected {
        eprintln!("{was:>14} labelled {label:14} rejected: {law} ({times})");
    }
    assert_eq!(rejected.values().sum::<usize>(), 2 * 5 * 4);
}

/// What is done instead of what was asked.
type Deed = fn(&Request) -> Request;

/// Does something else than it is asked, and tells what it was asked.
struct Sabotaged {
    engine: InProcess,
    does: Deed,
}

impl Engine for Sabotaged {
    fn load(&mut self, spec: &LoadSpec) -> Result<Loaded, Failure> {
        self.engine.load(spec)
    }

    fn infer(&mut self, request: &Request) -> Result<Inference, Failure> {
        let inference = self.engine.infer(&(self.does)(request))?;
        let set_up = noted(request);
        Ok(Inference { set_up, ..inference })
    }

    fn unload(&mut self) -> Result<(), Failure> {
        self.engine.unload()
    }
}

/// Nothing is set up.
fn cold(asked: &Request) -> Request {
    request(asked.input.clone(), CacheStart::Cold)
}

/// As long as what was asked for, of other tokens but the first.
fn of_another_prefix(asked: &Request) -> Request {
    let other = |prefix: &Input| match prefix {
        Input::Tokens(ids) => Input::Tokens([&ids[..1], &vec![7; ids.len() - 1]].concat()),
        Input::Text(_) => unreachable!("ids alone are asked for"),
    };
    let cache_start = match &asked.cache_start {
        CacheStart::Cold => CacheStart::Cold,
        CacheStart::WarmPrefix(prefix) => CacheStart::WarmPrefix(other(prefix)),
        CacheStart::RestoredCache(prefix) => CacheStart::RestoredCache(other(prefix)),
    };
    request(asked.input.clone(), cache_start)
}

/// One token more than was asked for, or a prefix where none was.
fn of_a_longer_prefix(asked: &Request) -> Request {
    let ids = token_ids(24);
    let prefix = Input::Tokens(ids[..17].to_vec());
    let cache_start = match &asked.cache_start {
        CacheStart::RestoredCache(_) => CacheStart::RestoredCache(prefix),
        _ => CacheStart::WarmPrefix(prefix),
    };
    request(asked.input.clone(), cache_start)
}

#[test]
fn a_set_up_that_goes_wrong_is_found_by_the_runtimes_own_numbers() {
    let _turn = turn();
    let ids = token_ids(24);
    let prefix = || Input::Tokens(ids[..16].to_vec());
    let rows: [(&str, Deed, CacheStart, &str); 7] = [
        (
            "no prefix is run",
            cold,
            CacheStart::WarmPrefix(prefix()),
            "held_other",
        ),
        (
            "no file is loaded",
            cold,
            CacheStart::RestoredCache(prefix()),
            "computed_other",
        ),
        (
            "another prefix",
            of_another_prefix,
            CacheStart::WarmPrefix(prefix()),
            "computed_other",
        ),
        (
            "another file",
            of_another_prefix,
            CacheStart::RestoredCache(prefix()),
            "computed_other",
        ),
        (
            "a longer prefix",
            of_a_longer_prefix,
            CacheStart::WarmPrefix(prefix()),
            "computed_other",
        ),
        (
            "a longer file",
            of_a_longer_prefix,
            CacheStart::RestoredCache(prefix()),
            "computed_other",
        ),
        (
            "a prefix that nobody asked for",
            of_a_longer_prefix,
            CacheStart::Cold,
            "warm_prefill",
        ),
    ];
    let mut sabotaged = Sabotaged {
        engine: engine(),
        does: cold,
    };
    for (what, does, start, expected) in rows {
        sabotaged.does = does;
        let asked = request(Input::Tokens(ids.clone()), start);
        let inference = sabotaged.infer(&asked).expect("an inference");
        assert_eq!(law(ledger().judge(&asked, None, &inference)), expected, "{what}");
    }
}

#[test]
fn what_cannot_be_known_proves_no_start() {
    let _turn = turn();
    let ids = token_ids(24);
    let asked = request(
        Input::Tokens(ids.clone()),
        CacheStart::WarmPrefix(Input::Tokens(ids[..16].to_vec())),
    );
    let honest = engine().infer(&asked).expect("an inference");
    let set_up = honest.set_up.expect("not cold");
    let with = |change: &dyn Fn(&mut CacheSetUp)| {
        let mut set_up = set_up;
        change(&mut set_up);
        Inference {
            set_up: Some(set_up),
            ..honest.clone()
        }
    };
    let rows = [
        (
            "no statistics",
            Inference {
                stats: None,
                ..honest.clone()
            },
            "unproven_start",
        ),
        (
            "no size of the cache",
            Inference {
                kv_cache_before: None,
                ..honest.clone()
            },
            "unproven_start",
        ),
        (
            "less in the cache than the prefix",
            Inference {
                kv_cache_before: Some(set_up.prefix_tokens - 1),
                ..honest.clone()
            },
            "held_other",
        ),
        (
            "no size after the clear",
            with(&|seen| seen.cleared_to = None),
            "unproven_start",
        ),
        (
            "not cleared",
            with(&|seen| seen.cleared_to = Some(3)),
            "held_other",
        ),
        (
            "a warm prefix",
            with(&|seen| seen.prefix_tokens = 5),
            "warm_prefill",
        ),
        (
            "from a file",
            with(&|seen| seen.source = PrefixSource::File),
            "other_start",
        ),
    ];
    for (what, inference, expected) in rows {
        assert_eq!(law(ledger().judge(&asked, None, &inference)), expected, "{what}");
    }
    let swapped = Request {
        cache_start: CacheStart::WarmPrefix(Input::Tokens(token_ids(40)[24..].to_vec())),
        ..asked
    };
    assert_eq!(law(ledger().judge(&swapped, None, &honest)), "no_prefix");
}

#[test]
fn a_prompt_cache_serves_the_prompt_that_asked_for_it_and_no_other() {
    let _turn = turn();
    let ids = token_ids(24);
    let (mut engine, mut ledger) = (engine(), ledger());
    let restored = request(
        Input::Tokens(ids.clone()),
        CacheStart::RestoredCache(Input::Tokens(ids[..16].to_vec())),
    );
    let cold = request(Input::Tokens(ids), CacheStart::Cold);
    for (request, computed) in [
        (&restored, 8),
        (&cold, 24),
        (&restored, 8),
        (&restored, 8),
        (&cold, 24),
    ] {
        let inference = engine.infer(request).expect("an inference");
        assert_eq!(told(&inference), (computed, Some(0), Some(24)));
        ledger.judge(request, None, &inference).expect("stands");
    }
}
