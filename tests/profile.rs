//! `--profile-time`, end to end: live inference under the profiler.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use common::host::{quick, turn};
use common::{Place, run, succeed, text_of};

/// The flamegraph of `total/summary`.
fn flamegraph(place: &Place, threads: &str) -> String {
    let mut bench = quick(place);
    bench.args(["--profile-time", "2", "--threads", threads, "total/summary"]);
    let text = succeed(&mut bench);
    assert!(text.contains("samples in") && !text.contains("symbols"), "{text}");
    assert!(!text.contains("Benchmarking"), "{text}");
    let folder = place.path("criterion/tiny-random-weights_quick/total/summary/profile");
    std::fs::read_to_string(folder.join("flamegraph.svg")).expect("drawn")
}

#[test]
fn a_flamegraph_tells_prefill_and_decode_apart_down_to_the_kernels() {
    let _turn = turn();
    let place = Place::new();
    // One thread waits for no other, so its time is the kernels'.
    let picture = flamegraph(&place, "1");
    for frame in [
        ">prefill (",
        ">decode (",
        "rkllm_bench::runtime::ffi::session::Session::run",
        ">rkb_run (",
        ">rkllm_run (",
        "llama_context::decode",
        "ggml_vec_dot",
    ] {
        assert!(picture.contains(frame), "no {frame} in {picture}");
    }
    assert!(
        place.records().is_empty(),
        "nothing was measured under the profiler"
    );
}

#[test]
fn threads_of_the_runtime_are_in_a_flamegraph_too() {
    let _turn = turn();
    let picture = flamegraph(&Place::new(), "2");
    let frame = "ggml_graph_compute_secondary_thread";
    assert!(picture.contains(frame), "no {frame} in {picture}");
}

#[test]
fn a_filter_chooses_the_phase_whose_folder_gets_the_picture() {
    let _turn = turn();
    let place = Place::new();
    succeed(quick(&place).args(["--profile-time", "1", "decode/question"]));
    let folder = place.path("criterion/tiny-random-weights_quick/decode/question/profile");
    assert!(folder.join("flamegraph.svg").is_file());
    assert!(!place.path("criterion/tiny-random-weights_quick/total").exists());
}

#[test]
fn a_model_that_does_not_load_is_told() {
    let place = Place::new();
    let model = place.path("broken.gguf");
    std::fs::write(&model, "not a model").expect("written");
    let mut bench = place.bench(&common::host::QUICK);
    let output = run(bench
        .args(["--profile-time", "1", "total/question", "--models"])
        .arg(&model));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("broken/quick/total/question") && text.contains("1 prompts were not profiled"),
        "{text}"
    );
}

#[test]
fn an_executable_without_symbols_is_named_as_the_cause_of_an_empty_picture() {
    let _turn = turn();
    let place = Place::new();
    let stripped = place.path("stripped");
    std::fs::copy(&*common::host::QUICK, &stripped).expect("copied");
    succeed(common::command("strip").arg(&stripped));
    let mut bench = place.bench(&stripped);
    bench.args(["--profile-time", "1.5", "total/question", "--models"]);
    let text = succeed(bench.arg(&*common::host::MODEL));
    assert!(text.contains("samples in"), "{text}");
    assert!(
        text.contains("no symbols") && text.contains("CARGO_PROFILE_BENCH_STRIP=false"),
        "{text}"
    );
}
