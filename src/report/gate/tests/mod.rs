//! The formats on comparisons of known runs, and on comparisons made by hand for what runs seldom show.

mod json;
mod junit;
mod markdown;
mod text;

use super::*;
use crate::analysis::gate::{
    Absent, Aspect, Design, Difference, Estimate, Judged, Limits, Overall, Verdict, compare, compare_pairs,
};
use crate::analysis::metrics::{Measure, Metric};
use crate::record::{RunRecord, fixtures};

const MS: u64 = 1_000_000;
/// A name with all that a format may trip over.
const HOSTILE: &str = "a|b\\|c`d``e<b>&amp;\n\u{1b}[31m\u{0}\u{ffff}@me #1 *_~[x](y) ]]> \" '";

/// Runs of two samples each, TTFT by `ttft_us`, ten tokens 10 ms apart.
fn side(name: &str, ttft_us: &[u64]) -> Vec<RunRecord> {
    let run =
        |(index, us): (usize, &u64)| fixtures::run(&format!("{name}-{index}"), &[(us * 1000, 10 * MS); 2]);
    ttft_us.iter().enumerate().map(run).collect()
}

/// TTFT and prefill 10 % worse.
fn regression() -> Comparison {
    let baseline = side("base", &[50_000, 50_100, 50_200, 50_050]);
    let candidate = side("cand", &[55_000, 55_100, 55_200, 55_050]);
    compare(&baseline, &candidate, &[], &[], &Limits::new(0.05))
}

/// Too much noise to tell.
fn noise() -> (Vec<RunRecord>, Vec<RunRecord>) {
    (
        side("base", &[50_000, 54_000, 46_000, 51_000]),
        side("cand", &[51_000, 47_000, 50_000, 52_000]),
    )
}

/// Another context length in one run, another model file in all of them.
fn not_comparable() -> Comparison {
    let mut candidate = side("cand", &[50_000, 50_100]);
    candidate[1].parameters.max_context = 8192;
    for run in &mut candidate {
        run.models[0].sha256 = "ab".repeat(32);
    }
    let mut baseline = side("base", &[50_000, 50_100]);
    for run in &mut baseline {
        run.models[0].sha256 = "01".repeat(32);
    }
    compare(&baseline, &candidate, &[], &[Aspect::Model], &Limits::new(0.05))
}

/// A prompt that was given up, and one run a side.
fn absent() -> Comparison {
    let baseline = side("base", &[50_000]);
    let mut candidate = side("cand", &[50_100]);
    candidate[0].models[0].prompts[1].given_up = Some("it died twice".into());
    compare(&baseline, &candidate, &[], &[], &Limits::new(0.05))
}

/// A metric by hand, 3.1 % worse.
fn judged(model: &str, prompt: &str, verdict: Verdict) -> Judged {
    let metric = Metric {
        model: model.into(),
        suite: "quick".into(),
        measure: Measure::Decode,
        prompt: Some(prompt.into()),
    };
    Judged {
        id: metric.to_string(),
        unit: metric.measure.unit().into(),
        worse: metric.measure.worse(),
        metric,
        baseline: 12.5,
        candidate: 12.1,
        worse_by: Some(Estimate {
            estimate: 0.031,
            lower: 0.022,
            upper: 0.04,
        }),
        limit: 0.05,
        p_worse: Some(1.0),
        p_better: Some(1.0),
        deviation: None,
        verdict,
    }
}

fn by_hand(overall: Overall, metrics: Vec<Judged>) -> Comparison {
    Comparison {
        overall,
        design: Design::Paired { pairs: 6 },
        limits: Limits::new(0.05),
        metrics,
        absent: Vec::new(),
        differences: Vec::new(),
        disturbed: Vec::new(),
        run_seconds: None,
        notes: Vec::new(),
    }
}

/// Hostile names wherever a comparison has one.
fn hostile() -> Comparison {
    let of = |verdict| judged(HOSTILE, HOSTILE, verdict);
    let metrics = vec![
        of(Verdict::NotWorse),
        of(Verdict::Regressed),
        of(Verdict::Equivalent),
    ];
    let difference = |allowed| Difference {
        aspect: Aspect::Model,
        what: HOSTILE.into(),
        baseline: vec![HOSTILE.into(), "one".into()],
        candidate: vec![HOSTILE.into()],
        allowed,
    };
    Comparison {
        absent: vec![Absent {
            id: format!("{HOSTILE}/quick/*/{HOSTILE}"),
            reason: HOSTILE.into(),
        }],
        differences: vec![difference(true), difference(false)],
        notes: vec![HOSTILE.into()],
        ..by_hand(Overall::Regression, metrics)
    }
}

/// As many metrics of long names, of which `noteworthy` regressed.
fn many(count: usize, noteworthy: usize) -> Comparison {
    let name = "a-model-of-a-long-name-".repeat(4);
    let verdict = |index| {
        if index < noteworthy {
            Verdict::Regressed
        } else {
            Verdict::Equivalent
        }
    };
    let metrics = (0..count)
        .map(|index| judged(&name, &format!("prompt-{index}"), verdict(index)))
        .collect();
    by_hand(Overall::Regression, metrics)
}

fn all() -> Vec<Comparison> {
    let (baseline, candidate) = noise();
    vec![
        regression(),
        compare(&baseline, &candidate, &[], &[], &Limits::new(0.05)),
        compare_pairs(&baseline, &candidate, &[], &Limits::new(0.05)),
        not_comparable(),
        absent(),
        hostile(),
        many(100, 40),
        by_hand(Overall::CannotTell, Vec::new()),
    ]
}

#[test]
fn each_format_ends_its_last_line_and_says_the_same_twice() {
    for comparison in all() {
        for format in [Format::Text, Format::Markdown, Format::Json, Format::Junit] {
            let text = format.render(&comparison);
            assert!(
                text.ends_with('\n') && !text.ends_with("\n\n"),
                "{format:?}: {text}"
            );
            assert_eq!(text, format.render(&comparison));
        }
    }
}
