use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, parse_document};
use serde_json::{Value, json};

use super::*;
use crate::base::foreign::Shown as _;
use crate::inference::Failure;
use crate::inference::{Inference, Input};
use crate::machine::doctor::{Item, Verdict};
use crate::machine::sampler::SamplerRecord;
use crate::record::ledger::{Mark, Rejection};
use crate::record::{Rejected, fixtures};
use crate::report::{WIDTH, terminal};

mod values;

/// Ends blocks of code and folds, opens tags, and takes a terminal over.
const HOSTILE: &str =
    "```\n````text\n</details>\n<script>alert(1)</script>\n| a | b |\n# no heading\n\u{1b}[2J~~~\r\n<!-- ";

/// A run of one model: two samples of prompt `a`, none of `b`, whose inferences were rejected and lost.
fn run() -> RunRecord {
    let mut run = fixtures::run("one", &[(20_000_000, 1_000_000), (40_000_000, 2_000_000)]);
    let [a, b] = run.models[0].prompts.as_mut_slice() else {
        unreachable!("two prompts")
    };
    a.samples[0].inference.text = "yes".into();
    a.samples[1].inference.text = "yes".into();
    for sample in &mut a.samples {
        shift(&mut sample.inference, 5_000_000);
    }
    let mut inference = b.samples[0].inference.clone();
    inference.stats = fixtures::sample().inference.stats;
    b.samples.clear();
    b.input = Input::Tokens(vec![5, 6]);
    b.rejected.push(Rejected {
        reason: Rejection::LateCallback,
        inference,
    });
    b.failures.push(Failure::refused("no | memory"));
    b.given_up = Some("twice in a row".into());
    run
}

/// The same inference at a later time.
fn shift(inference: &mut Inference, ns: u64) {
    inference.call_ns += ns;
    inference.return_ns += ns;
    for token in &mut inference.tokens {
        token.at_ns += ns;
    }
}

