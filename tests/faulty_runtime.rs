//! What a faulty runtime does costs the sample at hand, with its cause on record: other prompts and models still run.
//!
//! The runtime is the stub of `tests/stub`, whose faults a script sets.

mod common;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use common::{
    Place, SDK, assert_every_prompt_has_its_figures, children, is_alive, run, send, suite_of_starts, text_of,
    wait_until,
};
use rkllm_bench::ledger::Mark;
use rkllm_bench::record::{Faults, RunRecord};

/// Runs the quick bench on a runtime that follows a script and gives exit code, text and record.
#[track_caller]
fn with_fault(script: &[&str], more: &[&str]) -> (Option<i32>, String, RunRecord) {
    let place = Place::new();
    let script = place.script(script);
    let output = run(SDK.quick(&place).args(more).env("STUB_SCRIPT", script));
    let text = text_of(&output);
    assert!(!place.records().is_empty(), "{text}");
    (output.status.code(), text, place.record())
}

#[test]
fn a_segfault_at_every_third_run_still_gives_every_prompts_figures() {
    let (code, text, record) = with_fault(&["run 3 segv"], &[]);
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
fn a_worker_that_ends_in_whatever_way_costs_the_sample_at_hand() {
    let rows = [
        ("run 20 exit", "the worker exited with code 7"),
        ("run 20 abort", "the worker was killed by SIGABRT (signal 6)"),
        (
            "run 20 oom",
            "the worker was killed by SIGKILL (signal 9), as the kernel does when memory is short",
        ),
    ];
    for (line, cause) in rows {
        let (code, text, record) = with_fault(&[line], &[]);
        assert_eq!(code, Some(1), "{line}: {text}");
        assert_every_prompt_has_its_figures(&record, &text);
        assert!(
            text.contains(cause) && text.contains("1 inference failed"),
            "{line}: {text}"
        );
    }
}

#[test]
fn a_hang_that_no_abort_ends_is_killed_past_the_deadline() {
    let (code, text, record) = with_fault(&["run 20 hang"], &["--timeout", "1"]);
    assert_eq!(code, Some(1), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(text.contains("was silent for 6 s and was killed"), "{text}");
}

#[test]
fn a_slow_run_is_aborted_at_the_deadline_and_the_model_stays_loaded() {
    let (code, text, record) = with_fault(&["run 20 slow"], &["--timeout", "1"]);
    assert_eq!(code, Some(0), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(text.contains("passed its deadline of 1 s"), "{text}");
}

#[test]
fn an_exception_and_a_refusal_are_failures_with_their_cause() {
    let (code, text, record) = with_fault(&["run 20 throw"], &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(text.contains("C++ exception: thrown by the stub"), "{text}");

    let (_, text, record) = with_fault(&["run 20 refuse"], &[]);
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(text.contains("the run failed: the runtime returned -1"), "{text}");
}

#[test]
fn faulty_statistics_are_rejected_by_name_and_made_good() {
    let rows = [
        ("run 20 no-finish", "no FINISH came after 8 tokens"),
        ("run 20 error", "the run failed: the runtime reported an error"),
        ("run 20 stale", "are those of the run before"),
        ("run 20 warm", "the KV cache was not cold"),
        ("run 20 nan", "generate_time_ms = NaN"),
        ("run 20 late", "a callback came after its run had returned"),
    ];
    for (line, reason) in rows {
        let (code, text, record) = with_fault(&[line], &[]);
        assert_eq!(code, Some(0), "{line}: {text}");
        assert_every_prompt_has_its_figures(&record, &text);
        assert!(text.contains(reason), "{line}: {text}");
        assert!(
            text.contains("1 inference rejected by the ledger"),
            "{line}: {text}"
        );
    }
}

/// Three samples of one prompt of ids, cold, warm and restored.
#[track_caller]
fn three_starts(script: &[&str]) -> (Option<i32>, String, RunRecord) {
    let suite = suite_of_starts();
    let prompts = suite.to_str().unwrap_or_default();
    with_fault(
        script,
        &["--record-only", "--sample-size", "3", "--prompts", prompts],
    )
}

#[test]
fn a_prompt_cache_that_is_not_saved_loaded_or_released_is_told_and_costs_nobody_else() {
    let (code, text, record) = three_starts(&[]);
    assert_eq!(code, Some(0), "{text}");
    let computed: Vec<Option<u32>> = record.models[0]
        .prompts
        .iter()
        .map(|prompt| prompt.prompt_tokens)
        .collect();
    assert_eq!(computed, [Some(6), Some(2), Some(2)], "{text}");

    // The first runs of the warm-up are a cold one, a prefix, the prompt behind it, then the prefix whose cache is saved.
    let rows = [
        ("run 4 no-cache", "saved no prompt cache to"),
        (
            "run 4 refuse",
            "the prefix could not be run and its cache saved before the prompt: the runtime returned -1",
        ),
        (
            "load 1 refuse",
            "the prompt cache of its prefix could not be loaded: rkllm_load_prompt_cache failed: the runtime returned -1",
        ),
    ];
    for (line, reason) in rows {
        let (code, text, record) = three_starts(&[line]);
        assert_eq!(code, Some(1), "{line}: {text}");
        assert!(text.contains(reason), "{line}: {text}");
        for prompt in &record.models[0].prompts[..2] {
            assert_eq!(prompt.samples.len(), 3, "{line}, {}: {text}", prompt.id);
        }
    }

    // Whether it still serves is not known then, so the model is loaded anew.
    let (code, text, record) = three_starts(&["release 2 refuse"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(
            "the prompt cache could not be released: rkllm_release_prompt_cache failed: the runtime returned -1"
        ),
        "{text}"
    );
    assert!(
        record.models[0]
            .prompts
            .iter()
            .all(|prompt| prompt.samples.len() == 3),
        "{text}"
    );
}

#[test]
fn a_worker_that_hangs_does_not_outlive_a_killed_parent() {
    let place = Place::new();
    let mut parent = SDK
        .quick(&place)
        .env("STUB_SCRIPT", place.script(&["run 3 hang"]))
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
    let (code, text, record) = with_fault(&["run 1 segv"], &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(record.faults().given_up, 3, "{text}");
    assert!(text.contains("3 prompts given up"), "{text}");
}

#[test]
fn whatever_happens_in_init_the_model_is_not_loaded_and_the_others_run() {
    let rows = [
        ("init 1 lies faulty", "returned 0 but gave no handle"),
        ("init 1 refuse faulty", "E rkllm: invalid rkllm model!"),
        ("init 1 segv faulty", "SIGSEGV (signal 11)"),
        ("init 1 abort faulty", "GGML_ASSERT: stub.c:1"),
        ("init 1 exit faulty", "exited with code 7"),
        (
            "init 1 oom faulty",
            "SIGKILL (signal 9), as the kernel does when memory is short",
        ),
        ("init 1 throw faulty", "C++ exception: thrown by the stub"),
        ("init 1 hang faulty", "was silent for 1 s and was killed"),
    ];
    for (line, reason) in rows {
        let place = Place::new();
        let models = place.path("models");
        std::fs::create_dir(&models).expect("made");
        for name in ["a-faulty.rkllm", "b-whole.rkllm"] {
            std::fs::write(models.join(name), "not a model").expect("written");
        }
        let mut bench = place.bench(&SDK.program);
        bench.args([
            "--noplot",
            "--quick",
            "--max-new-tokens",
            "8",
            "--load-timeout",
            "1",
            "--models",
        ]);
        let output = run(bench.arg(&models).env("STUB_SCRIPT", place.script(&[line])));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {text}");
        assert!(text.contains(reason), "{line}: {text}");
        assert!(text.contains("1 model not loaded"), "{line}: {text}");
        let record = place.record();
        let failure = record.models[0].load_failure.as_ref().expect("recorded");
        assert!(failure.to_string().contains(reason), "{line}: {failure}");
        for prompt in &record.models[1].prompts {
            assert_eq!(prompt.samples.len(), 2, "{line}: {text}");
        }
    }
}

#[test]
fn an_init_that_returns_0_without_a_model_costs_the_prompts_and_no_more() {
    let (code, text, record) = with_fault(&["init 1 hollow"], &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(record.faults().given_up, 3, "{text}");
    assert!(text.contains("SIGABRT") && text.contains("GGML_ASSERT"), "{text}");
}

#[test]
fn what_happens_in_destroy_costs_no_sample_and_is_told() {
    let rows = [
        ("destroy 1 segv", "SIGSEGV (signal 11)"),
        ("destroy 1 abort", "SIGABRT (signal 6)"),
        ("destroy 1 exit", "exited with code 7"),
        ("destroy 1 throw", "C++ exception: thrown by the stub"),
        ("destroy 1 refuse", "rkllm_destroy failed"),
        ("destroy 1 hang", "was silent for 10 s and was killed"),
    ];
    for (line, reason) in rows {
        let (code, text, record) = with_fault(&[line], &[]);
        assert_eq!(code, Some(1), "{line}: {text}");
        assert_every_prompt_has_its_figures(&record, &text);
        assert!(
            text.contains(reason) && text.contains("1 model failed on unloading"),
            "{line}: {text}"
        );
    }
}

#[test]
fn an_exception_from_any_call_has_its_name() {
    let rows = [
        ("params 1 throw", "rkllm_createDefaultParam"),
        ("clear 20 throw", "rkllm_clear_kv_cache"),
        ("size 20 throw", "rkllm_get_kv_cache_size"),
    ];
    for (line, call) in rows {
        let (code, text, _) = with_fault(&[line], &[]);
        assert_eq!(code, Some(1), "{line}: {text}");
        assert!(
            text.contains(&format!("{call} failed: C++ exception: thrown by the stub")),
            "{line}: {text}"
        );
    }
}

#[test]
fn an_exception_from_an_abort_costs_the_prompt_that_needed_it() {
    let (code, text, record) = with_fault(&["run 20 slow", "abort 1 throw"], &["--timeout", "1"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("rkllm_abort failed: C++ exception"), "{text}");
    assert_eq!(record.faults().given_up, 1, "{text}");
}

#[test]
fn callbacks_from_another_thread_and_text_that_is_null_are_taken() {
    for line in ["run 2 thread", "run 2 no-text"] {
        let (code, text, record) = with_fault(&[line], &[]);
        assert_eq!(code, Some(0), "{line}: {text}");
        assert_every_prompt_has_its_figures(&record, &text);
        assert_eq!(record.faults(), Faults::default(), "{line}: {text}");
    }
}

#[test]
fn statistics_of_zeroes_alone_are_none() {
    let (code, text, record) = with_fault(&["run 1 no-perf"], &[]);
    assert_eq!(code, Some(0), "{text}");
    let prompt = &record.models[0].prompts[0];
    assert_eq!((prompt.samples.len(), prompt.prompt_tokens), (10, None), "{text}");
    assert!(
        prompt
            .samples
            .iter()
            .all(|sample| sample.marks.contains(&Mark::NoStats))
    );
}

#[test]
fn a_paused_run_is_ended_before_the_next_one() {
    // The stub goes on with a paused answer, without a prefill, until it is told to abort.
    let (code, text, record) = with_fault(&["run 20 pause"], &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_every_prompt_has_its_figures(&record, &text);
    let faults = record.faults();
    assert_eq!((faults.rejected, faults.failed), (1, 0), "{text}");
}

#[test]
fn megabytes_of_garbage_on_both_streams_do_no_harm() {
    let (code, text, record) = with_fault(&["init 1 garbage", "run 10 garbage"], &[]);
    assert_eq!(code, Some(0), "{}", &text[..text.len().min(2000)]);
    assert_every_prompt_has_its_figures(&record, &text);
    assert!(!text.contains("####"), "the runtime's output is not ours");
    let runtime = &record.models[0].loaded.as_ref().expect("loaded").runtime;
    assert!(runtime.version_line().is_some(), "found before the garbage");
}

#[test]
fn memory_and_load_time_are_those_of_the_models_own_worker() {
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir(&models).expect("made");
    for name in ["a-fat.rkllm", "b-thin.rkllm"] {
        std::fs::write(models.join(name), "not a model").expect("written");
    }
    let mut bench = place.bench(&SDK.program);
    bench
        .args(["--noplot", "--quick", "--max-new-tokens", "8", "--models"])
        .arg(&models);
    let script = place.script(&["init 1 fat a-fat", "init 1 late b-thin"]);
    let output = run(bench.env("STUB_SCRIPT", script));
    assert!(output.status.success(), "{}", text_of(&output));
    let record = place.record();
    let loaded = |index: usize| record.models[index].loaded.clone().expect("loaded");
    let peak = |index: usize| {
        let inference = &record.models[index].prompts[0].samples[0].inference;
        (
            loaded(index).peak_rss_bytes.expect("known"),
            inference.peak_rss_bytes.expect("known"),
        )
    };
    let (at_load, at_run) = peak(0);
    assert!(at_load > 200_000_000 && at_run >= at_load, "{at_load} {at_run}");
    let (_, thin) = peak(1);
    assert!(
        thin < 150_000_000,
        "{thin}: what the first model took is not the second one's"
    );
    assert!(loaded(1).load_ns > 500_000_000, "the half second that init took");
}
