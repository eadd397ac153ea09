//! The gate on runs whose values are known.

use super::*;
use crate::analysis::metrics::{Measure, Metric};
use crate::base::number::Long as _;
use crate::inference::{Api, Runtime, ServerIdentity};
use crate::record::fixtures;
use crate::runtime::engine::scripted;

const MS: u64 = 1_000_000;

/// Runs with one sample each, TTFT by `ttft_us`, ten tokens 10 ms apart.
fn side(name: &str, ttft_us: &[u64]) -> Vec<RunRecord> {
    let run = |(index, us): (usize, &u64)| {
        fixtures::run(
            &format!("{name}-{index}"),
            &[(us * 1000, 10 * MS), (us * 1000, 10 * MS)],
        )
    };
    ttft_us.iter().enumerate().map(run).collect()
}

fn verdict_of(comparison: &Comparison, id: &str) -> Verdict {
    comparison
        .metrics
        .iter()
        .find(|judged| judged.id == id)
        .unwrap_or_else(|| panic!("{id} is not in {comparison:#?}"))
        .verdict
}

#[test]
fn a_slower_prefill_is_found_and_named_and_nothing_else() {
    let baseline = side("base", &[50_000, 50_100, 50_200, 50_050]);
    let candidate = side("cand", &[55_000, 55_100, 55_200, 55_050]);
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    assert_eq!(comparison.overall, Overall::Regression);
    for id in ["m/quick/prefill/a", "m/quick/prefill/b", "m/quick/prefill"] {
        assert_eq!(verdict_of(&comparison, id), Verdict::Regressed, "{id}");
    }
    for id in [
        "m/quick/decode/a",
        "m/quick/decode",
        "m/quick/worst_gap",
        "m/quick/peak_memory",
    ] {
        assert_eq!(verdict_of(&comparison, id), Verdict::Equivalent, "{id}");
    }
    let prefill = comparison
        .metrics
        .iter()
        .find(|judged| judged.id == "m/quick/prefill/a")
        .expect("judged");
    let worse_by = prefill.worse_by.expect("known");
    assert!((worse_by.estimate - 5.0 / 50.0875).abs() < 1e-4, "{worse_by:?}");
    // 100 tokens in 50.0875 ms.
    assert!((prefill.baseline - 1996.51).abs() < 0.1 && prefill.unit == "tok/s");
    let back = compare(&candidate, &baseline, &[], &[], &Limits::new(0.05));
    assert_eq!(back.overall, Overall::NoRegression);
    assert_eq!(verdict_of(&back, "m/quick/prefill/a"), Verdict::Improved);
}

#[test]
fn disturbed_samples_of_a_side_are_noted() {
    let baseline = side("base", &[50_000, 50_100]);
    let mut candidate = side("cand", &[50_000, 50_100]);
    let of = |candidate: &[RunRecord]| compare(&baseline, candidate, &[], &[], &Limits::new(0.05)).notes;
    assert_eq!(of(&candidate), Vec::<String>::new());
    candidate[1].models[0].prompts[0].samples[0].marks = vec![crate::record::ledger::Mark::Throttled];
    let expected = "candidate: 1 of 8 samples were disturbed (throttled); --strict takes none of those";
    assert_eq!(of(&candidate), [expected]);
}

#[test]
fn a_higher_bound_lets_the_same_change_pass() {
    let baseline = side("base", &[50_000, 50_100, 50_200, 50_050]);
    let candidate = side("cand", &[55_000, 55_100, 55_200, 55_050]);
    let mut limits = Limits::new(0.05);
    for measure in [Measure::Ttft, Measure::Prefill] {
        limits.per_phase = [(measure, Some(0.2))].into();
        let comparison = compare(&baseline, &candidate, &[], &[], &limits);
        assert_eq!(comparison.overall, Overall::NoRegression);
        assert_eq!(verdict_of(&comparison, "m/quick/prefill/a"), Verdict::Equivalent);
    }
    limits.per_phase.insert(Measure::Decode, None);
    let comparison = compare(&baseline, &candidate, &[], &[], &limits);
    assert!(
        comparison
            .metrics
            .iter()
            .all(|judged| !judged.id.contains("/decode"))
    );
}

