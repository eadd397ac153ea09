//! What `scripts/agree-with-llama-bench` makes of pairs that were recorded, its statistics and its exit status, and what it
//! reads of a run of ours. llama-bench itself takes a build of llama.cpp, so it is not run here.

#![allow(clippy::expect_used, reason = "a test")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use common::{command, run, text_of};
use serde_json::{Value, json};

/// Percent, one a pair. Known of them: the estimate 0.79 and the 95 % interval from 0.18 to 1.315, by the exact distribution of signed ranks
/// (the tests of `stats::paired` have them too).
const DIFFERENCES: [f64; 16] = [
    1.21, -0.43, 0.94, 2.15, 0.36, -1.17, 1.78, 0.82, 0.65, 1.42, -0.29, 1.99, 0.51, 1.13, -0.74, 1.34,
];

/// A recording of these pairs. With `pairs_at_most` 32 it is looked twice, so an interval has 95 %.
fn recording(share_in_llama_decode: f64, pairs_at_most: u32) -> Value {
    recording_of(&DIFFERENCES, share_in_llama_decode, pairs_at_most)
}

fn recording_of(differences: &[f64], share_in_llama_decode: f64, pairs_at_most: u32) -> Value {
    let pair = |percent: &f64| {
        let theirs = 1e6 * (percent / 100.0).exp();
        json!({
            "cpus_of_others": 0.0,
            // The fastest of a process counts.
            "ours": {"prefill_ns": [1e6, 4e6], "prefill_logits_ns": [1e6, 4e6], "decode_ns": [4e6, 1e6]},
            "theirs": {"prefill_ns": [theirs * 9.0, theirs], "decode_ns": [theirs, theirs * 9.0]},
        })
    };
    json!({
        "shape": {"model": "m.gguf", "prompt_tokens": 128, "new_tokens": 64, "threads": 1, "samples": 2},
        "ours": "of one revision", "theirs": "of another", "cpu_features": "AVX2 = 1",
        "share_in_llama_decode": share_in_llama_decode,
        "pairs_at_most": pairs_at_most,
        "pairs": differences.iter().map(pair).collect::<Vec<_>>(),
        // These would change any ratio, and are not judged.
        "disturbed": [pair(&50.0), pair(&50.0), pair(&50.0), pair(&50.0)],
    })
}

fn judge(recording: &Value, arguments: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), recording.to_string()).expect("written");
    script(
        &[
            &["--from", file.path().to_str().expect("a plain path")],
            arguments,
        ]
        .concat(),
    )
}

fn script(arguments: &[&str]) -> Output {
    run(command(Path::new("scripts/agree-with-llama-bench")).args(arguments))
}

