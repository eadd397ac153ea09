//! Text as it stands in the terminal.

use super::*;

#[test]
fn a_regression_comes_first() {
    assert_eq!(
        text(&regression()),
        "\
regression: 3 of 12 metrics got worse by more than their bound
4 runs of the baseline, 4 of the candidate

m/quick
metric       baseline → candidate  worse by                 bound  verdict
prefill      1997 → 1815 tok/s     +9.98 % [+9.67, +10.29]    5 %  regressed
prefill/a    1997 → 1815 tok/s     +9.98 % [+9.67, +10.29]    5 %  regressed
prefill/b    1997 → 1815 tok/s     +9.98 % [+9.67, +10.29]    5 %  regressed
decode       100.0 → 100.0 tok/s   0.00 % [-0.02, +0.02]      5 %  equivalent
decode/a     100.0 → 100.0 tok/s   0.00 % [-0.02, +0.02]      5 %  equivalent
decode/b     100.0 → 100.0 tok/s   0.00 % [-0.02, +0.02]      5 %  equivalent
total        140.1 → 145.1 ms      +3.57 % [+3.46, +3.68]     5 %  equivalent
total/a      140.1 → 145.1 ms      +3.57 % [+3.46, +3.68]     5 %  equivalent
total/b      140.1 → 145.1 ms      +3.57 % [+3.46, +3.68]     5 %  equivalent
load         1.000 → 1.000 ms      0.00 % [-0.02, +0.02]     25 %  equivalent
peak_memory  100.0 → 100.0 MB      0.00 % [-0.02, +0.02]      5 %  equivalent
worst_gap    10.00 → 10.00 ms      0.00 % [-0.02, +0.02]    100 %  equivalent

worse by: the change for the worse with its 95 % interval (negative is better);
a regression is called only where the whole interval lies past the bound, errors
controlled over all metrics
"
    );
}

#[test]
fn what_it_cannot_tell_of_comes_with_what_would_help() {
    let (baseline, candidate) = noise();
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    let pairs = compare_pairs(&baseline, &candidate, &[], &Limits::new(0.05));
    assert_eq!(
        tail(&comparison, "cannot tell:"),
        "  - prefill (3 metrics): more runs of the candidate alone would not decide; 14
    runs a side would be likely to; with a bound of 10 % this would have passed:
    --per-phase prefill=10%"
    );
    assert_eq!(
        tail(&pairs, "cannot tell:"),
        "  - prefill (3 metrics): about 29 further pairs would be likely to decide; with
    a bound of 16 % this would have passed: --per-phase prefill=16%
  - total (3 metrics): about 1 further pair would be likely to decide; with a
    bound of 5.5 % this would have passed: --per-phase total=5.5%"
    );
}

/// The section below `title`.
fn tail(comparison: &Comparison, title: &str) -> String {
    let text = text(comparison);
    let (_, tail) = text
        .split_once(&format!("\n\n{title}\n"))
        .unwrap_or_else(|| panic!("no {title} in {text}"));
    tail.split("\n\n").next().unwrap_or_default().to_owned()
}

/// The limits with the flags that are proposed.
fn with_flags(comparison: &Comparison) -> Limits {
    let mut limits = comparison.limits.clone();
    for line in advice::lines(comparison) {
        let Some((_, flag)) = line.rsplit_once("--per-phase ") else {
            continue;
        };
        for phase in flag.split(',') {
            let phase: crate::analysis::gate::PerPhase = phase.parse().expect("a phase and its bound");
            limits.per_phase.insert(phase.measure, phase.limit);
        }
    }
    limits
}

#[test]
fn the_bound_that_is_named_decides() {
    let (baseline, candidate) = noise();
    let judge = |limits: &Limits| compare(&baseline, &candidate, &[], &[], limits);
    let mut limits = with_flags(&judge(&Limits::new(0.05)));
    assert!(!limits.per_phase.is_empty());
    assert_eq!(judge(&limits).overall, Overall::NoRegression);
    // And no smaller one, in these steps, would.
    for bound in limits.per_phase.values_mut() {
        *bound = bound.map(|bound| bound - 0.01);
    }
    assert_eq!(judge(&limits).overall, Overall::CannotTell);
    // Where the bound was given by the name of the twin, too.
    let mut limits = Limits::new(0.05);
    limits.per_phase.insert(Measure::Ttft, Some(0.02));
    let limits = with_flags(&judge(&limits));
    assert!(limits.per_phase.contains_key(&Measure::Prefill));
    assert_eq!(judge(&limits).overall, Overall::NoRegression);
}

