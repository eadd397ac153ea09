//! With an SDK chosen it is the SDK's library that runs, however the program is started; a wrong one stops it.
//!
//! The SDK is a stub of the same ABI (`tests/stub`): no board and no `librkllmrt.so` are needed.

mod common;

use std::path::Path;
use std::process::Stdio;

use common::{
    OURS, Place, RELEASES, ROOT, SDK, SDK_TARGET, assert_every_prompt_has_its_figures, command, compile_stub,
    run, scratch, succeed, text_of, wait_until,
};
use rkllm_bench::record::Status;
use rkllm_bench::turns;

#[test]
fn through_cargo_it_is_the_sdks_library_that_runs() {
    let place = Place::new();
    let text = succeed(
        OURS.cargo()
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
            .env("TMPDIR", place.path(""))
            .env("RKLLM_BENCH_LOCK_DIR", place.path("")),
    );
    assert!(
        text.contains("librkllmrt.so 1.3.0, driver 0.9.8, platform STUB"),
        "{text}"
    );
    let record = place.record();
    let runtime = &record.models[0].loaded.as_ref().expect("loaded").runtime;
    let runtime = runtime.library().expect("a library");
    assert_eq!(runtime.library.name, "librkllmrt.so");
    assert_eq!(runtime.library.file_version.as_deref(), Some("1.3.0"));
    assert!(
        runtime
            .library
            .path
            .starts_with(SDK_TARGET.canonicalize().expect("there"))
    );
    assert_eq!(record.status, Status::Complete);
}

#[test]
fn by_direct_execution_it_is_the_sdks_library_that_runs() {
    let place = Place::new();
    let text = succeed(&mut SDK.quick(&place));
    assert!(text.contains("platform STUB"), "{text}");
    assert_every_prompt_has_its_figures(&place.record(), &text);
}

#[test]
fn in_doctests_it_is_the_sdks_library_that_runs() {
    let text = succeed(
        OURS.cargo()
            .args(["test", "--release", "--doc", "--no-default-features", "library"]),
    );
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
        OURS.cargo()
            .current_dir(&home)
            .args([
                "bench",
                "--no-default-features",
                "--bench",
                "mine",
                "--",
                "--noplot",
                "--verbose",
                "--models",
            ])
            .arg(&SDK.model)
            .arg("--output")
            .arg(place.path("runs"))
            .env("CRITERION_HOME", place.path("criterion"))
            .env("TMPDIR", place.path(""))
            .env("RKLLM_BENCH_LOCK_DIR", place.path("")),
    );
    assert!(text.contains("stub-model/mine/decode/one"), "{text}");
    let runtime = &place.record().models[0].loaded.clone().expect("loaded").runtime;
    assert_eq!(
        runtime.version_line().and_then(|line| line.platform.as_deref()),
        Some("STUB")
    );
}

#[test]
fn another_library_on_the_path_stops_the_run_until_it_is_chosen() {
    let other = scratch("stub-1.3.0-other");
    compile_stub(&other, OURS, "1.3.0");
    // Same release, other bytes: a note at the end of the file.
    let library = other.join("librkllmrt.so");
    let mut bytes = std::fs::read(&library).expect("read");
    bytes.extend(b"another build");
    std::fs::write(&library, bytes).expect("written");

    let place = Place::new();
    let output = run(SDK.quick(&place).env("LD_LIBRARY_PATH", &other));
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
        SDK.quick(&chosen)
            .env("LD_LIBRARY_PATH", &other)
            .env("RKLLM_LIBRARY", &library),
    );
    assert_eq!(
        chosen.record().models[0]
            .loaded
            .as_ref()
            .expect("loaded")
            .runtime
            .library()
            .expect("a library")
            .library
            .path,
        library
    );
}

#[test]
fn the_version_that_init_prints_is_checked_too() {
    let place = Place::new();
    let script = place.script(&["version 1.2.3"]);
    let output = run(SDK.quick(&place).env("STUB_SCRIPT", script));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("version 1.2.3 (printed by rkllm_init)"), "{text}");
    assert!(place.record().models[0].prompts[0].samples.is_empty());
}

