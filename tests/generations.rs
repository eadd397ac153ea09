//! The harness on every generation of the SDK: each release's header builds, and its stub runs.
//!
//! Headers of older releases are fixtures (`tests/fixtures/headers`), the libraries are stubs of the same ABI.

#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use common::{
    Place, RELEASES, Release, compile_stub, messages, program, run, scratch, succeed, suite_of_starts,
    text_of,
};
use rkllm_bench::inference::Trial;
use rkllm_bench::ledger::Mark;
use rkllm_bench::record::RunRecord;

/// A release, and the quick bench built on it.
struct Built {
    release: Release,
    quick: PathBuf,
}

/// All of them, in one target folder: from release to release only this package is built anew.
static BUILT: LazyLock<Vec<Built>> = LazyLock::new(|| RELEASES.map(build).into());

fn build(release: Release) -> Built {
    let mut cargo = release.cargo();
    let build = cargo.args(["bench", "--no-default-features", "--no-run", "--bench", "quick"]);
    // The next release's build replaces the program.
    let quick = scratch("generations").join(format!("quick-{}", release.version));
    std::fs::copy(program(&messages(build), "quick"), &quick).expect("copied");
    Built { release, quick }
}

impl Built {
    fn of(version: &str) -> &'static Self {
        let built = BUILT.iter().find(|built| built.release.version == version);
        built.expect("one of the releases")
    }

    /// The bench on the stub of `library`, which is chosen where it is another than was built with.
    fn bench(&self, place: &Place, library: Release) -> Command {
        let model = scratch("models").join("stub-model.rkllm");
        std::fs::write(&model, "not a model").expect("written");
        let mut command = place.bench(&self.quick);
        command
            .args(["--noplot", "--max-new-tokens", "8", "--models"])
            .arg(&model);
        command.env("LD_LIBRARY_PATH", library.stub());
        if library != self.release {
            command.env("RKLLM_LIBRARY", library.stub().join("librkllmrt.so"));
        }
        command
    }

    /// A run on its own stub that must succeed.
    #[track_caller]
    fn record(&self, script: &[&str], more: &[&str]) -> (RunRecord, String) {
        let place = Place::new();
        let mut bench = self.bench(&place, self.release);
        bench.args(more).env("STUB_SCRIPT", place.script(script));
        let text = succeed(&mut bench);
        (place.record(), text)
    }
}

#[test]
fn each_release_gives_its_figures_and_says_what_it_cannot_do() {
    for built in BUILT.iter() {
        let version = built.release.version;
        let (record, text) = built.record(&[], &["--verbose"]);
        let model = &record.models[0];
        let runtime = &model.loaded.as_ref().expect("loaded").runtime;
        let runtime = runtime.library().expect("a library");
        let found = runtime.version_line.as_ref().expect("printed");
        assert_eq!(
            (found.runtime.as_str(), runtime.library.file_version.as_deref()),
            (version, Some(version))
        );
        for prompt in &model.prompts {
            assert_eq!(prompt.samples.len(), 10, "{version} {}: {text}", prompt.id);
            for sample in &prompt.samples {
                assert_eq!(sample.inference.tokens.len(), 8, "{version}");
                assert_eq!(sample.inference.text, "stub ".repeat(8), "{version}");
            }
            let has_statistics = built.release.generation >= 121;
            assert_eq!(prompt.prompt_tokens.is_some(), has_statistics, "{version}");
            // What cannot be counted has no rate, and not a rate of zero.
            let prefill = text
                .split(&format!("/prefill/{}", prompt.id))
                .nth(1)
                .expect("its figures");
            let figures: String = prefill.lines().skip(1).take(2).collect();
            assert_eq!(figures.contains("tok/s"), has_statistics, "{version}: {figures}");
        }
        let marks = &model.prompts[0].samples[0].marks;
        assert_eq!(
            marks.contains(&Mark::PromptVaried),
            built.release.generation < 120,
            "{version}: {marks:?}"
        );
        assert_eq!(
            marks.contains(&Mark::NoStats),
            built.release.generation < 121,
            "{version}: {marks:?}"
        );
    }
}