/// So much noise that nobody would fight it by runs.
fn wild() -> (Vec<RunRecord>, Vec<RunRecord>) {
    (
        side("base", &[50_000, 90_000, 20_000, 70_000]),
        side("cand", &[51_000, 20_000, 80_000, 52_000]),
    )
}

#[test]
fn nothing_is_proposed_that_nobody_would_do() {
    let (baseline, candidate) = wild();
    let limits = Limits::new(0.01);
    let alone = compare(&baseline, &candidate, &[], &[], &limits);
    let pairs = compare_pairs(&baseline, &candidate, &[], &limits);
    for comparison in [alone, pairs] {
        let text = text(&comparison);
        assert!(
            text.contains("too noisy here for a bound of 1 %; no sane"),
            "{text}"
        );
        assert!(text.contains("--per-phase prefill=off"), "{text}");
        assert!(text.contains("what helps against noise: "), "{text}");
        for flag in text.split("--per-phase ").skip(1) {
            let phase = flag.split_whitespace().next().expect("a phase");
            let phase: crate::analysis::gate::PerPhase = phase.parse().expect("a phase and its bound");
            assert!(phase.limit.is_none_or(|bound| bound <= 0.5), "{text}");
        }
        let limits = with_flags(&comparison);
        let again = compare(&baseline, &candidate, &[], &[], &limits);
        assert!(
            again
                .metrics
                .iter()
                .all(|judged| judged.metric.measure != Measure::Prefill)
        );
    }
}

#[test]
fn runs_that_would_take_hours_are_not_proposed() {
    let (baseline, candidate) = noise();
    let mut pairs = compare_pairs(&baseline, &candidate, &[], &Limits::new(0.05));
    // 29 pairs: 58 minutes, and an hour and a half.
    for (seconds, is_proposed) in [(120.0, true), (186.0, false)] {
        pairs.run_seconds = Some(seconds);
        let text = text(&pairs);
        assert_eq!(text.contains("about 29 further pairs"), is_proposed, "{text}");
        assert_eq!(text.contains("too noisy here"), !is_proposed, "{text}");
    }
}

#[test]
fn where_most_samples_were_disturbed_that_is_the_advice() {
    let (baseline, mut candidate) = noise();
    for prompt in candidate.iter_mut().flat_map(|run| &mut run.models[0].prompts) {
        for sample in &mut prompt.samples {
            sample.marks = vec![crate::record::ledger::Mark::Throttled];
        }
    }
    let comparison = compare(&baseline, &candidate, &[], &[], &Limits::new(0.05));
    let text = text(&comparison);
    assert_eq!(
        tail(&comparison, "disturbed:"),
        "  - candidate: 16 of 16 samples were disturbed (throttled), so the figures are
    not those of the model alone: let the machine cool down, or cool it better;
    then measure again"
    );
    assert!(
        !text.contains("further") && !text.contains("--per-phase"),
        "{text}"
    );
    assert!(markdown(&comparison).contains("**Disturbed**"));
}

