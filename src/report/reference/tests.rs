use comrak::{Options, markdown_to_html};

use super::*;
use crate::analysis::reference::fixtures::run;
use crate::analysis::reference::judge;
use crate::record::RunRecord;
use crate::report::WIDTH;
use crate::runtime::engine::scripted;

const HOSTILE: &str = "Qwen2-0.5B_w8a8|`<b>&\n\u{1b}[31m\u{0}@me *x*";

/// Half the published TTFT's speed, 24 % of its rate.
fn slow() -> RunRecord {
    run(&[(291_800_000, 100_000_000)])
}

#[test]
fn a_slow_run_as_text() {
    let expected = "\
published figures (Rockchip rknn-llm 1.3.0, benchmark.md)

Qwen2-0.5B-w8a8-rk3588, p128-n64, beside Qwen2 0.5B w8a8 on RK3588
                  published  measured  share  verdict
  TTFT ms            145.90    291.80   50 %  half or less
  decode tok/s        41.58     10.00   24 %  half or less
  peak memory MB     669.56    100.00  670 %  above
what may make it slower:
  - CPU frequency: unknown; published at the highest; the SDK's fix_freq script
    sets it
    cat /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq
  - NPU frequency: unknown; published at the highest; the SDK's fix_freq script
    sets it
    cat /sys/class/devfreq/*.npu/cur_freq
  - DDR frequency: unknown; decode is bound by memory; the SDK's fix_freq script
    sets it
    cat /sys/class/devfreq/dmc/cur_freq
  - NPU cores: unknown; RK3588 has 3; a model is converted for a number of them
    echo exit | RKLLM_LOG_LEVEL=1 ./llm_demo <model> 64 512 | grep npu_core
  - optimisation level: unknown; not in the model's name; published at 0, and 1
    costs speed: optimization_level in the script that converted it
  - memory: fine; peak 100 MB of 8000 MB that the board has
  - other NPU users: unknown; camera and RKNN programs share the NPU; 0 % before
    a run
    sudo cat /sys/kernel/debug/rknpu/load
  - thermal throttling: unknown; clocks fall from 75 degrees on (RK3588,
    RK3576); in thousandths
    cat /sys/class/thermal/thermal_zone*/temp
  - CPU affinity: unknown; left to the runtime; --cpu-mask 0xF0 names the big
    cores
    echo exit | RKLLM_LOG_LEVEL=1 ./llm_demo <model> 64 512 | grep -i cpus
  - context window: unknown; 512 tokens; the published one is not stated, and a
    smaller one (--max-context) may be faster

share: of the published speed, more is better in every row. Published without
spread, at the highest CPU and NPU frequencies and optimisation level 0; memory
may not be the peak resident set that is measured here.

";
    assert_eq!(text(&judge(&slow()), WIDTH), expected);
}

#[test]
fn what_cannot_be_compared_says_why() {
    let mut other = slow();
    let mut unknown = other.models[0].clone();
    unknown.path = "Llama-3.2-3B_w8a8.rkllm".into();
    unknown.name = "llama".into();
    other.models[0].prompts[0].max_new_tokens = 32;
    other.models.push(unknown);
    let expected = "\
published figures (Rockchip rknn-llm 1.3.0, benchmark.md)

Qwen2-0.5B-w8a8-rk3588: Qwen2 0.5B w8a8 on RK3588 is published for 128 prompt
tokens and 64 new ones; this run has no such sample:
cargo bench --bench table -- --prompt-tokens 128 --new-tokens 64

llama: no figures; nothing is published for llama-3.2 3B

";
    let findings = judge(&other);
    assert_eq!(text(&findings, WIDTH), expected);
    let html = markdown_to_html(&markdown(&findings), &Options::default());
    assert!(
        html.contains("<p><code>llama</code>: no figures; nothing is published for llama-3.2 3B</p>"),
        "{html}"
    );
    assert!(
        html.contains("cargo bench --bench table -- --prompt-tokens 128 --new-tokens 64</p>"),
        "{html}"
    );
}