#[test]
fn a_library_of_another_generation_is_stopped_before_a_struct_is_passed() {
    for built in BUILT.iter() {
        for library in RELEASES {
            let place = Place::new();
            let mut bench = built.bench(&place, library);
            // Whoever passes a struct to this library dies of it.
            let script = place.script(&["params 1 segv", "init 1 segv"]);
            let (header, library_is) = (built.release.version, library.version);
            if library.generation == built.release.generation {
                succeed(bench.arg("--test"));
                continue;
            }
            let output = run(bench.env("STUB_SCRIPT", script));
            let text = text_of(&output);
            assert_eq!(output.status.code(), Some(1), "{header} {library_is}: {text}");
            let generation = match built.release.generation {
                110 => "of generation 1.1;".to_owned(),
                121 => "of generation 1.2.1;".to_owned(),
                140 => "of no known generation;".to_owned(),
                _ => format!("of generation {header};"),
            };
            for part in [
                format!("version {library_is} (read from the file)"),
                generation,
                format!("RKLLM_SDK=<rknn-llm checkout of release {library_is}>"),
            ] {
                assert!(
                    text.contains(&part),
                    "{header} {library_is}: no {part:?} in {text}"
                );
            }
            assert!(!text.contains("SIGSEGV"), "{header} {library_is}: {text}");
        }
    }
}

#[test]
fn the_newest_release_is_known_by_its_header_and_an_unknown_one_is_taken_with_one_warning() {
    let models = scratch("two-models");
    for name in ["a.rkllm", "b.rkllm"] {
        std::fs::write(models.join(name), "not a model").expect("written");
    }
    let trial = Some(Trial { tokens: 4 });
    for (version, shape, trial) in [("1.3.1", "1.3.1", None), ("1.4.0", "unknown", trial)] {
        let built = Built::of(version);
        let place = Place::new();
        let mut bench = place.bench(&built.quick);
        bench.args(["--noplot", "--quick", "--models"]).arg(&models);
        let text = succeed(bench.env("LD_LIBRARY_PATH", built.release.stub()));
        let record = place.record();
        assert_eq!(record.models.len(), 2, "{text}");
        let is_unknown = trial.is_some();
        let warnings = text.lines().filter(|line| {
            *line == "warning: runtime 1.4.0 is not known to rkllm-bench; a trial of 4 tokens passed"
        });
        assert_eq!(warnings.count(), usize::from(is_unknown), "{text}");
        let named =
            format!("librkllmrt.so {version} (not known to rkllm-bench, trial of 4 tokens passed), driver");
        // The line is folded.
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            words.matches(&named).count(),
            if is_unknown { 2 } else { 0 },
            "{text}"
        );
        for model in &record.models {
            let runtime = &model.loaded.as_ref().expect("loaded").runtime;
            let runtime = runtime.library().expect("a library");
            assert_eq!(
                (runtime.header_generation.as_str(), &runtime.trial),
                (shape, &trial)
            );
            assert!(
                runtime.abilities.perf && runtime.abilities.sampling_per_run,
                "{version}"
            );
        }
    }
}

#[test]
fn an_unknown_release_that_fails_its_trial_is_not_measured() {
    for (fault, reason) in [
        ("run 1 no-finish", "no FINISH came"),
        ("run 1 segv", "SIGSEGV"),
        ("run 1 nan", "generate_time_ms"),
        ("run 1 error", "the runtime reported an error"),
    ] {
        let built = Built::of("1.4.0");
        let place = Place::new();
        let output = run(built
            .bench(&place, built.release)
            .env("STUB_SCRIPT", place.script(&[fault])));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{fault}: {text}");
        for part in [
            "release 1.4.0 of the runtime is not known",
            "failed its trial",
            reason,
        ] {
            assert!(text.contains(part), "{fault}: no {part:?} in {text}");
        }
        let model = &place.record().models[0];
        assert!(
            model.loaded.is_none() && model.prompts[0].samples.is_empty(),
            "{fault}"
        );
    }
}

#[test]
fn a_library_that_is_seen_to_have_other_structs_than_the_header_is_refused() {
    // Each says the release that the program was built with, and has the structs of the other.
    for (header, structs, reason) in [
        ("1.3.1", "1.4.0", "rkllm_createDefaultParam wrote"),
        ("1.4.0", "1.3.1", "failed its trial"),
    ] {
        let built = Built::of(header);
        let liar = scratch(&format!("stub-{structs}-as-{header}"));
        compile_stub(&liar, Built::of(structs).release, header);
        let place = Place::new();
        let mut bench = built.bench(&place, built.release);
        bench.env("LD_LIBRARY_PATH", &liar);
        // Nothing of such a library may be loaded.
        let script: &[&str] = if header == "1.3.1" { &["init 1 segv"] } else { &[] };
        let output = run(bench
            .env("RKLLM_LIBRARY", liar.join("librkllmrt.so"))
            .env("STUB_SCRIPT", place.script(script)));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{header}: {text}");
        assert!(
            text.contains(reason) && text.contains("header and library of one checkout"),
            "{header}: {text}"
        );
        assert!(place.record().models[0].prompts[0].samples.is_empty(), "{text}");
    }
}

