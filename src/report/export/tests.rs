//! The formats, read as their consumers read them.

use serde_json::{Value, json};

use super::*;
use crate::inference::{CacheSetUp, CacheStart, Input, PrefixSource};
use crate::record::fixtures;

const MS: u64 = 1_000_000;
const HOSTILE: &str = "=a|b`<b>\n\u{1b}[31m\u{0}@me,\"x\"";

/// Two samples: 100 prompt tokens in 40 and in 50 ms, then nine steps of 10 ms.
fn run(id: &str) -> RunRecord {
    fixtures::run(id, &[(40 * MS, 10 * MS), (50 * MS, 10 * MS)])
}

fn hostile() -> RunRecord {
    let mut run = run(HOSTILE);
    run.suite.name = HOSTILE.into();
    run.models[0].name = HOSTILE.repeat(50);
    run.models[0].prompts[0].id = HOSTILE.into();
    run.models[0].prompts[1].samples.clear();
    run.models[0].prompts[0].prompt_tokens = None;
    run
}

fn inputs() -> Vec<Vec<RunRecord>> {
    vec![vec![], vec![run("1")], vec![run("1"), run("2")], vec![hostile()]]
}

#[track_caller]
fn valid(schema: &str, text: &str) -> Value {
    let schema: Value = serde_json::from_str(schema).expect("a schema");
    let value: Value = serde_json::from_str(text).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{text}");
    value
}

#[track_caller]
fn assert_near(value: &Value, expected: f64) {
    let value = value.as_f64().expect("a number");
    assert!((value / expected - 1.0).abs() < 1e-9, "{value}, not {expected}");
}

const GITHUB: &str = include_str!("../../../tests/fixtures/exports/github-action-benchmark.schema.json");
const BENCHER: &str = include_str!("../../../tests/fixtures/exports/bencher.schema.json");

#[test]
fn github_action_benchmark_has_one_direction() {
    for runs in inputs() {
        let entries = valid(GITHUB, &github_action_benchmark(&runs));
        for entry in entries.as_array().expect("an array") {
            let unit = entry["unit"].as_str().expect("a text");
            assert!(["ms", "MB", "ms/token"].contains(&unit), "{entry}");
        }
    }
    let entries = valid(GITHUB, &github_action_benchmark(&[run("1")]));
    let entry = |name: &str| {
        let all = entries.as_array().expect("an array");
        all.iter().find(|entry| entry["name"] == name).expect(name)
    };
    let ttft = entry("m/quick/ttft/a");
    // sqrt(40 * 50); its logarithms are ln(5 / 4) apart, so their deviation is ln(5 / 4) / sqrt(2) = 0.15778632.
    assert_near(&ttft["value"], 44.721_359_549_995_8);
    assert_eq!(ttft["range"], "± 7.056");
    assert_eq!(ttft["extra"], "runs: 1\nsamples: 2");
    // 100 tokens in that time.
    let prefill = entry("m/quick/prefill/a");
    assert_near(&prefill["value"], 0.447_213_595_499_958);
    assert_eq!(
        (&prefill["unit"], &prefill["range"]),
        (&"ms/token".into(), &"± 0.071".into())
    );
}

#[test]
fn bencher_metric_format() {
    for runs in inputs() {
        valid(BENCHER, &bencher(&runs));
    }
    let all = valid(BENCHER, &bencher(&[run("1")]));
    let ttft = &all["m/quick/a"]["ttft-ms"];
    assert_near(&ttft["value"], 44.721_359_549_995_8);
    // By exp(ln(5 / 4) / sqrt(2)) up and down.
    assert_near(&ttft["upper_value"], 44.721_359_549_995_8 * 1.170_915_964_7);
    assert_near(&ttft["lower_value"], 44.721_359_549_995_8 / 1.170_915_964_7);
    assert_near(&all["m/quick"]["load-ms"]["value"], 1.0);
    assert_eq!(all["m/quick"]["load-ms"].get("lower_value"), None);
    // 100 tokens in 40 and in 50 ms.
    assert_near(
        &all["m/quick/a"]["prefill-tok-per-s"]["value"],
        2_236.067_977_499_79,
    );
}

