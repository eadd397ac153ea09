//! Every text for a terminal with names as long and as odd as they come, at 80 and at 60 columns.

use std::path::PathBuf;

use super::terminal::{self, TimeSpent};
use super::{benchmark, calibration, compare, concurrency, gate, models, overhead};
use crate::analysis::compare::Source;
use crate::analysis::concurrency::Level;
use crate::analysis::figures::Interval;
use crate::analysis::gate::{Limits, fitness};
use crate::analysis::overhead::{Cost, OfPrompt, Overhead};
use crate::analysis::summary::Disturbance;
use crate::base::layout::assert_fits;
use crate::inference::Failure;
use crate::record::run_folder::Entry;
use crate::record::{RunRecord, fixtures};

const WIDTHS: [u16; 2] = [80, 60];
/// As users of Rockchip's boards have them, and of other scripts: wide, from right to left, without a width, with
/// blanks.
const MODELS: [&str; 4] = [
    "DeepSeek-R1-Distill-Qwen-1.5B_W8A8_G128_RK3588_ctx4096_opt1_hybrid0.5",
    "通义千问大语言模型-1.5B-W8A8-RK3588-优化等级1-混合比例0.5-上下文4096",
    "نموذج-لغوي-كبير-للقياس-RK3588-w8a8",
    "a model\u{200b} with blanks, of a folder's name that is rather long",
];
const PROMPTS: [&str; 2] = [
    "p512-warm_prefix-of-an-identifier-of-more-than-forty-characters",
    "请用简单的语言解释什么是量子计算以及它的用途",
];
const SUITE: &str = "a-suite-of-more-than-thirty-characters";

/// A run of samples as given in [`fixtures::run`], with these names.
fn run(id: &str, model: &str, samples: &[(u64, u64)]) -> RunRecord {
    let mut run = fixtures::run(id, samples);
    run.suite.name = SUITE.into();
    model.clone_into(&mut run.models[0].name);
    for (prompt, id) in run.models[0].prompts.iter_mut().zip(PROMPTS) {
        id.clone_into(&mut prompt.id);
    }
    run
}

fn noisy(model: &str, side: &str) -> Vec<RunRecord> {
    let run = |(index, ttft_us): (usize, &u64)| {
        run(
            &format!("{side}-{index}"),
            model,
            &[(ttft_us * 1000, 123_456_789); 2],
        )
    };
    let ttft_us = [50_000_000, 54_000_000, 46_000_000, 90_000_000];
    ttft_us.iter().enumerate().map(run).collect()
}

fn shown(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn the_end_of_a_run() {
    for model in MODELS {
        let mut run = run("one", model, &[(60_000_000_000, 123_456_789); 10]);
        run.models[0].prompts[0].given_up = Some("it died twice".into());
        run.models[0].unload_failure = Some(Failure::refused("no"));
        for width in WIDTHS {
            let text = shown(&terminal::figures(&models(&run), width));
            assert_fits(&text, width, &[model, PROMPTS[0], PROMPTS[1], "[8.100, 8.100]"]);
            let faults = crate::base::layout::message(width, &terminal::faults(&run));
            for line in faults.lines() {
                assert!(textwrap::core::display_width(line) <= 80, "{line}");
            }
            let path = PathBuf::from("/home/somebody/".to_owned() + &"deep/".repeat(20) + "page.md");
            let files = benchmark::Files {
                model: Some(model.into()),
                markdown: path.clone(),
                json: path.clone(),
            };
            let text = terminal::files(&[files], width);
            assert_fits(&text, width, &[model, path.to_str().expect("text")]);
            let spent = TimeSpent::default().to_string();
            assert_fits(
                &crate::base::layout::folded_to(width, &spent),
                width,
                &["0.0 s criterion"],
            );
        }
    }
}

#[test]
fn verdicts() {
    for model in MODELS {
        let (baseline, candidate) = (noisy(model, "base"), noisy(model, "cand"));
        let limits = Limits::new(0.05);
        let comparison = crate::analysis::gate::compare(&baseline, &candidate, &[], &[], &limits);
        let mut absent = candidate.clone();
        absent[0].models[0].prompts[1].given_up = Some("it died twice".into());
        let absent = crate::analysis::gate::compare(&baseline, &absent, &[], &[], &limits);
        let runs: Vec<&RunRecord> = baseline.iter().collect();
        let metrics = fitness(&runs, &limits);
        for width in WIDTHS {
            let heading = format!("{model}/{SUITE}");
            let names = [model, &heading, PROMPTS[0], PROMPTS[1], SUITE];
            for comparison in [&comparison, &absent] {
                let text = gate::Format::Text.render_within(comparison, width);
                assert_fits(&text, width, &names);
            }
            assert_fits(&calibration::table(&metrics, width), width, &names);
            let verdict = calibration::verdict(&metrics, &limits, &Disturbance::default(), width);
            assert_fits(&verdict, width, &names);
        }
    }
}

#[test]
fn models_beside_each_other() {
    let sources = MODELS.map(|model| Source {
        name: SUITE.into(),
        runs: noisy(model, model),
    });
    let comparison = crate::analysis::compare::compare(&sources);
    for width in WIDTHS {
        let text = compare::Format::Text.render_within(&comparison, width);
        let names: Vec<&str> = MODELS.into_iter().chain(PROMPTS).chain([SUITE]).collect();
        assert_fits(&text, width, &names);
    }
}

#[test]
fn what_a_server_does() {
    for model in MODELS {
        let percentiles = crate::analysis::concurrency::Percentiles {
            p50: Some(1234.5),
            p90: Some(12_345.6),
            p99: Some(123_456.7),
        };
        let level = |clients| Level {
            model: model.into(),
            clients,
            requests: 1234,
            failed: 12,
            seconds: Some(12.3),
            tokens_per_second: Some(1234.5),
            requests_per_second: Some(0.1234),
            ttft_ms: percentiles,
            inter_token_ms: percentiles,
        };
        for width in WIDTHS {
            let text = shown(&concurrency::text(&[level(1), level(16)], width));
            assert_fits(&text, width, &[model, "123457"]);
            assert_eq!(text.matches(model).count(), 1, "{text}");
        }
    }
    let cost = Some(Cost {
        pairs: 20,
        direct_ms: 12_345.6,
        server_ms: 123_456.7,
        added_ms: 12_345.6,
        interval: Interval {
            lower: 12_345.6,
            upper: 123_456.7,
        },
    });
    let prompts = PROMPTS.map(|id| OfPrompt {
        id: id.into(),
        direct_tokens: Some(1),
        server_tokens: Some(2),
        ttft: cost,
        per_token: cost,
    });
    let found = Overhead {
        prompts: prompts.into(),
        ttft: cost,
        per_token: cost,
        notes: Vec::new(),
    };
    for width in WIDTHS {
        let text = shown(&overhead::text(&found, width));
        assert_fits(&text, width, &[PROMPTS[0], PROMPTS[1], "[12346, 123457]"]);
    }
}

#[test]
fn the_runs_of_a_folder() {
    for model in MODELS {
        let mut filtered = run("20260101T000000Z-m-quick-aaaaaa", model, &[(1, 1)]);
        filtered.filter = Some(PROMPTS[1].into());
        let whole = run("20260101T000000Z-m-quick-bbbbbb", model, &[(1, 1)]);
        let entries = [&filtered, &whole].map(|run| Entry::of("run.json".as_ref(), run));
        for width in WIDTHS {
            let text = super::runs::text(&entries, width);
            assert_fits(&text, width, &[model, "aaaaaa", "bbbbbb", "filtered"]);
        }
    }
}