#[test]
fn answers_that_end_by_themselves_are_as_long_as_they_are() {
    let suite = scratch("suites").join("ending.json");
    let text = r#"{"name": "ending", "ignore_eos": false, "max_new_tokens": 8,
                   "tests": [{"id": "a", "prompt": "Say no more."}]}"#;
    std::fs::write(&suite, text).expect("written");
    for version in ["1.2.0", "1.3.0"] {
        let built = Built::of(version);
        let prompts = ["--prompts", suite.to_str().expect("a path")];
        let lengths = |script: &[&str]| {
            // The command line's limit would be the same for each.
            let (record, _) = built.record(script, &prompts);
            let samples = &record.models[0].prompts[0].samples;
            let sample = samples.first().expect("samples").clone();
            (sample.inference.tokens.len(), sample.marks)
        };
        let (tokens, marks) = lengths(&["eos 5"]);
        assert_eq!(tokens, 5, "{version}");
        assert!(
            !marks.contains(&Mark::ReachedLimit { limit: 8 }),
            "{version}: {marks:?}"
        );
        // As with a model whose end token the runtime does not know.
        let (tokens, marks) = lengths(&[]);
        assert_eq!(tokens, 8, "{version}");
        assert!(
            marks.contains(&Mark::ReachedLimit { limit: 8 }),
            "{version}: {marks:?}"
        );
    }
}

#[test]
fn runs_that_are_to_be_of_one_length_say_where_they_are_not() {
    // Before 1.3.0 end tokens cannot be ignored.
    let early = Mark::EndedEarly { asked: 8, got: 5 };
    for (version, ends) in [("1.1.4", true), ("1.2.3", true), ("1.3.0", false)] {
        let (record, text) = Built::of(version).record(&["eos 5"], &[]);
        let sample = &record.models[0].prompts[0].samples[0];
        assert_eq!(sample.marks.contains(&early), ends, "{version}: {text}");
    }
}

#[test]
fn a_model_whose_end_token_the_runtime_may_miss_is_noted() {
    let note = "is known to miss the end token";
    for (version, toolkit, noted) in [
        ("1.3.0", "1.2.3", true),
        ("1.3.0", "1.2.2", true),
        ("1.3.0", "1.3.0", false),
        ("1.2.3", "1.2.3", false),
    ] {
        let (record, text) = Built::of(version).record(&[&format!("toolkit {toolkit}")], &["--quick"]);
        assert_eq!(text.contains(note), noted, "{version} {toolkit}: {text}");
        let loaded = record.models[0].loaded.as_ref().expect("loaded");
        assert_eq!(loaded.toolkit.as_deref(), Some(toolkit));
    }
}

#[test]
fn each_release_is_given_embed_flash_and_domain_or_says_that_it_lacks_them() {
    for built in BUILT.iter() {
        let version = built.release.version;
        let place = Place::new();
        let received = place.path("received");
        let bench = |more: &[&str]| {
            let mut bench = built.bench(&place, built.release);
            bench.args(["--quick", "--record-only", "--base-domain-id", "1"]);
            let line = format!("received {}", received.display());
            bench.args(more).env("STUB_SCRIPT", place.script(&[&line]));
            run(&mut bench)
        };
        let output = bench(&["--embed-flash"]);
        if version == "1.1.4" {
            let text = text_of(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains("cannot read embedding rows from storage"), "{text}");
            assert!(!received.exists(), "nothing was loaded");
            let text = text_of(&bench(&["--embed-flash=false"]));
            let received = std::fs::read_to_string(&received).unwrap_or(text);
            assert_eq!(received, "1 - - - 4096\n");
        } else {
            let text = text_of(&output);
            let received = std::fs::read_to_string(&received).unwrap_or(text);
            assert_eq!(received, "1 1 4 0 4096\n", "{version}");
        }
    }
}