#[test]
fn prefill_and_ttft_share_a_bound_where_they_are_one_measurement() {
    let metric = |suite: &str, measure| Metric {
        model: "m".into(),
        suite: suite.into(),
        measure,
        prompt: None,
    };
    let prefill = metric("quick", Measure::Prefill);
    let bound = |given: &[(Measure, Option<f64>)], metric: &Metric| {
        let mut limits = Limits::new(0.05);
        limits.per_phase = given.iter().copied().collect();
        limits.of_metric(metric)
    };
    assert_eq!(bound(&[], &prefill), Some(0.05));
    assert_eq!(bound(&[(Measure::Ttft, Some(0.2))], &prefill), Some(0.2));
    assert_eq!(
        bound(
            &[(Measure::Ttft, Some(0.2)), (Measure::Prefill, Some(0.1))],
            &prefill
        ),
        Some(0.1)
    );
    assert_eq!(
        bound(&[(Measure::Ttft, Some(0.2)), (Measure::Prefill, None)], &prefill),
        Some(0.2)
    );
    assert_eq!(bound(&[(Measure::Prefill, None)], &prefill), None);
    // Prefill goes on being judged: TTFT has no row of its own here that could be meant.
    assert_eq!(bound(&[(Measure::Ttft, None)], &prefill), Some(0.05));
    let of_server = metric("server-quick", Measure::Prefill);
    assert_eq!(bound(&[(Measure::Ttft, Some(0.2))], &of_server), Some(0.05));
}

#[test]
fn ttft_is_judged_where_a_side_has_no_prefill() {
    let baseline = side("base", &[50_000, 50_100, 50_200, 50_050]);
    let mut candidate = side("cand", &[55_000, 55_100, 55_200, 55_050]);
    for run in &mut candidate {
        for prompt in &mut run.models[0].prompts {
            prompt.prompt_tokens = None;
        }
    }
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    assert_eq!(verdict_of(&comparison, "m/quick/ttft/a"), Verdict::Regressed);
    let of_prefill = |judged: &&Judged| judged.id.contains("/prefill");
    assert_eq!(comparison.metrics.iter().filter(of_prefill).count(), 0);
    assert_eq!(comparison.absent, []);
}

#[test]
fn one_run_a_side_is_not_guessed_at() {
    let (baseline, candidate) = (side("base", &[50_000]), side("cand", &[90_000]));
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    assert_eq!(comparison.overall, Overall::CannotTell);
    assert!(comparison.metrics.iter().all(|judged| judged.worse_by.is_none()));
    let calibration = side("cal", &[70_000, 70_100, 70_050, 70_020]);
    let comparison = compare(&baseline, &candidate, &calibration, &[], &Limits::new(0.05));
    assert_eq!(comparison.overall, Overall::Regression);
}

#[test]
fn too_much_noise_says_how_many_runs_more() {
    let baseline = side("base", &[50_000, 54_000, 46_000, 51_000]);
    let candidate = side("cand", &[51_000, 47_000, 50_000, 52_000]);
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    assert_eq!(comparison.overall, Overall::CannotTell);
    let Verdict::CannotTell { more } = verdict_of(&comparison, "m/quick/prefill/a") else {
        panic!("{comparison:#?}");
    };
    // The baseline's four runs alone are too few, however many the candidate has.
    assert_eq!(more, None);
    let pairs = compare_pairs(&baseline, &candidate, &[], &Limits::new(0.05));
    assert_eq!(pairs.overall, Overall::CannotTell);
    assert!(matches!(
        verdict_of(&pairs, "m/quick/prefill/a"),
        Verdict::CannotTell { more: Some(1..) }
    ));
}

#[test]
fn pairs_see_through_what_both_runs_share() {
    let base: Vec<u64> = (0..20).map(|index| 40_000 + index * 7919 % 20_000).collect();
    let slower: Vec<u64> = base
        .iter()
        .enumerate()
        .map(|(i, us)| us * 106 / 100 + i.long())
        .collect();
    let (baseline, candidate) = (side("base", &base), side("cand", &slower));
    let comparison = compare_pairs(&baseline, &candidate, &[], &Limits::new(0.05));
    assert_eq!(verdict_of(&comparison, "m/quick/prefill/a"), Verdict::Regressed);
    let unpaired = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    assert!(matches!(
        verdict_of(&unpaired, "m/quick/prefill/a"),
        Verdict::CannotTell { .. }
    ));
}

