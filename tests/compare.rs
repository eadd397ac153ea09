//! `rkllm-bench compare` from the command line: what its arguments may be, and what it refuses.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "a test")]

mod common;

use common::{Place, host, run, succeed, text_of};
use serde_json::Value;

/// A place with three runs, of which the last has a second model, and a baseline `main` of the first two.
fn place() -> Place {
    let place = Place::new();
    for index in 0..3 {
        let mut run = host::RUN.clone();
        run.run_id = format!("run-{index}");
        run.started_at = format!("2030-01-01T00:0{index}:00Z");
        if index == 2 {
            let mut second = run.models[0].clone();
            second.name = "second".into();
            run.models.push(second);
        }
        run.save(&place.path(&format!("target/rkllm-bench/runs/{index}.json")))
            .expect("saved");
    }
    let files = place.path("target/rkllm-bench/runs/[01].json");
    succeed(
        host::tool(&place)
            .args(["baseline", "save", "main", "--runs"])
            .arg(files),
    );
    place
}

#[track_caller]
fn json(place: &Place, arguments: &[&str]) -> Value {
    let output = run(host::tool(place)
        .args(["compare", "--format", "json"])
        .args(arguments));
    assert!(output.status.success(), "{}", text_of(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Labels with their numbers of runs.
fn subjects(json: &Value) -> Vec<(String, u64)> {
    let subjects = json["subjects"].as_array().expect("subjects").iter();
    subjects
        .map(|subject| {
            let label = subject["label"].as_str().expect("a label").to_owned();
            (label, subject["runs"].as_u64().expect("a count"))
        })
        .collect()
}

#[test]
fn arguments_are_baselines_files_and_patterns_in_any_mix() {
    let place = place();
    let name = &host::RUN.models[0].name;
    let file = |name: &str| {
        place
            .path(&format!("target/rkllm-bench/runs/{name}"))
            .display()
            .to_string()
    };
    let newest = json(&place, &[]);
    // The newest run of the model alone, and that of both.
    assert_eq!(subjects(&newest), [(name.clone(), 2), ("second".into(), 1)]);
    let mixed = json(&place, &["main", &file("2.json")]);
    let expected = [
        (format!("{name} @ main"), 2),
        (format!("{name} @ run-2"), 1),
        ("second".into(), 1),
    ];
    assert_eq!(subjects(&mixed), expected);
    let pattern = file("[01]*");
    assert_eq!(subjects(&json(&place, &[&pattern])), [(name.clone(), 2)]);
    // The same samples: a ratio of 1.
    let rows = mixed["suites"][0]["rows"].as_array().expect("rows");
    for row in rows {
        let ratio = row["cells"][2]["ratio"]["estimate"].as_f64();
        assert!(ratio.is_some_and(|ratio| (ratio - 1.0).abs() < 1e-12), "{row}");
    }
}

#[test]
fn each_format_is_the_same_twice() {
    let place = place();
    for (format, begins) in [
        ("text", "subjects:"),
        ("markdown", "## "),
        ("csv", "suite,metric,"),
        ("json", "{"),
    ] {
        let once = || succeed(host::tool(&place).args(["compare", "--format", format]));
        assert_eq!(once(), once());
        assert!(once().starts_with(begins), "{format}: {}", once());
    }
}

#[test]
fn wrong_usage_ends_with_64_and_what_to_do() {
    let place = place();
    let file = place.path("target/rkllm-bench/runs/0.json").display().to_string();
    let wrong: [(&[&str], &str); 5] = [
        (&["mian"], "main"),
        (&["no-such-*.json"], "no file matches"),
        (&["main", &file], "there twice"),
        (&["--format", "junit"], "junit"),
        (&["main", "--runs", &file], "--runs"),
    ];
    for (arguments, expected) in wrong {
        let output = run(host::tool(&place).arg("compare").args(arguments));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}