#[track_caller]
fn ends_with(output: &Output, code: i32, texts: &[&str]) {
    let text = text_of(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for wanted in texts {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }
}

/// In llama-bench's place: the nth test takes n us a token.
#[cfg(feature = "host")]
const LLAMA_BENCH: &str = r#"#!/usr/bin/env python3
import json, sys
option = dict(zip(sys.argv[1::2], sys.argv[2::2]))
prompts, answers = ([int(size) for size in option[name].split(",")] for name in ("-p", "-n"))
for test in range(max(len(prompts), len(answers))):
    done = {"n_prompt": prompts[0], "n_gen": answers[0], "n_depth": int(option["-d"]), "n_threads": int(option["-t"])}
    took = (test + 1) * 1000 * (prompts[0] + answers[0])
    print(json.dumps({**done, "build_commit": "abc", "samples_ns": [took]}), flush=True)
"#;

/// Has the script take a pair, and prints what it found.
#[cfg(feature = "host")]
const TAKE_PAIR: &str = r#"
import importlib.machinery, importlib.util, json, pathlib, sys
sys.dont_write_bytecode = True
script, bench, model, folder = sys.argv[1:]
loader = importlib.machinery.SourceFileLoader("agree", script)
agree = importlib.util.module_from_spec(importlib.util.spec_from_loader("agree", loader))
loader.exec_module(agree)
shape = {"model": model, "prompt_tokens": 16, "new_tokens": 4, "threads": 1, "samples": 2}
programs = {"ours": bench, "theirs": f"{folder}/llama-bench"}
pair, runtime, commit = agree.take_pair(programs, shape, pathlib.Path(folder))
print(json.dumps([pair, agree.feature_set(runtime["cpu_features"]), commit]))
"#;

#[cfg(feature = "host")]
#[test]
fn a_pair_has_the_samples_of_both_from_the_same_turns() {
    use std::os::unix::fs::PermissionsExt;

    use common::host::{MODEL, TABLE, turn};

    let folder = tempfile::tempdir().expect("a folder");
    let fake = folder.path().join("llama-bench");
    std::fs::write(&fake, LLAMA_BENCH).expect("written");
    std::fs::set_permissions(&fake, PermissionsExt::from_mode(0o755)).expect("executable");
    let mut python = command("python3");
    python
        .args(["-c", TAKE_PAIR, "scripts/agree-with-llama-bench"])
        .arg(&*TABLE)
        .arg(&*MODEL)
        .arg(folder.path());
    let _turn = turn();
    let output = run(&mut python);
    let text = text_of(&output);
    assert!(output.status.success(), "{text}");
    let (pair, features, commit): (Value, Vec<String>, String) =
        serde_json::from_slice(&output.stdout).expect("JSON");
    let figures = |side: &str, name: &str| -> [f64; 2] {
        serde_json::from_value(pair[side][name].clone()).expect("two numbers")
    };
    for name in ["prefill_ns", "prefill_logits_ns", "decode_ns"] {
        assert!(figures("ours", name).iter().all(|ns| *ns > 0.0), "{text}");
    }
    for name in ["prefill_ns", "decode_ns"] {
        let [first, second] = figures("theirs", name);
        assert!((second - first - 1000.0).abs() < 1e-6, "{text}");
        assert!(first > 1000.0, "what ran beside our warm-up is no sample: {text}");
    }
    assert!(!features.is_empty() && commit == "abc", "{text}");
}

#[test]
fn the_interval_is_that_of_the_signed_ranks() {
    let output = judge(&recording(1.0, 32), &[]);
    ends_with(&output, 0, &["the two agree within 3.0%"]);
    let text = text_of(&output);
    for (line, count) in [
        ("ours / llama-bench 1.0079, ", 4),
        ("within 3.0%: shown by 95.0% [1.0018, 1.0132]", 4),
        // The whole interval is to lie within 1 %, not the estimate alone.
        ("goal 1%: not met", 4),
        ("ours 1000.0 tok/s", 4),
        // Geometric means: 3 · 1.0079 / 2.
        ("by the means of all samples 1.5119, ", 4),
    ] {
        assert_eq!(text.matches(line).count(), count, "{line} in:\n{text}");
    }
}

#[test]
fn looks_share_the_error() {
    // The interval of 90 % stands beside the one that is judged by; that of the means is a third.
    let intervals = |pairs_at_most| {
        let text = text_of(&judge(&recording(1.0, pairs_at_most), &[]));
        let ends = text.split('[').skip(1).filter_map(|rest| rest.split(']').next());
        ends.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(intervals(16).len(), 2);
    assert_eq!(intervals(32).len(), 3);
}

#[test]
fn one_ratio_that_is_not_shown_is_enough() {
    // Less 3 % of its time, our decode is 1.0079 / 0.97 as fast.
    let output = judge(&recording(0.97, 32), &[]);
    ends_with(
        &output,
        1,
        &["ours / llama-bench 1.0391", "agreement is not shown within 3.0%"],
    );
    assert_eq!(text_of(&output).matches("NOT SHOWN").count(), 1);
    // Bounds on either side of the interval's end, 1.0132.
    ends_with(
        &judge(&recording(1.0, 32), &["--bound", "1.3%"]),
        1,
        &["NOT SHOWN"],
    );
    ends_with(&judge(&recording(1.0, 32), &["--bound", "1.4%"]), 0, &[]);
}

#[test]
fn slower_is_held_to_the_bound_as_faster_is() {
    let slower = recording_of(&DIFFERENCES.map(|percent| -percent), 1.0, 32);
    // exp(-0.01315) is 0.98694.
    ends_with(&judge(&slower, &["--bound", "1.3%"]), 1, &["[0.9869, 0.9982]"]);
    ends_with(&judge(&slower, &["--bound", "1.4%"]), 0, &[]);
}

#[test]
fn what_cannot_be_judged_is_an_error() {
    let mut unlike = recording(1.0, 32);
    unlike.as_object_mut().expect("an object").remove("pairs");
    ends_with(&judge(&unlike, &[]), 70, &["has no pairs"]);
    let mut few = recording(1.0, 32);
    few["pairs"].as_array_mut().expect("an array").truncate(5);
    ends_with(&judge(&few, &[]), 70, &["5 pairs are too few"]);
    ends_with(&script(&["--from", "no-such-file"]), 70, &["no-such-file"]);
    ends_with(
        &script(&["--model", "no-such-file"]),
        70,
        &["scripts/fetch-model"],
    );
    for wrong in [
        ["--pairs", "7"],
        ["--pairs", "4"],
        ["--bound", "0%"],
        ["--new-tokens", "1"],
    ] {
        ends_with(&script(&wrong), 64, &[wrong[0]]);
    }
    ends_with(&script(&["--help"]), 0, &["Exit status"]);
}