#[test]
fn what_the_candidate_lacks_is_absent_and_why() {
    let baseline = side("base", &[50_000, 50_100]);
    let mut candidate = side("cand", &[50_000, 50_100]);
    candidate[1].models[0].prompts[1].samples.clear();
    candidate[1].models[0].prompts[1].given_up = Some("it died twice".into());
    candidate[1].models[0].prompts[1].prompt_tokens = None;
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    assert_eq!(comparison.overall, Overall::Absent);
    assert_eq!(comparison.absent[0].id, "m/quick/*/b");
    assert!(
        comparison.absent[0].reason.contains("cand-1") && comparison.absent[0].reason.contains("died twice")
    );
    // What is left is of the same prompts on both sides.
    assert!(
        comparison
            .metrics
            .iter()
            .all(|judged| judged.metric.prompt.as_deref() != Some("b"))
    );
    candidate[0].suite.name = "other".into();
    candidate[1].suite.name = "other".into();
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    assert_eq!(
        (comparison.overall, comparison.absent[0].id.as_str()),
        (Overall::Absent, "*/quick")
    );
}

type Edit = fn(&mut RunRecord);

#[test]
fn what_must_be_equal_is_compared_by_name() {
    let baseline = side("base", &[50_000, 50_100]);
    let changes: [(Aspect, &str, Edit); 11] = [
        (Aspect::Model, "m: file", |run| {
            run.models[0].sha256 = "other".into();
        }),
        (Aspect::Suite, "quick", |run| run.suite.sha256 = "other".into()),
        (Aspect::Parameters, "embed_flash", |run| {
            run.parameters.embed_flash = Some(true);
        }),
        (Aspect::Parameters, "base_domain_id", |run| {
            run.parameters.base_domain_id = Some(0);
        }),
        (Aspect::Parameters, "max_context", |run| {
            run.parameters.max_context = 8192;
        }),
        (Aspect::Parameters, "threads", |run| {
            run.parameters.threads = Some(2);
        }),
        (
            Aspect::Parameters,
            "m/quick/a: [new tokens, sampling, depth, start]",
            |run| {
                run.models[0].prompts[0].max_new_tokens = 3;
            },
        ),
        (Aspect::Parameters, "m/quick/b: prompt tokens", |run| {
            run.models[0].prompts[1].prompt_tokens = Some(99);
        }),
        (Aspect::Runtime, "library", |run| {
            let loaded = run.models[0].loaded.as_mut().expect("loaded");
            scripted::library(loaded).library.name = "other".into();
        }),
        (Aspect::Soc, "cpu", |run| run.board.cpu = Some("other".into())),
        (Aspect::Soc, "cores", |run| run.board.cores = Some(8)),
    ];
    for (aspect, what, change) in changes {
        let mut candidate = side("cand", &[50_000, 50_100]);
        // One of the runs is enough.
        change(&mut candidate[1]);
        let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
        assert_eq!(comparison.overall, Overall::NotComparable, "{what}");
        assert!(comparison.metrics.is_empty());
        let named: Vec<_> = comparison
            .differences
            .iter()
            .map(|d| (d.aspect, d.what.as_str()))
            .collect();
        assert_eq!(named, [(aspect, what)]);
        let allowed = compare(&baseline, &candidate, &[], &[aspect], &Limits::new(0.05));
        assert_ne!(allowed.overall, Overall::NotComparable, "{what}");
        assert!(allowed.differences[0].allowed);
    }
}

#[test]
fn a_percentile_is_judged_only_where_the_data_carries_it() {
    let judges = |runs: usize, measure: &str| {
        let runs: Vec<RunRecord> = (0..runs)
            .map(|i| fixtures::run(&i.to_string(), &[(50 * MS, 10 * MS); 16]))
            .collect();
        let comparison = compare(&runs, &runs, &[], &[], &Limits::new(0.05));
        comparison
            .metrics
            .iter()
            .any(|judged| judged.id == format!("m/quick/{measure}"))
    };
    assert_eq!((judges(3, "gap_p90"), judges(4, "gap_p90")), (false, true));
    assert_eq!((judges(41, "gap_p99"), judges(42, "gap_p99")), (false, true));
}