#[test]
fn a_library_without_a_version_needs_the_users_word() {
    let nameless = scratch("stub-nameless");
    compile_stub(&nameless, OURS, "unknown");
    let library = nameless.join("librkllmrt.so");
    let start = |place: &Place| {
        let mut command = SDK.quick(place);
        command
            .env("LD_LIBRARY_PATH", &nameless)
            .env("RKLLM_LIBRARY", &library);
        command.env("STUB_SCRIPT", place.script(&["version 1.3.0"]));
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
            .library()
            .expect("a library")
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
        both.contains("only one runtime, but the feature `host` is on and RKLLM_SDK=/opt/a is set"),
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
fn a_header_that_lacks_what_is_needed_is_refused_by_name() {
    let [.., unknown] = RELEASES;
    let place = Place::new();
    let header = std::fs::read_to_string(unknown.include().join("rkllm.h")).expect("read");
    let changed = header
        .replace("int32_t max_context_len;", "int32_t window;")
        .replace("int rkllm_abort(", "int rkllm_stop(")
        .replace("RKLLM_INPUT_TOKEN ", "RKLLM_INPUT_IDS ")
        // No fault: a struct may have a tag.
        .replace(
            "typedef struct {\n    const char *model_path;",
            "typedef struct RKLLMParam_ {\n    const char *model_path;",
        );
    std::fs::write(place.path("rkllm.h"), changed).expect("written");
    let mut script = command(&SDK.build_script);
    script
        .env("CARGO_MANIFEST_DIR", ROOT)
        .env("OUT_DIR", place.path(""))
        .env("RKLLM_INCLUDE_DIR", place.path(""))
        .env("RKLLM_LIB_DIR", unknown.stub());
    let output = run(&mut script);
    let text = text_of(&output);
    assert!(!output.status.success(), "{text}");
    let errors: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("cargo::error="))
        .collect();
    assert!(
        errors[0].starts_with("cargo::error=rkllm.h of release 1.4.0 (")
            && errors[0].ends_with("needs: RKLLMParam.max_context_len, rkllm_abort, RKLLM_INPUT_TOKEN."),
        "{text}"
    );
    assert_eq!(errors.len(), 2, "{text}");
}

#[test]
fn npu_cores_are_compared_with_those_that_the_model_was_converted_for() {
    let with_cores = |of_model: Option<&str>, asked: &str| {
        let place = Place::new();
        let mut bench = SDK.quick(&place);
        bench.args(["--quick", "--npu-cores", asked, "decode/question"]);
        if let Some(cores) = of_model {
            bench.env("STUB_SCRIPT", place.script(&[&format!("npu-cores {cores}")]));
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
fn what_a_model_is_loaded_with_reaches_the_runtime_and_the_record() {
    let with = |more: &[&str], variables: &[(&str, &str)]| {
        let place = Place::new();
        let received = place.path("received");
        let mut bench = SDK.quick(&place);
        bench
            .args(["--quick", "--record-only", "decode/question"])
            .args(more);
        let line = format!("received {}", received.display());
        bench.env("STUB_SCRIPT", place.script(&[&line]));
        succeed(bench.envs(variables.iter().copied()));
        let parameters = place.record().parameters;
        let received = std::fs::read_to_string(received).expect("written");
        (received, parameters)
    };
    let (received, parameters) = with(&[], &[]);
    assert_eq!(
        received, "0 0 4 0 4096\n",
        "all but the context is left to the runtime"
    );
    assert_eq!((parameters.threads, parameters.cpu_mask), (None, None));
    assert_eq!((parameters.base_domain_id, parameters.embed_flash), (None, None));
    let flags = ["--base-domain-id", "1", "--embed-flash", "--threads", "1"];
    let more = ["--cpu-mask", "0x2", "--max-context", "2048"];
    let (received, parameters) = with(&[&flags[..], &more].concat(), &[]);
    assert_eq!(received, "1 1 1 2 2048\n");
    assert_eq!((parameters.threads, parameters.cpu_mask), (Some(1), Some(2)));
    assert_eq!(
        (parameters.base_domain_id, parameters.embed_flash),
        (Some(1), Some(true))
    );
    assert_eq!(parameters.max_context, 2048);
    let variables = [
        ("RKLLM_BENCH_BASE_DOMAIN_ID", "2"),
        ("RKLLM_BENCH_EMBED_FLASH", "0"),
    ];
    let (received, parameters) = with(&["--cpu-mask", "0x1"], &variables);
    assert_eq!(received, "2 0 1 1 4096\n", "as many threads as the mask has CPUs");
    assert_eq!((parameters.threads, parameters.cpu_mask), (Some(1), Some(1)));
    assert_eq!(
        (parameters.base_domain_id, parameters.embed_flash),
        (Some(2), Some(false))
    );
}

#[test]
fn a_second_run_on_the_npu_is_refused_whatever_its_folders() {
    let first = Place::new();
    let mut holder = SDK
        .quick(&first)
        .args(["--sample-size", "1000"])
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    wait_until(|| !first.records().is_empty());
    let second = Place::new();
    let output = run(SDK.quick(&second).env("RKLLM_BENCH_LOCK_DIR", first.path("")));
    let text = text_of(&output);
    holder.kill().expect("killed");
    holder.wait().expect("ended");
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("the NPU: in use by process") && text.contains(&holder.id().to_string()),
        "{text}"
    );
}

#[test]
fn with_an_npu_runtime_no_turns_are_taken() {
    let place = Place::new();
    let mut bench = SDK.quick(&place);
    succeed(bench.arg("--record-only").env(turns::VARIABLE, "/no/such/socket"));
    assert_eq!(place.record().status, Status::Complete);
}

#[test]
fn a_model_for_the_host_runtime_is_named_as_one() {
    let place = Place::new();
    let model = place.path("qwen.gguf");
    std::fs::write(&model, "x").expect("written");
    let output = run(place.bench(&SDK.program).arg("--models").arg(&model));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(
        text.contains("qwen.gguf") && text.contains("for the host runtime"),
        "{text}"
    );
    let output = run(place.bench(&SDK.program).args(["--model", "builtin:tiny"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("they are for the host runtime"), "{text}");
}