#[test]
fn a_start_that_is_not_cold_needs_a_runtime_that_can_prove_it() {
    let suite = suite_of_starts();
    for built in BUILT.iter() {
        let version = built.release.version;
        let place = Place::new();
        let mut bench = built.bench(&place, built.release);
        let output = run(bench.args(["--quick", "--record-only", "--prompts"]).arg(&suite));
        let text = text_of(&output);
        let record = place.record();
        let [cold, others @ ..] = record.models[0].prompts.as_slice() else {
            panic!("{version}: {text}");
        };
        assert_eq!(cold.samples.len(), 2, "{version}: {text}");
        let lacks = match built.release.generation {
            110 => Some("empty its KV cache"),
            120 => Some("report how many tokens a prefill computed"),
            _ => None,
        };
        assert_eq!(
            output.status.code(),
            Some(i32::from(lacks.is_some())),
            "{version}: {text}"
        );
        for prompt in others {
            assert_eq!(
                prompt.samples.len(),
                if lacks.is_some() { 0 } else { 2 },
                "{version}: {text}"
            );
            match lacks {
                Some(lacks) => {
                    let reason = prompt.given_up.as_ref().expect("given up");
                    assert!(
                        reason.contains(lacks) && reason.contains("cannot be measured"),
                        "{version}: {reason}"
                    );
                }
                None => assert_eq!(prompt.prompt_tokens, Some(2), "{version}: {text}"),
            }
        }
    }
}

#[test]
fn prompts_of_different_limits_are_loaded_for_where_the_runtime_cannot_change_them() {
    let suite = scratch("suites").join("limits.json");
    let text = r#"{"name": "limits", "tests": [
                   {"id": "short", "prompt": "One.", "max_new_tokens": 4},
                   {"id": "long", "prompt": "Two.", "max_new_tokens": 12}]}"#;
    std::fs::write(&suite, text).expect("written");
    for built in BUILT.iter() {
        let place = Place::new();
        let mut bench = place.bench(&built.quick);
        let model = scratch("models").join("stub-model.rkllm");
        bench
            .args(["--noplot", "--quick", "--models"])
            .arg(&model)
            .arg("--prompts")
            .arg(&suite);
        succeed(bench.env("LD_LIBRARY_PATH", built.release.stub()));
        let lengths: Vec<usize> = place.record().models[0]
            .prompts
            .iter()
            .map(|prompt| prompt.samples[1].inference.tokens.len())
            .collect();
        assert_eq!(lengths, [4, 12], "{}", built.release.version);
    }
}

/// A run of the suite `table` on `version`: its exit code, its text and its record.
fn table(version: &str, model: &str, script: &[&str], more: &[&str]) -> (Option<i32>, String, RunRecord) {
    let release = Built::of(version).release;
    let mut cargo = release.cargo();
    let build = cargo.args(["bench", "--no-default-features", "--no-run", "--bench", "table"]);
    let place = Place::new();
    let mut bench = place.bench(&program(&messages(build), "table"));
    let model = scratch("models").join(model);
    std::fs::write(&model, "not a model").expect("written");
    bench
        .args(["--noplot", "--quick", "--models"])
        .arg(&model)
        .args(more);
    bench.env("STUB_SCRIPT", place.script(script));
    let output = run(bench.env("LD_LIBRARY_PATH", release.stub()));
    (output.status.code(), text_of(&output), place.record())
}

// One test, since each release's build replaces the program of the other.
#[test]
fn a_depth_needs_a_runtime_that_keeps_history_and_published_figures_stand_beside_a_boards() {
    let deep = ["--new-tokens", "4", "--depth", "16"];
    let (code, text, _) = table("1.1.4", "stub-model.rkllm", &[], &deep);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot keep tokens in its KV cache"), "{text}");
    let (code, text, record) = table("1.2.3", "stub-model.rkllm", &[], &deep);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        record.models[0].prompts[0].samples[0].inference.kv_cache_before,
        Some(16)
    );
    assert!(
        text.contains("stub-model: no figures; nothing is published for STUB"),
        "{text}"
    );
    published_figures_stand_beside_a_boards();
}

fn published_figures_stand_beside_a_boards() {
    let model = "Qwen2-0.5B-w8a8-rk3588.rkllm";
    // Slower than half the published TTFT, 145.9 ms, whatever the machine adds.
    let script = ["platform RK3588", "npu-cores 1", "pace 292000 100"];
    let (code, text, _) = table("1.2.3", model, &script, &[]);
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "\npublished figures (Rockchip rknn-llm 1.3.0, benchmark.md)\n",
        "\nQwen2-0.5B-w8a8-rk3588, p128-n64, beside Qwen2 0.5B w8a8 on RK3588\n",
        "\n  TTFT ms            145.90 ",
        "half or less\n",
        "\n  - NPU cores: look here; Qwen2-0.5B-w8a8-rk3588 is for 1 of 3 NPU cores;",
        "\n    cat /sys/class/devfreq/*.npu/cur_freq\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let (code, text, _) = table("1.2.3", model, &["platform RK3588"], &["--new-tokens", "32"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("--prompt-tokens 128 --new-tokens 64"), "{text}");
}
