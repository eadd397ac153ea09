//! With an SDK chosen it is the SDK's library that runs, however the program is started; a wrong one stops it; and
//! what a faulty runtime does costs samples, not runs.
//!
//! The SDK is a stub of the same ABI (`tests/stub`): no board and no `librkllmrt.so` are needed.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{
    Place, ROOT, SDK, children, command, is_alive, run, scratch, sdk_cargo, send, stub, succeed, text_of,
    wait_until,
};
use rkllm_bench::record::{RunRecord, Status};

/// The quick bench on the stub, started by hand.
fn quick(place: &Place) -> Command {
    let mut command = place.bench(&SDK.quick);
    command
        .args(["--noplot", "--max-new-tokens", "8", "--models"])
        .arg(&SDK.model);
    command
}

/// Runs the quick bench with a fault in every n-th run and gives its exit code, text and record.
#[track_caller]
fn with_fault(fault: &str, more: &[&str]) -> (Option<i32>, String, RunRecord) {
    let place = Place::new();
    let output = run(quick(&place).args(more).env("STUB_FAULT", fault));
    let text = text_of(&output);
    assert!(!place.records().is_empty(), "{text}");
    (output.status.code(), text, place.record())
}

#[track_caller]
fn assert_every_prompt_has_its_figures(record: &RunRecord, text: &str) {
    let prompts = &record.models[0].prompts;
    assert_eq!(prompts.len(), 3);
    for prompt in prompts {
        assert_eq!(prompt.samples.len(), 10, "{}: {text}", prompt.id);
        for phase in ["ttft", "total", "prefill", "decode"] {
            let id = format!("stub-model/quick/{phase}/{}", prompt.id);
            assert!(text.contains(&id), "{id} is not in:\n{text}");
        }
    }
}

#[test]
fn through_cargo_it_is_the_sdks_library_that_runs() {
    let place = Place::new();
    let text = succeed(
        sdk_cargo(&SDK.lib)
            .args([
                "bench",
                "--no-default-features",
                "--bench",
                "quick",
                "--",
                "--noplot",
                "--max-new-tokens",
                "8",
            ])
            .arg("--models")
            .arg(&SDK.model)
            .arg("--output")
            .arg(place.path("runs"))
            .env("CRITERION_HOME", place.path("criterion"))
            .env("TMPDIR", place.path("")),
    );
    assert!(
        text.contains("librkllmrt.so 1.3.0, driver 0.9.8, platform STUB"),
        "{text}"
    );
    let record = place.record();
    let runtime = &record.models[0].loaded.as_ref().expect("loaded").runtime;
    assert_eq!(runtime.library.name, "librkllmrt.so");
    assert_eq!(runtime.library.file_version.as_deref(), Some("1.3.0"));
    assert!(
        runtime
            .library
            .path
            .starts_with(scratch("sdk-target").canonicalize().expect("there"))
    );
    assert_eq!(record.status, Status::Complete);
}

#[test]
fn by_direct_execution_it_is_the_sdks_library_that_runs() {
    let place = Place::new();
    let text = succeed(&mut quick(&place));
    assert!(text.contains("platform STUB"), "{text}");
    assert_every_prompt_has_its_figures(&place.record(), &text);
}

#[test]
fn in_doctests_it_is_the_sdks_library_that_runs() {
    let text =
        succeed(sdk_cargo(&SDK.lib).args(["test", "--release", "--doc", "--no-default-features", "library"]));
    assert!(
        text.contains("1 passed"),
        "the doctest of ffi::library did not run:\n{text}"
    );
}

#[test]
fn in_a_downstream_crate_it_is_the_sdks_library_that_runs() {
    let place = Place::new();
    let home = Path::new(ROOT).join("examples/downstream");
    let text = succeed(
        sdk_cargo(&SDK.lib)
            .current_dir(&home)
            .args([
                "bench",
                "--no-default-features",
                "--bench",
                "mine",
                "--",
                "--noplot",
                "--models",
            ])
            .arg(&SDK.model)
            .arg("--output")
            .arg(place.path("runs"))
            .env("CRITERION_HOME", place.path("criterion"))
            .env("TMPDIR", place.path("")),
    );
    assert!(text.contains("stub-model/mine/decode/one"), "{text}");
    let runtime = &place.record().models[0].loaded.clone().expect("loaded").runtime;
    assert_eq!(
        runtime
            .version_line
            .as_ref()
            .and_then(|line| line.platform.as_deref()),
        Some("STUB")
    );
}

#[test]
fn another_library_on_the_path_stops_the_run_until_it_is_chosen() {
    let other = scratch("stub-1.3.0-other");
    stub(&other, "1.3.0");
    // Same release, other bytes: a note at the end of the file.
    let library = other.join("librkllmrt.so");
    let mut bytes = std::fs::read(&library).expect("read");
    bytes.extend(b"another build");
    std::fs::write(&library, bytes).expect("written");

    let place = Place::new();
    let output = run(quick(&place).env("LD_LIBRARY_PATH", &other));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("is not the one this program was built with"),
        "{text}"
    );
    assert!(text.contains(&format!("loaded: {}", library.display())), "{text}");
    assert!(text.contains("1 model not loaded"), "{text}");

    let chosen = Place::new();
    succeed(
        quick(&chosen)
            .env("LD_LIBRARY_PATH", &other)
            .env("RKLLM_LIBRARY", &library),
    );
    assert_eq!(
        chosen.record().models[0]
            .loaded
            .as_ref()
            .expect("loaded")
            .runtime
            .library
            .path,
        library
    );
}