#[test]
fn metrics_of_one_measurement_are_one_hypothesis() {
    let side = |us| side("x", us);
    let comparison = compare(
        &side(&[50_000, 50_100]),
        &side(&[51_000, 51_100]),
        &[],
        &[],
        &Limits::new(0.01),
    );
    let of_ttft = |judged: &&Judged| judged.id.contains("/ttft");
    assert_eq!(comparison.metrics.iter().filter(of_ttft).count(), 0);
    // prefill, decode, total for a, b and both; load, memory, worst gap.
    let hypotheses = 12.0;
    let smallest = comparison
        .metrics
        .iter()
        .filter_map(|judged| judged.p_worse)
        .fold(1.0, f64::min);
    let raw = {
        let values = |us: &[u32]| side_values(us);
        let (a, b) = (values(&[50_000, 50_100]), values(&[51_000, 51_100]));
        let variation = stats::variation(&[&a, &b]).expect("runs");
        stats::unpaired(&a, &b, &variation)
            .expect("runs")
            .p_above(0.01_f64.ln_1p())
    };
    assert!((smallest / raw - hypotheses).abs() < 1e-6, "{smallest} {raw}");
}

type OfJudged = fn(&Judged) -> Option<f64>;

/// The level of the test is half of `alpha` on each side, to the last bit.
#[test]
fn each_side_has_half_of_the_errors() {
    let (slow, fast) = (
        side("slow", &[55_000, 55_900, 54_700, 55_300]),
        side("fast", &[50_000, 50_700, 49_600, 50_100]),
    );
    let sides: [(_, _, OfJudged, _); 2] = [
        (&fast, &slow, |judged| judged.p_worse, Verdict::Regressed),
        (&slow, &fast, |judged| judged.p_better, Verdict::Improved),
    ];
    for (baseline, candidate, p_of, shown) in sides {
        let mut limits = Limits::new(0.03);
        let judged = |limits: &Limits| {
            let metrics = compare(baseline, candidate, &[], &[], limits).metrics;
            let is_prefill = |judged: &Judged| judged.id == "m/quick/prefill/a";
            metrics.into_iter().find(is_prefill).expect("judged")
        };
        let p = p_of(&judged(&limits)).expect("tested");
        assert!(p > 0.0 && p < 0.1, "{p}");
        limits.alpha = 2.0 * p;
        assert_eq!(judged(&limits).verdict, shown, "p = {p}");
        limits.alpha = (2.0 * p).next_down();
        assert_ne!(judged(&limits).verdict, shown, "p = {p}");
    }
}

fn side_values(ttft_us: &[u32]) -> Vec<RunValue> {
    let of = |us: &u32| RunValue::of(&[f64::from(*us) / 1000.0; 2]).expect("a value");
    ttft_us.iter().map(of).collect()
}

#[test]
fn the_same_input_gives_the_same_verdict_to_the_last_bit() {
    let baseline = side("base", &[50_000, 54_000, 46_000, 51_000]);
    let candidate = side("cand", &[51_000, 47_000, 50_000, 52_000]);
    let once = || {
        let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
        serde_json::to_string(&comparison).expect("JSON")
    };
    assert_eq!(once(), once());
    // In whatever order the runs come.
    let mut turned = baseline.clone();
    turned.reverse();
    let comparison = compare(&turned, &candidate, &[], &[], &Limits::new(0.05));
    assert_eq!(comparison.overall, Overall::CannotTell);
}

#[test]
fn limits_on_the_command_line() {
    assert_eq!("5%".parse(), Ok(Percent(0.05)));
    for wrong in ["5", "0.05", "-1%", "NaN%", "inf%", "x%"] {
        assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
    }
    let decode = PerPhase {
        measure: Measure::Decode,
        limit: Some(0.03),
    };
    assert_eq!("decode=3%".parse(), Ok(decode));
    assert_eq!(
        "decode=off".parse(),
        Ok(PerPhase {
            limit: None,
            ..decode
        })
    );
    let error = "decod=3%".parse::<PerPhase>().expect_err("no phase");
    assert!(error.contains("decod") && error.contains("gap_p90"), "{error}");
}