fn json_of(run: &RunRecord) -> Value {
    let mut bytes = Vec::new();
    json(&crate::report::models(run)[0], &mut bytes).expect("written");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/report.schema.json")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

#[track_caller]
fn assert_valid(document: &Value) {
    let faults: Vec<String> = schema()
        .iter_errors(document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn the_json_has_the_old_names_and_known_figures() {
    let document = json_of(&run());
    assert_valid(&document);
    let summary = &document["summary"];
    for (name, value) in [
        ("total_requests", json!(4)),
        ("successful_requests", json!(2)),
        ("failed_requests", json!(2)),
        ("avg_ttft_ms", json!(30.0)),
        ("min_ttft_ms", json!(20.0)),
        ("max_ttft_ms", json!(40.0)),
        ("median_ttft_ms", json!(30.0)),
        ("avg_total_time_ms", json!(43.5)),
        ("avg_tokens_per_second", json!(750.0)),
        ("median_tokens_per_second", json!(750.0)),
        ("avg_input_tokens_per_second", json!(3750.0)),
        ("total_input_tokens", json!(200)),
        ("total_output_tokens", json!(20)),
        ("total_tokens", json!(220)),
        ("max_memory_mb", json!(100.0)),
        ("model_name", json!("m")),
        ("timestamp", json!("2026-01-01T00:00:00Z")),
    ] {
        assert_eq!(summary[name], value, "{name}");
    }
    let results = document["detailed_results"].as_array().expect("a list");
    let outcome = |index: usize| {
        let result = &results[index];
        (
            &result["prompt_id"],
            &result["sample"],
            &result["success"],
            &result["error_message"],
        )
    };
    assert_eq!(results.len(), 4);
    assert_eq!(outcome(0), (&json!("a"), &json!(1), &json!(true), &json!(null)));
    assert_eq!(outcome(1), (&json!("a"), &json!(2), &json!(true), &json!(null)));
    let rejected = "rejected: a callback came after its run had returned";
    assert_eq!(
        outcome(2),
        (&json!("b"), &json!(null), &json!(false), &json!(rejected))
    );
    assert_eq!(
        outcome(3),
        (&json!("b"), &json!(null), &json!(false), &json!("no | memory"))
    );
    assert_eq!(results[0]["tokens_per_second"], json!(1000.0));
    assert_eq!(results[0]["input_tokens_per_second"], json!(5000.0));
    assert_eq!(results[0]["token_times_ms"][1], json!(21.0));
    for field in ["ttft_ms", "prefill_time_ms", "generate_time_ms", "token_times_ms"] {
        assert_eq!(
            results[2][field],
            json!(null),
            "no time of what was rejected: {field}"
        );
    }
    assert_eq!(results[3]["response_text"], json!(null));
}

#[test]
fn the_schema_knows_what_is_wrong() {
    let whole = json_of(&run());
    for (pointer, value) in [
        ("/summary/avg_ttft_ms", json!("NaN")),
        ("/summary/total_requests", json!(null)),
        ("/detailed_results/0/success", json!("yes")),
        ("/detailed_results/0/token_times_ms", json!([-1])),
        ("/rkllm_bench/schema_version", json!(2)),
        ("/rkllm_bench/status", json!("done")),
    ] {
        let mut document = whole.clone();
        *document.pointer_mut(pointer).expect(pointer) = value;
        assert!(!schema().is_valid(&document), "{pointer}");
    }
    let mut document = whole;
    document["summary"]
        .as_object_mut()
        .expect("an object")
        .remove("max_memory_mb");
    assert!(!schema().is_valid(&document));
}

#[test]
fn what_is_absent_is_null() {
    let mut run = run();
    run.models[0].prompts.clear();
    run.models[0].loaded = None;
    run.models[0].load_failure = Some(Failure::refused("no such file"));
    let page = Page::of(&page_of(&run));
    assert!(page.text.contains("not loaded: no such file"), "{}", page.text);
    let document = json_of(&run);
    assert_valid(&document);
    assert_eq!(document["summary"]["avg_ttft_ms"], json!(null));
    assert_eq!(document["summary"]["duration_seconds"], json!(null));
    assert_eq!(document["detailed_results"], json!([]));
}

/// What a reader of GitHub's Markdown finds.
#[derive(Default)]
struct Page {
    headings: Vec<String>,
    code: Vec<String>,
    html: Vec<String>,
    text: String,
}

impl Page {
    fn of(markdown: &str) -> Self {
        let arena = Arena::new();
        let mut options = Options::default();
        options.extension.table = true;
        options.extension.autolink = true;
        let mut page = Self::default();
        page.add(parse_document(&arena, markdown, &options));
        page
    }

    fn add<'a>(&mut self, node: &'a AstNode<'a>) {
        let mut heading = None;
        match &node.data.borrow().value {
            NodeValue::Heading(_) => heading = Some(self.text.len()),
            NodeValue::CodeBlock(block) => self.code.push(block.literal.clone()),
            NodeValue::HtmlBlock(block) => self.html.push(block.literal.clone()),
            NodeValue::HtmlInline(html) => self.html.push(html.clone()),
            NodeValue::Text(text) => self.text += text,
            NodeValue::Code(code) => self.text += &code.literal,
            _ => {}
        }
        for child in node.children() {
            self.add(child);
        }
        if let Some(start) = heading {
            self.headings.push(self.text[start..].to_owned());
        }
        self.text.push(' ');
    }
}

#[test]
fn the_page_has_configuration_summary_answers_and_failures() {
    let page = Page::of(&page_of(&run()));
    let headings: Vec<&str> = page.headings.iter().map(|heading| heading.trim()).collect();
    for heading in [
        "Summary",
        "Figures",
        "Failures",
        "Configuration",
        "Prompts and answers",
    ] {
        assert!(headings.contains(&heading), "{heading} in {headings:?}");
    }
    assert_eq!(page.code, ["text\n", "yes\n"], "prompt and answer, once");
    for part in [
        "4 requests: 2 successful, 2 failed",
        "the same in all 2 samples",
        "1 × rejected: a callback came after its run had returned",
        "1 × no | memory",
        "given up with 0 of 10 samples: twice in a row",
        "parameters.max_context",
        "512",
        "The prompt is 2 tokens given by their ids.",
        "There is no answer.",
    ] {
        assert!(page.text.contains(part), "{part:?} is not in {}", page.text);
    }
}

#[test]
fn the_page_and_the_terminal_say_what_the_machine_did() {
    let mut run = run();
    run.doctor = vec![Item::new("swap", Verdict::Bad, "512 MB of swap in use")];
    run.models[0].prompts[0].samples[0].marks = vec![Mark::Throttled];
    run.sampler = Some(SamplerRecord {
        interval_ms: 100,
        cpus: vec![4, 5],
        own_cpus: vec![0],
        ticks: 50,
        cpu_ns: 10_000_000,
        elapsed_ns: 5_000_000_000,
    });
    let page = Page::of(&page_of(&run)).text;
    let text = terminal::figures(&crate::report::models(&run), WIDTH);
    let marked = "marked samples: throttled 1 of 2 (50 %)";
    let cost = "sampler: 0.2 % of one core, 50 looks";
    for part in [
        "board: not fit: 512 MB of swap in use (rkllm-bench doctor)",
        marked,
        cost,
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    for part in [marked, cost] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(json_of(&run)["rkllm_bench"]["sampler"]["ticks"], 50);
}

#[test]
fn no_answer_breaks_the_page() {
    let plain = Page::of(&page_of(&run()));
    let mut run = run();
    let model = &mut run.models[0];
    model.name = HOSTILE.into();
    model.prompts[0].name = HOSTILE.into();
    model.prompts[0].input = Input::Text(HOSTILE.into());
    model.prompts[0].samples[0].inference.text = HOSTILE.into();
    model.prompts[0].samples[1].inference.text = HOSTILE.into();
    model.prompts[1].failures[0].message = HOSTILE.into();
    let text = page_of(&run);
    let page = Page::of(&text);
    assert_eq!(page.headings.len(), plain.headings.len());
    let shown = HOSTILE.replace("\r\n", "\n").replace('\u{1b}', "\u{fffd}") + "\n";
    assert_eq!(page.code, [shown.clone(), shown]);
    let tags: Vec<&str> = page.html.iter().map(|html| html.trim()).collect();
    assert!(
        tags.iter().all(|tag| ["<code>", "</code>"].contains(tag)),
        "{tags:?}"
    );
    assert!(!text.contains('\u{1b}'));
}

fn page_of(run: &RunRecord) -> String {
    markdown(&crate::report::models(run)[0])
}

#[test]
fn thinking_folds_away_and_other_answers_too() {
    let mut run = run();
    let samples = &mut run.models[0].prompts[0].samples;
    samples[0].inference.text = "<think>\n```</think>four".into();
    samples[1].inference.text = "five".into();
    let page = Page::of(&page_of(&run));
    assert_eq!(page.code, ["text\n", "\n```\n", "four\n", "five\n"]);
    let html = page.html.concat();
    let folds = html.matches("<details>").count();
    assert_eq!((folds, html.matches("</details>").count()), (2, 2), "{html}");
    assert!(
        html.contains("Thinking") && html.contains("Other answers: 1"),
        "{html}"
    );
    assert!(page.text.contains("of sample 1") && page.text.contains("of sample 2"));
}

#[test]
fn files_are_named_by_day_model_suite_and_nonce_and_always_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut run = run();
    let mut other = run.models[0].clone();
    other.name = "n".into();
    run.models.push(other);
    let files = write(&crate::report::models(&run), dir.path()).expect("written");
    assert_eq!(
        write(&crate::report::models(&run), dir.path()).expect("written again"),
        files
    );
    let pattern =
        regex::Regex::new("/(benchmark_20260101_[mn]|comparison_20260101)_quick_[0-9a-f]{6}\\.(md|json)$")
            .expect("a pattern");
    for file in files.iter().flat_map(|files| [&files.markdown, &files.json]) {
        assert!(pattern.is_match(&file.shown().to_string()), "{}", file.shown());
        assert!(file.is_file());
    }
    let made = std::fs::read_dir(dir.path()).expect("listed").count();
    assert_eq!(
        made, 6,
        "two files for each of two models, and two that compare them"
    );
    let text = std::fs::read_to_string(&files[2].markdown).expect("read");
    assert_eq!(files[2].model, None);
    assert!(text.contains("`m`") && text.contains("`n`"), "{text}");
}

#[test]
fn checks_stand_in_both_and_in_the_terminal() {
    let mut run = run();
    let model = &mut run.models[0];
    model.random_weights = false;
    model.prompts[0].checks = vec![
        crate::inputs::prompts::Check::Words {
            min: Some(2),
            max: None,
        },
        crate::inputs::prompts::Check::Words {
            min: None,
            max: Some(1),
        },
    ];
    let document = json_of(&run);
    assert_valid(&document);
    let checks = document["rkllm_bench"]["prompts"][0]["checks"]
        .as_array()
        .expect("a list");
    let verdicts: Vec<_> = checks.iter().map(|check| check["verdict"].clone()).collect();
    assert_eq!(
        verdicts,
        [json!("pass"), json!("fail"), json!("pass")],
        "same text, then the words"
    );
    let page = Page::of(&page_of(&run));
    assert!(
        page.text.contains("✅ pass") && page.text.contains("❌ fail"),
        "{}",
        page.text
    );
    let text = terminal::figures(&crate::report::models(&run), WIDTH);
    assert!(text.contains("2 pass, 1 fail"), "{text}");
    assert!(text.contains("failed checks:\n  - a words"), "{text}");
    run.models[0].random_weights = true;
    let text = terminal::figures(&crate::report::models(&run), WIDTH);
    assert!(!text.contains("checks"), "random text is not judged: {text}");
    let page = page_of(&run);
    assert!(
        !page.contains("❌") && page.contains("weights are random"),
        "{page}"
    );
}

/// What a person sees after a run, to the last column.
#[test]
fn the_terminal_shows_a_table_and_a_summary_of_80_columns() {
    let text = terminal::figures(&crate::report::models(&run()), WIDTH);
    let plain = anstream::adapter::strip_str(&text).to_string();
    let lines: Vec<&str> = plain.lines().collect();
    assert_eq!(
        lines[2..],
        [
            "m: medians of 0 to 2 samples a prompt",
            "prompt  tokens  tokens   TTFT  prefill        decode   worst  memory",
            "            in     out     ms    tok/s  tok/s [95 %]  gap ms      MB",
            "a          100      10  30.00     3750         750.0   2.000   100.0",
            "b          100       -      -        -             -       -       -",
            "random weights: the speed is real, the text means nothing",
            "",
            "over all prompts  average  median  minimum  maximum",
            "TTFT ms             30.00   30.00    20.00    40.00",
            "total ms            43.50   43.50    29.00    58.00",
            "prefill tok/s        3750    3750     2500     5000",
            "decode tok/s        750.0   750.0    500.0     1000",
            "memory MB           100.0   100.0    100.0    100.0",
            "requests: 4 = 2 successful + 2 failed",
            "tokens: 220 = 200 in + 20 out",
            "marked samples: none of 2; not seen: throttled, lower_frequency, other_process",
            "",
        ]
    );
    let mut long = run();
    long.models[0].prompts[0].id = "x".repeat(64);
    let samples = vec![long.models[0].prompts[0].samples[0].clone(); 10];
    long.models[0].prompts[0].samples = samples;
    let text = terminal::figures(&crate::report::models(&long), WIDTH);
    let plain = anstream::adapter::strip_str(&text).to_string();
    crate::base::layout::assert_fits(&plain, WIDTH, &[&"x".repeat(64)]);
    assert!(text.contains("1000 [1000, 1000]"), "{text}");
}
