//! Every figure under its name: of samples whose mean is not their median, so that no name can have another's value.

use serde_json::{Value, json};

use super::{assert_valid, json_of, page_of};
use crate::inference::{Input, RuntimeStats};
use crate::record::{RunRecord, fixtures};
use crate::report::{WIDTH, terminal};

/// One prompt of 100 tokens; ten tokens come after 20, 40 and 90 ms, then each 1, 2 and 4 ms; 100, 200 and 600 MB.
fn skewed() -> RunRecord {
    const MS: u64 = 1_000_000;
    let mut run = fixtures::run("one", &[(20 * MS, MS), (40 * MS, 2 * MS), (90 * MS, 4 * MS)]);
    let prompts = &mut run.models[0].prompts;
    prompts.truncate(1);
    prompts[0].name = "Alpha".into();
    prompts[0].input = Input::Text("Grüße".into());
    for (sample, megabytes) in prompts[0].samples.iter_mut().zip([100, 200, 600]) {
        sample.inference.peak_rss_bytes = Some(megabytes * 1_000_000);
        sample.inference.text = format!("answer of {megabytes}");
        sample.inference.stats = Some(RuntimeStats {
            prefill_time_ms: 19.5,
            prefill_tokens: 100,
            generate_time_ms: 9.25,
            generate_tokens: 10,
            memory_usage_mb: 7.0,
        });
    }
    run
}

/// Names and values are those expected, and there are no others; figures to nine digits.
#[track_caller]
fn assert_values(found: &Value, expected: &Value) {
    let (found, expected) = (
        found.as_object().expect("an object"),
        expected.as_object().expect("an object"),
    );
    let names = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (name, value) in expected {
        match (found[name].as_f64(), value.as_f64()) {
            (Some(found), Some(expected)) => {
                assert!(
                    (found - expected).abs() <= 1e-9 * expected.abs(),
                    "{name}: {found}, not {expected}"
                );
            }
            _ => assert_eq!(&found[name], value, "{name}"),
        }
    }
}

#[test]
fn the_summary_has_each_figure_under_its_name() {
    let document = json_of(&skewed());
    assert_valid(&document);
    // Totals are TTFT and nine gaps: 29, 58 and 126 ms. Rates are 1000, 500 and 250, and 5000, 2500 and 10000 / 9
    // tok/s.
    let expected = json!({
        "total_requests": 3,
        "successful_requests": 3,
        "failed_requests": 0,
        "avg_ttft_ms": 50.0,
        "min_ttft_ms": 20.0,
        "max_ttft_ms": 90.0,
        "median_ttft_ms": 40.0,
        "avg_total_time_ms": 71.0,
        "min_total_time_ms": 29.0,
        "max_total_time_ms": 126.0,
        "avg_tokens_per_second": 1750.0 / 3.0,
        "min_tokens_per_second": 250.0,
        "max_tokens_per_second": 1000.0,
        "median_tokens_per_second": 500.0,
        "avg_input_tokens_per_second": (7500.0 + 10000.0 / 9.0) / 3.0,
        "total_input_tokens": 300,
        "total_output_tokens": 30,
        "total_tokens": 330,
        "avg_memory_mb": 300.0,
        "max_memory_mb": 600.0,
        "model_name": "m",
        "timestamp": "2026-01-01T00:00:00Z",
        "duration_seconds": 0.126,
    });
    assert_values(&document["summary"], &expected);
}

#[test]
fn a_result_has_each_figure_under_its_name() {
    let document = json_of(&skewed());
    let expected = json!({
        "prompt_id": "a",
        "prompt_name": "Alpha",
        "prompt_length": 5,
        "ttft_ms": 40.0,
        "total_time_ms": 58.0,
        "prefill_time_ms": 19.5,
        "generate_time_ms": 9.25,
        "input_tokens": 100,
        "output_tokens": 10,
        "total_tokens": 110,
        "tokens_per_second": 500.0,
        "input_tokens_per_second": 2500.0,
        "memory_usage_mb": 200.0,
        "prompt_text": "Grüße",
        "response_text": "answer of 200",
        "success": true,
        "error_message": null,
        "sample": 2,
        "marks": [],
        "token_times_ms": [40.0, 42.0, 44.0, 46.0, 48.0, 50.0, 52.0, 54.0, 56.0, 58.0],
    });
    assert_values(&document["detailed_results"][1], &expected);
}

#[test]
fn the_terminal_and_the_page_have_each_figure_in_its_column() {
    let text = terminal::figures(&crate::report::models(&skewed()), WIDTH);
    let text = anstream::adapter::strip_str(&text).to_string();
    let page = page_of(&skewed());
    for (in_terminal, on_page) in [
        (
            "a          100      10  40.00     2500         500.0   4.000   600.0",
            "| `a` | 3 | 100 | 40.00 | 2500 | 500.0 | 4.000 | 600.0 |",
        ),
        (
            "TTFT ms             50.00   40.00    20.00    90.00",
            "| TTFT, ms | 50.00 | 40.00 | 20.00 | 90.00 |",
        ),
        (
            "total ms            71.00   58.00    29.00    126.0",
            "| total time, ms | 71.00 | 58.00 | 29.00 | 126.0 |",
        ),
        (
            "prefill tok/s        2870    2500     1111     5000",
            "| prefill, tok/s | 2870 | 2500 | 1111 | 5000 |",
        ),
        (
            "decode tok/s        583.3   500.0    250.0     1000",
            "| decode, tok/s | 583.3 | 500.0 | 250.0 | 1000 |",
        ),
        (
            "memory MB           300.0   200.0    100.0    600.0",
            "| peak memory, MB | 300.0 | 200.0 | 100.0 | 600.0 |",
        ),
        (
            "requests: 3 = 3 successful + 0 failed",
            "3 requests: 3 successful, 0 failed. 330 tokens: 300 read, 30 written.",
        ),
    ] {
        assert!(
            text.lines().any(|line| line == in_terminal),
            "{in_terminal}\nis not in\n{text}"
        );
        assert!(
            page.lines().any(|line| line == on_page),
            "{on_page}\nis not in\n{page}"
        );
    }
}