#[test]
fn a_candidate_that_was_not_loaded_is_absent_and_not_another_one() {
    let baseline = side("base", &[50_000, 50_100]);
    let mut candidate = baseline.clone();
    for run in &mut candidate {
        let model = &mut run.models[0];
        model.loaded = None;
        model.load_failure = Some(crate::inference::Failure::refused("no memory"));
        for prompt in &mut model.prompts {
            prompt.samples.clear();
            prompt.prompt_tokens = None;
        }
    }
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    assert_eq!(comparison.overall, Overall::Absent, "{comparison:#?}");
    assert!(comparison.absent[0].reason.contains("no memory"));
}

#[test]
fn the_time_of_a_run_is_what_its_models_took_and_a_pair_has_two() {
    let run = |index: u64, ended_ns: u64| {
        let mut run = side("run", &[50_000]).remove(0);
        run.run_id = format!("run-{index}");
        let first = &mut run.models[0].prompts[0].samples[0].inference;
        first.return_ns = first.return_ns.max(ended_ns);
        run
    };
    let seconds = |runs: &[RunRecord]| -> Vec<f64> {
        runs.iter()
            .map(|run| Summary::of(&run.models[0]).duration_s.expect("stamps"))
            .collect()
    };
    let (baseline, candidate) = (
        [run(0, 1_000 * MS), run(1, 1_000 * MS)],
        [run(2, 4_000 * MS), run(3, 4_000 * MS)],
    );
    let times = [seconds(&baseline), seconds(&candidate)].concat();
    let mean = times.iter().sum::<f64>() / 4.0;
    assert!(mean > 2.0, "{times:?}");
    let limits = Limits::new(0.05);
    let unpaired = compare(&baseline, &candidate, &[], &[], &limits).run_seconds;
    let paired = compare_pairs(&baseline, &candidate, &[], &limits).run_seconds;
    assert!(
        unpaired.is_some_and(|s| (s - mean).abs() < 1e-9),
        "{unpaired:?} {mean}"
    );
    assert!(
        paired.is_some_and(|s| (s - 2.0 * mean).abs() < 1e-9),
        "{paired:?} {mean}"
    );
}

#[test]
fn further_runs_narrow_the_interval_to_the_bound_and_no_more() {
    let tested = |baseline: usize, candidate: usize| {
        let values = |count: usize| side_values(&vec![50_000; count]);
        Tested {
            sides: Sides {
                metric: Metric {
                    model: "m".into(),
                    suite: "quick".into(),
                    measure: Measure::Decode,
                    prompt: None,
                },
                baseline: values(baseline),
                candidate: values(candidate),
                calibration: Vec::new(),
            },
            limit: 0.1_f64.exp_m1(),
            change: None,
            variation: None,
        }
    };
    // The bound is 0.1. Half a width of 0.2 about an estimate of 0 has to become half as wide: four times the pairs.
    let paired = Design::Paired { pairs: 10 };
    assert_eq!(tested(10, 10).further_runs((-0.2, 0.2), paired), Some(30));
    // The variance of a difference is 1/10 + 1/10; a quarter of it is less than the baseline's share alone.
    let unpaired = Design::Unpaired {
        baseline_runs: 10,
        candidate_runs: 10,
        calibration_runs: 0,
    };
    assert_eq!(tested(10, 10).further_runs((-0.2, 0.2), unpaired), None);
    // (1/10 + 1/1000) / 4 - 1/1000 = 0.02425: 42 runs, 32 more.
    assert_eq!(tested(1000, 10).further_runs((-0.2, 0.2), unpaired), Some(32));
    // At 0.1 the estimate lies on the bound.
    assert_eq!(tested(10, 10).further_runs((0.0, 0.2), paired), None);
}

#[test]
fn names_bounds_and_codes_are_those_of_the_reference() {
    use clap::ValueEnum as _;

    for aspect in Aspect::value_variants() {
        assert_eq!(Aspect::from_str(aspect.name(), false).as_ref(), Ok(aspect));
    }
    Aspect::from_str("weather", false).expect_err("no such difference");
    let bound = |measure| Limits::new(0.01).of(measure);
    assert_eq!(bound(Measure::GapP90), Some(0.10));
    assert_eq!(bound(Measure::GapP99), Some(0.25));
    assert_eq!(bound(Measure::Load), Some(0.25));
    assert_eq!(bound(Measure::WorstGap), Some(1.0));
    assert_eq!(bound(Measure::Decode), Some(0.01));
    let codes = [
        Overall::NoRegression,
        Overall::Regression,
        Overall::CannotTell,
        Overall::NotComparable,
        Overall::Absent,
    ]
    .map(Overall::exit_code);
    assert_eq!(codes, [0, 1, 2, 3, 4]);
}