#[test]
fn doubts_and_what_was_not_measured_are_said() {
    let mut record = slow();
    record.models[0].path = "Qwen2.5-0.5B_w8a8.rkllm".into();
    record.models[0].prompts[0].samples[0].inference.peak_rss_bytes = None;
    let findings = judge(&record);
    let text = text(&findings, WIDTH);
    let doubt = "\
beside Qwen2 0.5B w8a8 on RK3588
doubtful:
  - published is Qwen2, of the same shape as Qwen2.5 at this size
";
    assert!(text.contains(doubt), "{text}");
    assert!(
        text.contains("\n  peak memory MB     669.56         -      -  not measured\n"),
        "{text}"
    );
    let page = markdown(&findings);
    assert!(page.contains("**Doubtful**\n\n- published is Qwen2,"), "{page}");
}

fn html_of(findings: &[Finding]) -> String {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.render.r#unsafe = true;
    markdown_to_html(&markdown(findings), &options)
}

#[test]
fn a_slow_run_as_markdown() {
    let html = html_of(&judge(&slow()));
    for part in [
        "<h2>Published figures</h2>",
        "<h3><code>Qwen2-0.5B-w8a8-rk3588</code>, <code>p128-n64</code></h3>",
        "<td>TTFT ms</td>\n<td align=\"right\">145.90</td>\n<td align=\"right\">291.80</td>\n<td align=\"right\">50 %</td>\n\
         <td>half or less</td>",
        "<li>memory: <strong>fine</strong>; peak 100 MB of 8000 MB that the board has</li>",
        "<code>cat /sys/class/devfreq/*.npu/cur_freq</code></li>",
        "| grep npu_core</code></li>",
    ] {
        assert!(html.contains(part), "no {part} in\n{html}");
    }
}

#[test]
fn no_name_breaks_a_line_or_becomes_markup() {
    let mut record = slow();
    let model = &mut record.models[0];
    model.name = HOSTILE.into();
    model.prompts[0].id = HOSTILE.into();
    let mut unmatched = model.clone();
    unmatched.path = "x".repeat(500).into();
    unmatched.name = "y".repeat(500);
    record.models.push(unmatched);
    let mut odd = record.models[0].clone();
    let runtime = scripted::library(odd.loaded.as_mut().expect("loaded"));
    runtime.version_line.as_mut().expect("printed").platform = Some(format!("ZX {HOSTILE}"));
    record.models.push(odd);
    let findings = judge(&record);
    assert_eq!(findings.len(), 3);
    let text = text(&findings, WIDTH);
    let name = crate::report::words::plain(HOSTILE);
    crate::base::layout::assert_fits(&text, WIDTH, &[&name, &"y".repeat(500)]);
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(control), "{text:?}");
    let page = markdown(&findings);
    assert!(!page.contains(control), "{page:?}");
    let html = html_of(&findings);
    for markup in ["<b>", "<em>", "</td>\n<td></td>"] {
        assert!(!html.contains(markup), "{markup} in\n{html}");
    }
}

#[test]
fn the_same_findings_are_the_same_bytes_and_json() {
    let (one, other) = (judge(&slow()), judge(&slow()));
    assert_eq!(
        (text(&one, WIDTH), markdown(&one)),
        (text(&other, WIDTH), markdown(&other))
    );
    let json = serde_json::to_value(&one).expect("JSON");
    let figures = &json[0]["outcome"]["compared"]["figures"];
    assert_eq!(figures[0]["quantity"], "ttft");
    assert_eq!(figures[0]["verdict"], "half_or_less");
    assert_eq!(json[0]["outcome"]["compared"]["checks"][5]["state"], "fine");
}

#[test]
fn nothing_to_say_is_nothing() {
    assert_eq!((text(&[], WIDTH), markdown(&[])), (String::new(), String::new()));
}