#[test]
fn one_run_a_side_and_a_prompt_given_up() {
    assert_eq!(
        text(&absent()),
        "\
absent: the candidate lacks 1 prompt of the baseline (cannot tell: 6)
1 run of the baseline, 1 of the candidate

m/quick
metric       baseline → candidate  worse by  bound  verdict
prefill/a    2000 → 1996 tok/s     unknown     5 %  cannot tell
decode/a     100.0 → 100.0 tok/s   unknown     5 %  cannot tell
total/a      140.0 → 140.1 ms      unknown     5 %  cannot tell
load         1.000 → 1.000 ms      unknown    25 %  cannot tell
peak_memory  100.0 → 100.0 MB      unknown     5 %  cannot tell
worst_gap    10.00 → 10.00 ms      unknown   100 %  cannot tell

cannot tell:
  - 6 metrics: the variation between processes is unknown: take a further run on
    a side, or calibrate: repeat the runs of one program

absent:
  - m/quick/*/b: run cand-0: the prompt was given up: it died twice

worse by: the change for the worse with its 95 % interval (negative is better);
a regression is called only where the whole interval lies past the bound, errors
controlled over all metrics
"
    );
}

#[test]
fn what_differs_is_named_with_its_flag() {
    assert_eq!(
        text(&not_comparable()),
        "\
not comparable: the sides differ in parameters
2 runs of the baseline, 2 of the candidate

differences:
  - max_context: 512 → 512, 8192 (--allow parameters)

the experiment (--allow):
  - m: file: 010101010101… → abababababab…
"
    );
}

#[test]
fn long_tables_show_only_what_is_noteworthy() {
    let mut comparison = many(100, 0);
    comparison.metrics[70].verdict = Verdict::Improved;
    comparison.metrics[80].verdict = Verdict::Regressed;
    comparison.notes = vec!["something to know".into()];
    assert_eq!(
        text(&comparison),
        "\
regression: 1 of 100 metrics got worse by more than its bound
6 pairs of neighbouring runs

a-model-of-a-long-name-a-model-of-a-long-name-a-model-of-a-long-name-a-model-of-a-long-name-/quick
metric            baseline → candidate  worse by             bound  verdict
decode/prompt-80  12.50 → 12.10 tok/s   +3.1 % [+2.2, +4.0]    5 %  regressed
decode/prompt-70  12.50 → 12.10 tok/s   +3.1 % [+2.2, +4.0]    5 %  improved

and 98 metrics equivalent or not worse

notes:
  - something to know

worse by: the change for the worse with its 95 % interval (negative is better);
a regression is called only where the whole interval lies past the bound, errors
controlled over all metrics
"
    );
}

#[test]
fn models_have_tables_of_their_own() {
    let metrics = vec![
        judged("one", "a", Verdict::Equivalent),
        judged("one", "b", Verdict::Improved),
        judged("two", "a", Verdict::Regressed),
        judged("two", "b", Verdict::NotWorse),
    ];
    let text = text(&by_hand(Overall::Regression, metrics));
    let headings: Vec<&str> = text.lines().filter(|line| line.ends_with("/quick")).collect();
    assert_eq!(headings, ["two/quick", "one/quick", "two/quick"]);
}

#[test]
fn no_name_is_too_long_and_none_reaches_the_terminal_as_it_is() {
    let long = "x".repeat(150);
    let metrics = vec![judged(&long, &long, Verdict::Regressed)];
    let cases = [
        (hostile(), crate::report::words::plain(HOSTILE)),
        (by_hand(Overall::Regression, metrics), long),
        (many(100, 40), "a-model-of-a-long-name-".repeat(4)),
    ];
    for (comparison, name) in cases {
        let text = text(&comparison);
        crate::base::layout::assert_fits(&text, 80, &[&name]);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[test]
fn the_whole_in_one_sentence() {
    let of = |verdicts: &[Verdict]| {
        verdicts
            .iter()
            .map(|verdict| judged("m", "a", *verdict))
            .collect()
    };
    let undecided = Verdict::CannotTell { more: Some(3) };
    let lacking = |ids: &[&str], overall, verdicts: &[Verdict]| Comparison {
        absent: ids
            .iter()
            .map(|id| Absent {
                id: (*id).into(),
                reason: String::new(),
            })
            .collect(),
        ..by_hand(overall, of(verdicts))
    };
    let cases = [
        (
            by_hand(
                Overall::NoRegression,
                of(&[Verdict::Equivalent, Verdict::Improved]),
            ),
            "no regression: none of 2 metrics got worse by more than its bound, 1 got better",
        ),
        (
            lacking(
                &["m/quick/load"],
                Overall::Regression,
                &[Verdict::Regressed, undecided],
            ),
            "regression: 1 of 2 metrics got worse by more than its bound (cannot tell: 1, absent: 1)",
        ),
        (
            by_hand(Overall::CannotTell, of(&[undecided])),
            "cannot tell of 1 of 1 metric: too few runs, or too much variation between them",
        ),
        (
            by_hand(Overall::CannotTell, Vec::new()),
            "cannot tell: there is no metric to judge",
        ),
        (
            lacking(
                &["*/table", "m/quick/*/a", "m/quick/*/b", "m/quick/load"],
                Overall::Absent,
                &[undecided],
            ),
            "absent: the candidate lacks 1 suite, 2 prompts, 1 metric of the baseline (cannot tell: 1)",
        ),
    ];
    for (comparison, expected) in cases {
        assert_eq!(words::verdict(&comparison), expected);
    }
}