#[test]
fn names_that_bencher_would_refuse_are_cut_and_stay_apart() {
    let of = |ending: &str| {
        let mut run = run("1");
        run.models[0].name = format!("{}{ending}", "ä".repeat(600));
        bencher(&[run])
    };
    let (a, b) = (valid(BENCHER, &of("a")), valid(BENCHER, &of("b")));
    let names = |value: &Value| {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(
        names(&a)
            .iter()
            .all(|name| name.len() <= 1024 && !names(&b).contains(name))
    );
    assert_eq!(names(&a).len(), 3);
}

#[test]
fn runs_of_a_suite_are_one_figure() {
    let mut second = run("2");
    second.models[0].loaded.as_mut().expect("loaded").load_ns = 4 * MS;
    let all = valid(BENCHER, &bencher(&[run("1"), second]));
    // sqrt(1 * 4)
    assert_near(&all["m/quick"]["load-ms"]["value"], 2.0);
    assert!(all["m/quick"]["load-ms"]["lower_value"].is_number());
}

#[test]
fn a_prompt_that_did_not_begin_cold_is_in_no_mean_and_passes_for_no_cold_one() {
    let mut run = run("1");
    let prompt = &mut run.models[0].prompts[1];
    prompt.id = "b-warm_prefix".into();
    prompt.cache_start = CacheStart::WarmPrefix(Input::Text("te".into()));
    for sample in &mut prompt.samples {
        sample.inference.set_up = Some(CacheSetUp {
            source: PrefixSource::Run,
            prompt_tokens: 110,
            prefix_tokens: 10,
            cleared_to: Some(0),
        });
    }
    run.check().expect("a record that can be");
    let runs = [run];
    let benchmarks = valid(BENCHER, &bencher(&runs));
    let measures = |benchmark: &str| {
        let measures = benchmarks[benchmark].as_object().expect("a benchmark");
        measures
            .keys()
            .filter(|key| !key.starts_with("peak"))
            .cloned()
            .collect::<Vec<_>>()
    };
    let own = ["decode-tok-per-s", "prefill-tok-per-s", "total-ms", "ttft-ms"];
    assert_eq!(measures("m/quick/b-warm_prefix"), own);
    assert_eq!(
        measures("m/quick"),
        ["decode-tok-per-s", "load-ms", "worst-gap-ms"]
    );
    assert_eq!(rows(&llama_bench_jsonl(&runs, None)).len(), 2, "the cold one's");
    let starts: Vec<String> = csv(&runs)
        .lines()
        .map(|row| row.split(',').nth(8).expect("a cell").to_owned())
        .collect();
    assert_eq!(
        starts,
        ["cache_start", "cold", "cold", "warm_prefix", "warm_prefix"]
    );
}

/// What compare-llama-bench.py of llama.cpp demands of each row (its `LLAMA_BENCH_KEY_PROPERTIES` and three more).
const DEMANDED: &str = "cpu_info gpu_info backends n_gpu_layers n_cpu_moe tensor_buft_overrides model_filename model_type \
    n_batch n_ubatch embeddings cpu_mask cpu_strict poll n_threads type_k type_v load_mode no_kv_offload split_mode main_gpu \
    tensor_split flash_attn n_prompt n_gen n_depth fit_target fit_min_ctx build_commit test_time avg_ts";

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn llama_bench_rows_have_what_its_script_demands_and_no_null() {
    for runs in inputs() {
        for row in rows(&llama_bench_jsonl(&runs, None)) {
            for key in DEMANDED.split_whitespace() {
                assert!(row.get(key).is_some_and(|value| !value.is_null()), "{key}: {row}");
            }
            for key in [
                "n_prompt",
                "n_gen",
                "n_depth",
                "avg_ns",
                "model_size",
                "n_gpu_layers",
            ] {
                assert!(row[key].is_u64(), "{key}: {row}");
            }
        }
    }
}

#[test]
fn llama_bench_has_prefill_and_decode_as_rows_of_their_own() {
    let rows = rows(&llama_bench_jsonl(&[run("1")], Some("abc")));
    assert_eq!(rows.len(), 4);
    let (prefill, decode) = (&rows[0], &rows[1]);
    assert_eq!(prefill["build_commit"], "abc");
    assert_eq!(
        [&prefill["n_prompt"], &prefill["n_gen"], &prefill["n_depth"]],
        [100, 0, 0]
    );
    assert_eq!(prefill["samples_ns"], json!([40_000_000, 50_000_000]));
    assert_eq!(prefill["avg_ns"], 45_000_000);
    // 10 ms / sqrt(2)
    assert_eq!(prefill["stddev_ns"], 7_071_068);
    // 2500 and 2000 tok/s
    assert_near(&prefill["avg_ts"], 2250.0);
    assert_near(&prefill["stddev_ts"], 353.553_390_593_273_8);
    // Nine steps of 10 ms behind the prompt.
    assert_eq!(
        [&decode["n_prompt"], &decode["n_gen"], &decode["n_depth"]],
        [0, 9, 100]
    );
    assert_near(&decode["avg_ts"], 100.0);
    assert_eq!(decode["avg_ns"], 90_000_000);
}

#[test]
fn answers_of_another_length_are_a_row_of_their_own() {
    let mut run = run("1");
    run.models[0].prompts.truncate(1);
    run.models[0].prompts[0]
        .samples
        .push(fixtures::sample_of(&[40 * MS, 60 * MS, 80 * MS]));
    let rows = rows(&llama_bench_jsonl(&[run], None));
    let lengths: Vec<(&Value, Option<&Value>)> = rows
        .iter()
        .map(|row| (&row["n_gen"], row.get("stddev_ns")))
        .collect();
    assert_eq!(lengths[1], (&json!(2), None), "one sample has no deviation");
    assert_eq!(*lengths[2].0, 9);
    assert_near(&rows[1]["avg_ts"], 50.0);
}

#[test]
fn csv_is_a_row_a_sample() {
    for runs in inputs() {
        let samples: usize = runs
            .iter()
            .flat_map(|run| &run.models[0].prompts)
            .map(|prompt| prompt.samples.len())
            .sum();
        let text = csv(&runs);
        let read: Vec<_> = ::csv::Reader::from_reader(text.as_bytes())
            .into_records()
            .map(|row| row.expect("a row"))
            .collect();
        assert_eq!(read.len(), samples);
        assert!(
            read.iter()
                .flatten()
                .all(|cell| !cell.starts_with(['=', '+', '-', '@']))
        );
    }
    let text = csv(&[run("1")]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[2],
        "1,2026-01-01T00:00:00Z,quick,m,scripted,a,2,0,cold,100,10,50,2000,100,140,10,1,100,,,"
    );
    let hostile = csv(&[hostile()]);
    let row = ::csv::Reader::from_reader(hostile.as_bytes())
        .into_records()
        .next()
        .expect("a row")
        .expect("a row");
    assert_eq!(
        (&row[0], &row[9], &row[12]),
        (format!("'{HOSTILE}").as_str(), "", "")
    );
}