#[test]
fn a_library_of_another_generation_is_stopped_with_both_versions() {
    let old = scratch("stub-1.2.3");
    stub(&old, "1.2.3");
    let library = old.join("librkllmrt.so");
    let place = Place::new();
    let output = run(quick(&place)
        .env("LD_LIBRARY_PATH", &old)
        .env("RKLLM_LIBRARY", &library));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("version 1.2.3 (read from the file)"), "{text}");
    assert!(text.contains("of generation 1.3.0"), "{text}");
    assert!(
        text.contains("RKLLM_SDK=<rknn-llm checkout of release 1.2.3>"),
        "{text}"
    );
}

#[test]
fn the_version_that_init_prints_is_checked_too() {
    let place = Place::new();
    let output = run(quick(&place).env("STUB_PRINTED_VERSION", "1.2.3"));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("version 1.2.3 (printed by rkllm_init)"), "{text}");
    assert!(place.record().models[0].prompts[0].samples.is_empty());
}

#[test]
fn a_library_without_a_version_needs_the_users_word() {
    let nameless = scratch("stub-nameless");
    stub(&nameless, "unknown");
    let library = nameless.join("librkllmrt.so");
    let start = |place: &Place| {
        let mut command = quick(place);
        command
            .env("LD_LIBRARY_PATH", &nameless)
            .env("RKLLM_LIBRARY", &library);
        command.env("STUB_PRINTED_VERSION", "1.3.0");
        command
    };
    let place = Place::new();
    let output = run(&mut start(&place));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("no readable version") && text.contains("--trust-sdk-version 1.3.0"),
        "{text}"
    );

    let place = Place::new();
    succeed(start(&place).args(["--trust-sdk-version", "1.3.0"]));
    assert_eq!(
        place.record().models[0]
            .loaded
            .as_ref()
            .expect("loaded")
            .runtime
            .library
            .file_version,
        None
    );

    let place = Place::new();
    let output = run(start(&place).args(["--trust-sdk-version", "1.2.3"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("version 1.2.3 (given by --trust-sdk-version)"),
        "{text}"
    );
}

#[test]
fn a_segfault_at_every_third_run_still_gives_every_prompts_figures() {
    let (code, text, record) = with_fault("segv:3", &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    // 33 inferences that stand, and a death after every two of them.
    assert_eq!(record.faults().failed, 16, "{text}");
    assert!(text.contains("16 inferences failed"), "{text}");
    let failure = &record.models[0]
        .prompts
        .iter()
        .find_map(|prompt| prompt.failures.first())
        .expect("failed");
    assert_eq!(failure.message, "the worker was killed by SIGSEGV (signal 11)");
    assert_eq!(
        failure.last_lines.last().expect("a line"),
        "E rkllm: about to touch memory that is not there"
    );
}

#[test]
fn a_worker_that_exits_costs_the_sample_at_hand() {
    let (code, text, record) = with_fault("exit:20", &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(
        text.contains("the worker ended by itself with exit code 7"),
        "{text}"
    );
    assert_eq!(record.faults().failed, 1);
}

#[test]
fn a_hang_that_no_abort_ends_is_killed_past_the_deadline() {
    let (code, text, record) = with_fault("hang:20", &["--timeout", "1"]);
    assert_eq!(code, Some(1), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(text.contains("was silent for 6 s and was killed"), "{text}");
}

#[test]
fn a_slow_run_is_aborted_at_the_deadline_and_the_model_stays_loaded() {
    let (code, text, record) = with_fault("slow:20", &["--timeout", "1"]);
    assert_eq!(code, Some(0), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(text.contains("passed its deadline of 1 s"), "{text}");
}

#[test]
fn an_exception_and_a_refusal_are_failures_with_their_cause() {
    let (code, text, record) = with_fault("throw:20", &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(text.contains("C++ exception: thrown by the stub"), "{text}");

    let (_, text, record) = with_fault("refuse:20", &[]);
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(text.contains("the run failed: the runtime returned -1"), "{text}");
}

#[test]
fn faulty_statistics_are_rejected_by_name_and_made_good() {
    let rows = [
        ("no-finish:20", "no FINISH came after 8 tokens"),
        ("stale:20", "are those of the run before"),
        ("warm:20", "the KV cache was not cold"),
        ("nan:20", "generate_time_ms = NaN"),
        ("late:20", "a callback came after its run had returned"),
    ];
    for (fault, reason) in rows {
        let (code, text, record) = with_fault(fault, &[]);
        assert_eq!(code, Some(0), "{fault}: {text}");
        assert_every_prompt_has_its_figures(&record, &text);
        assert!(text.contains(reason), "{fault}: {text}");
        assert!(
            text.contains("1 inference rejected by the ledger"),
            "{fault}: {text}"
        );
    }
}

#[test]
fn a_worker_that_hangs_does_not_outlive_a_killed_parent() {
    let place = Place::new();
    let mut parent = quick(&place)
        .env("STUB_FAULT", "hang:3")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    wait_until(|| {
        let recorded = |path: &PathBuf| {
            RunRecord::load(path).is_ok_and(|run| run.models[0].prompts[1].warm_up.len() == 1)
        };
        place.records().iter().any(recorded)
    });
    let workers = children(parent.id());
    assert_eq!(workers.len(), 1);
    // The third run is under way or about to be; it never ends, so that only the kernel can end the worker.
    std::thread::sleep(Duration::from_millis(100));
    send("KILL", parent.id());
    parent.wait().expect("ended");
    wait_until(|| !is_alive(workers[0]));
}

#[test]
fn a_prompt_that_fails_twice_in_a_row_is_given_up_and_counted() {
    let (code, text, record) = with_fault("segv:1", &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(record.faults().given_up, 3, "{text}");
    assert!(text.contains("3 prompts given up"), "{text}");
}

#[test]
fn an_init_that_lies_or_fails_is_a_model_that_was_not_loaded() {
    for (variable, reason) in [
        ("STUB_INIT_LIES", "returned 0 but gave no handle"),
        ("STUB_INIT_FAILS", "E rkllm: invalid rkllm model!"),
    ] {
        let place = Place::new();
        let output = run(quick(&place).env(variable, "1"));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains(reason) && text.contains("1 model not loaded"),
            "{text}"
        );
    }
}

#[test]
fn a_build_with_two_runtimes_none_or_half_an_sdk_says_what_is_right() {
    // The build script as cargo made it, started by hand: with cargo each row would build everything anew.
    let out = Place::new();
    let refusal = |variables: &[(&str, &str)]| {
        let mut script = command(&SDK.build_script);
        script
            .env("CARGO_MANIFEST_DIR", ROOT)
            .env("OUT_DIR", out.path(""))
            .env("CARGO_CFG_TARGET_ARCH", "aarch64");
        let output = run(script.envs(variables.iter().copied()));
        let text = text_of(&output);
        assert!(
            !output.status.success() && text.contains("cargo::error="),
            "{text}"
        );
        text
    };
    let both = refusal(&[("CARGO_FEATURE_HOST", "1"), ("RKLLM_SDK", "/opt/a")]);
    assert!(
        both.contains("two runtimes at once: the feature `host` is on and RKLLM_SDK=/opt/a is set"),
        "{both}"
    );
    let none = refusal(&[]);
    assert!(none.contains("no runtime to link"), "{none}");
    let half = refusal(&[("RKLLM_LIB_DIR", "/opt/a")]);
    assert!(
        half.contains("RKLLM_LIB_DIR=/opt/a is set but RKLLM_INCLUDE_DIR is not"),
        "{half}"
    );
    let half = refusal(&[("RKLLM_INCLUDE_DIR", "/opt/a")]);
    assert!(
        half.contains("RKLLM_INCLUDE_DIR=/opt/a is set but RKLLM_LIB_DIR is not"),
        "{half}"
    );
    let empty = refusal(&[("RKLLM_SDK", "/opt/a")]);
    assert!(empty.contains("RKLLM_SDK=/opt/a holds no RKLLM SDK"), "{empty}");
}

#[test]
fn npu_cores_are_compared_with_those_that_the_model_was_converted_for() {
    let with_cores = |of_model: Option<&str>, asked: &str| {
        let place = Place::new();
        let mut bench = quick(&place);
        bench.args(["--quick", "--npu-cores", asked, "decode/question"]);
        if let Some(cores) = of_model {
            bench.env("STUB_NPU_CORES", cores);
        }
        let output = run(&mut bench);
        (output.status.code(), text_of(&output), place)
    };
    let (code, text, place) = with_cores(Some("3"), "3");
    assert_eq!(code, Some(0), "{text}");
    let loaded = place.record().models[0].loaded.clone().expect("loaded");
    assert_eq!(loaded.npu_cores, Some(3));
    let (code, text, _) = with_cores(Some("3"), "1");
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("converted for 3 NPU cores") && text.contains("num_npu_core=1"),
        "{text}"
    );
    let (code, text, _) = with_cores(None, "1");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--npu-cores cannot be checked"), "{text}");
}

#[test]
fn a_second_run_on_the_npu_is_refused_whatever_its_folders() {
    let first = Place::new();
    let mut holder = quick(&first)
        .args(["--sample-size", "1000"])
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    wait_until(|| !first.records().is_empty());
    let second = Place::new();
    let output = run(quick(&second).env("TMPDIR", first.path("")));
    let text = text_of(&output);
    holder.kill().expect("killed");
    holder.wait().expect("ended");
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("the NPU: in use by process") && text.contains(&holder.id().to_string()),
        "{text}"
    );
}