#[test]
fn a_metric_needs_a_value_in_each_run_of_its_side() {
    let without_memory = |mut runs: Vec<RunRecord>| {
        let samples = runs[0].models[0]
            .prompts
            .iter_mut()
            .flat_map(|prompt| &mut prompt.samples);
        samples.for_each(|sample| sample.inference.peak_rss_bytes = None);
        runs
    };
    let of = |baseline: &[RunRecord], candidate: &[RunRecord]| {
        let comparison = compare(baseline, candidate, &[], &[], &Limits::new(0.05));
        let id = "m/quick/peak_memory";
        let is_judged = comparison.metrics.iter().any(|judged| judged.id == id);
        let is_absent = comparison.absent.iter().any(|absent| absent.id == id);
        (is_judged, is_absent)
    };
    let whole = |name| side(name, &[50_000, 50_100]);
    let lacks = |name| without_memory(whole(name));
    assert_eq!(of(&whole("base"), &whole("cand")), (true, false));
    // What the baseline does not have throughout cannot be asked of a candidate.
    assert_eq!(of(&lacks("base"), &whole("cand")), (false, false));
    assert_eq!(of(&whole("base"), &lacks("cand")), (false, true));
}

#[test]
fn a_percentile_is_judged_only_where_both_sides_carry_it() {
    let runs = |count: usize, name: &str| -> Vec<RunRecord> {
        (0..count)
            .map(|index| fixtures::run(&format!("{name}-{index}"), &[(50 * MS, 10 * MS); 16]))
            .collect()
    };
    let judges = |baseline: usize, candidate: usize| {
        let comparison = compare(
            &runs(baseline, "base"),
            &runs(candidate, "cand"),
            &[],
            &[],
            &Limits::new(0.05),
        );
        let of = |id: &str| id == "m/quick/gap_p90";
        assert!(!comparison.absent.iter().any(|absent| of(&absent.id)));
        comparison.metrics.iter().any(|judged| of(&judged.id))
    };
    assert!(judges(4, 4));
    assert!(!judges(3, 4));
    assert!(!judges(4, 3));
}

#[test]
fn a_gap_is_the_time_between_two_tokens_in_ms() {
    let runs: Vec<RunRecord> = (0..4)
        .map(|index| fixtures::run(&index.to_string(), &[(50 * MS, 7 * MS); 16]))
        .collect();
    let comparison = compare(&runs, &runs, &[], &[], &Limits::new(0.05));
    let of_gaps = |judged: &&Judged| judged.id == "m/quick/gap_p90";
    let judged = comparison.metrics.iter().find(of_gaps).expect("judged");
    assert!((judged.baseline - 7.0).abs() < 1e-9, "{}", judged.baseline);
}

#[test]
fn servers_of_other_software_or_another_api_are_not_compared() {
    let of_server = |software: &str, api: Api| {
        let mut runs = side(software, &[50_000, 50_100]);
        for run in &mut runs {
            let loaded = run.models[0].loaded.as_mut().expect("loaded");
            loaded.runtime = Runtime::Server(ServerIdentity {
                url: format!("http://{software}"),
                software: Some(software.into()),
                api,
                is_local: true,
                abilities: scripted::ABILITIES,
            });
        }
        runs
    };
    let differences = |candidate: &[RunRecord]| -> Vec<String> {
        let baseline = of_server("a", Api::Chat);
        let comparison = compare(&baseline, candidate, &[], &[], &Limits::new(0.05));
        comparison
            .differences
            .into_iter()
            .map(|difference| difference.what)
            .collect()
    };
    assert_eq!(differences(&of_server("a", Api::Chat)), Vec::<String>::new());
    assert_eq!(differences(&of_server("b", Api::Chat)), ["server"]);
    assert_eq!(differences(&of_server("a", Api::Completions)), ["api"]);
}
