//! What bad input and bad surroundings get, end to end on the host runtime: an error that says what to do, an exit code
//! that is not 0, and all that was recorded until then on disk.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::host::{MODEL, QUICK, TABLE, quick, turn};
use common::{Place, children, command, is_alive, run, send, text_of, wait_until};
use rkllm_bench::inference::FailureKind;
use rkllm_bench::record::{RunRecord, Status};

#[test]
fn wrong_usage_is_64_and_says_what_is_right() {
    let rows: [(&[&str], &str); 18] = [
        (&["--sample-sise", "10"], "--sample-size"),
        (&["--sample-size", "3"], "at least 10"),
        (&["--sample-size", "0"], "at least 10"),
        (&["--record-only", "--sample-size", "0"], "at least 1;"),
        (
            &["--record-only", "--save-baseline", "a"],
            "RKLLM_BENCH_RECORD_ONLY",
        ),
        (&["--warm-up-time", "3"], "--sample-size"),
        (&["--models", "/no/such/place"], "/no/such/place"),
        (&["--model", "tiny"], "builtin:tiny"),
        (&["--model", "builtin:tini"], "did you mean builtin:tiny"),
        (&["--prompts", "/no/such/file.json"], "/no/such/file.json"),
        (&["("], "FILTER"),
        (&["--max-context", "64"], "--max-context"),
        (&["--threads", "127"], "127 threads"),
        (&["--npu-cores", "3"], "host runtime"),
        (&["--cpu-mask", "0"], "names no core"),
        (&["--profile-time", "0"], "--profile-time"),
        (&["--quick", "--sample-size", "20"], "cannot be used with"),
        (&["--depth", "many"], "--depth"),
    ];
    for (arguments, expected) in rows {
        let place = Place::new();
        let mut bench = place.bench(&QUICK);
        if !arguments.iter().any(|argument| argument.starts_with("--model")) {
            bench.arg("--models").arg(&*MODEL);
        }
        let output = run(bench.args(arguments));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert!(place.records().is_empty(), "{arguments:?} left a record");
    }
}

#[test]
fn a_model_for_the_other_runtime_is_named_as_one() {
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir(&models).expect("made");
    let npu = models.join("qwen.rkllm");
    std::fs::write(&npu, "x").expect("written");
    for models in [&models, &npu] {
        let output = run(place.bench(&QUICK).arg("--models").arg(models));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(
            text.contains("qwen.rkllm") && text.contains("NPU runtime") && text.contains("RKLLM_SDK"),
            "{text}"
        );
    }
}

#[test]
fn a_prompt_that_the_context_is_too_small_for_is_given_up_with_the_remedy() {
    let _turn = turn();
    // The prompt has 35 tokens: with 16 more it is too long for 48, and alone for 32.
    for context in ["48", "32"] {
        let place = Place::new();
        let output = run(quick(&place).args(["--noplot", "--max-context", context, "total/question"]));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("--max-context") && text.contains("1 prompt given up"),
            "{text}"
        );
        assert_eq!(place.record().status, Status::Complete);
    }
    let place = Place::new();
    let sizes = ["--prompt-tokens", "512", "--depth", "4096"];
    let output = run(place.bench(&TABLE).arg("--models").arg(&*MODEL).args(sizes));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(64), "ids are counted before: {text}");
    assert!(
        text.contains("a depth of 4096") && text.contains("increase --max-context"),
        "{text}"
    );
}

/// Runs a bench in a shell that does something to it, with `$0` for the bench and `$@` for its arguments.
fn in_shell(script: &str, bench: &Command) -> Command {
    let mut shell = command("bash");
    shell
        .arg("-c")
        .arg(script)
        .arg(bench.get_program())
        .args(bench.get_args());
    for (name, value) in bench.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
fn a_reader_that_leaves_costs_nothing() {
    let _turn = turn();
    for script in [
        r#""$0" "$@" | head -n 1; exit ${PIPESTATUS[0]}"#,
        r#""$0" "$@" 2>&1 | true; exit ${PIPESTATUS[0]}"#,
        r#"exec "$0" "$@" >&- 2>&-"#,
    ] {
        let place = Place::new();
        let mut bench = quick(&place);
        bench.args(["--noplot", "decode/question"]);
        let output = run(&mut in_shell(script, &bench));
        assert_eq!(output.status.code(), Some(0), "{script}: {}", text_of(&output));
        assert_eq!(place.record().status, Status::Complete, "{script}");
        let saved = "tiny-random-weights_quick/decode/question/new/estimates.json";
        assert!(
            place.path("criterion").join(saved).is_file(),
            "{script}: criterion's results"
        );
    }
}

#[test]
fn on_a_full_disk_the_figures_are_still_shown() {
    let _turn = turn();
    let place = Place::new();
    let mut bench = quick(&place);
    bench.args(["--noplot", "decode/question"]);
    // No file may grow beyond 4 KiB, which is less than a record.
    let output = run(&mut in_shell(
        r#"trap "" XFSZ; ulimit -f 4; exec "$0" "$@""#,
        &bench,
    ));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("the run record is not written") && text.contains("Measuring goes on"),
        "{text}"
    );
    assert!(
        text.contains("question") && text.contains("% inference)"),
        "{text}"
    );
    for record in place.records() {
        RunRecord::load(&record).expect("what is there is whole");
    }
}

#[test]
fn results_that_criterion_could_not_keep_are_told() {
    let _turn = turn();
    let place = Place::new();
    let model = place.path("criterion/tiny-random-weights_quick");
    std::fs::create_dir_all(&model).expect("made");
    std::fs::write(model.join("decode"), "a file where the folder should be").expect("written");
    let output = run(quick(&place).args(["--noplot", "decode/question"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("criterion did not keep its results of tiny-random-weights/quick/decode/question"),
        "{text}"
    );
    assert!(text.contains("% inference)"), "the figures are shown: {text}");
    assert_eq!(place.record().models[0].prompts[0].samples.len(), 10);
}

#[test]
fn a_target_folder_that_cannot_be_written_is_told_before_anything_is_measured() {
    let place = Place::new();
    let output = run(quick(&place).env("CRITERION_HOME", "/proc/no/such"));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("/proc/no") && text.contains("CRITERION_HOME=<folder>"),
        "{text}"
    );
    assert!(place.records().is_empty());
}

#[test]
fn a_second_run_on_one_folder_is_refused_with_the_holders_process() {
    let _turn = turn();
    let place = Place::new();
    let mut first = begin_long_run(&place);
    let second = Place::new();
    let output = run(quick(&second).env("CRITERION_HOME", place.path("criterion")));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains(&format!("process {}", first.id())) && text.contains("CRITERION_HOME"),
        "{text}"
    );
    // A list reads and writes nothing.
    let listed = run(quick(&second)
        .arg("--list")
        .env("CRITERION_HOME", place.path("criterion")));
    assert!(listed.status.success(), "{}", text_of(&listed));
    send("KILL", first.id());
    first.wait().expect("ended");
    let output = run(quick(&second)
        .args(["--test"])
        .env("CRITERION_HOME", place.path("criterion")));
    assert!(
        output.status.success(),
        "a dead holder holds nothing: {}",
        text_of(&output)
    );
}

#[test]
fn killed_at_any_moment_a_run_leaves_records_that_are_whole() {
    let _turn = turn();
    let mut most = 0;
    for moment in 0.. {
        // A loaded machine takes longer until the first sample.
        if moment >= 20 && most > 0 {
            break;
        }
        assert!(moment < 200, "none of the runs got as far as a sample");
        let place = Place::new();
        let mut child = long_run(&place).stderr(Stdio::null()).spawn().expect("started");
        // Spread over the first seconds: start, load, warm-up, samples.
        std::thread::sleep(Duration::from_millis(moment * 53));
        send("KILL", child.id());
        child.wait().expect("ended");
        for path in place.records() {
            let record = RunRecord::load(&path).expect("whole");
            assert_eq!(record.status, Status::Running);
            most = most.max(record.models[0].prompts[0].samples.len());
        }
    }
}

#[test]
fn on_a_narrow_terminal_the_table_folds_and_no_line_is_cut() {
    let _turn = turn();
    let place = Place::new();
    let mut bench = quick(&place);
    bench.args(["--noplot", "decode/question"]);
    let shown = in_shell(r#"stty cols 60; exec "$0" "$@""#, &bench);
    let words: Vec<String> = std::iter::once(shown.get_program())
        .chain(shown.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = command("script");
    script.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
    script
        .env("CRITERION_HOME", place.path("criterion"))
        .stdin(Stdio::null());
    let output = run(&mut script);
    let text = text_of(&output);
    assert!(output.status.success(), "{text}");
    let table: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("medians"))
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .collect();
    assert!(table.len() > 2, "the header is folded: {text}");
    assert!(table.iter().all(|line| line.trim_end().len() <= 60), "{table:#?}");
}

/// A GGUF file's head: how many tensors and keys follow, then what `rest` is.
fn gguf(version: u32, tensors: u64, keys: u64, rest: &[u8]) -> Vec<u8> {
    [
        b"GGUF".as_slice(),
        &version.to_le_bytes(),
        &tensors.to_le_bytes(),
        &keys.to_le_bytes(),
        rest,
    ]
    .concat()
}

/// A string as GGUF has it, which claims to be `length` bytes long.
fn gguf_text(text: &str, length: u64) -> Vec<u8> {
    [&length.to_le_bytes(), text.as_bytes()].concat()
}

/// One key with a value of a GGUF type.
fn gguf_key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [
        &gguf_text(name, name.len() as u64),
        kind.to_le_bytes().as_slice(),
        value,
    ]
    .concat()
}

/// Files that are no models, by name: cut off, damaged, or made to do harm.
fn hostile_files(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    const U32: u32 = 4;
    const TEXT: u32 = 8;
    const ARRAY: u32 = 9;
    let length = |text: &str| text.len() as u64;
    let architecture = gguf_key("general.architecture", TEXT, &gguf_text("llama", length("llama")));
    let with_count = |key: &str, count: u32| {
        let at = whole
            .windows(key.len())
            .position(|bytes| bytes == key.as_bytes())
            .expect("the built-in model has the key");
        let value = at + key.len() + 4;
        let mut bytes = whole.to_vec();
        bytes[value..value + 4].copy_from_slice(&count.to_le_bytes());
        bytes
    };
    let array = |count: u64| [TEXT.to_le_bytes().as_slice(), &count.to_le_bytes(), b"x"].concat();
    let tensor = |dimensions: [u64; 2], kind: u32, offset: u64| {
        let name = gguf_text("token_embd.weight", length("token_embd.weight"));
        let [a, b] = dimensions.map(u64::to_le_bytes);
        let info = [&name, 2_u32.to_le_bytes().as_slice(), &a, &b].concat();
        let info = [&info, kind.to_le_bytes().as_slice(), &offset.to_le_bytes()].concat();
        gguf(3, 1, 1, &[architecture.as_slice(), &info, &[0; 256]].concat())
    };
    let mut files: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("magic", b"GGML and more".to_vec()),
        ("version-0", gguf(0, 0, 0, b"")),
        ("version-99", gguf(99, 0, 0, b"")),
        ("no-architecture", gguf(3, 0, 0, b"")),
        ("tensors-2e63", gguf(3, 1 << 63, 0, b"")),
        ("tensors-2e40", gguf(3, 1 << 40, 0, b"")),
        ("keys-2e63", gguf(3, 0, 1 << 63, b"")),
        ("keys-2e40", gguf(3, 0, 1 << 40, b"")),
        ("key-2e60", gguf(3, 0, 1, &gguf_text("x", 1 << 60))),
        (
            "text-2e60",
            gguf(
                3,
                0,
                1,
                &gguf_key("general.architecture", TEXT, &gguf_text("x", 1 << 60)),
            ),
        ),
        (
            "array-2e60",
            gguf(
                3,
                0,
                1,
                &gguf_key("tokenizer.ggml.tokens", ARRAY, &array(1 << 60)),
            ),
        ),
        (
            "array-2e38",
            gguf(
                3,
                0,
                1,
                &gguf_key("tokenizer.ggml.tokens", ARRAY, &array(1 << 38)),
            ),
        ),
        ("type-99", gguf(3, 0, 1, &gguf_key("x", 99, b"x"))),
        (
            "alignment-0",
            gguf(3, 0, 1, &gguf_key("general.alignment", U32, &[0; 4])),
        ),
        ("no-vocabulary", gguf(3, 0, 1, &architecture)),
        ("dimensions", tensor([1 << 40, 1 << 40], 0, 0)),
        ("tensor-2e35", tensor([64, 1 << 35], 0, 0)),
        ("tensor-type", tensor([64, 4], 250, 0)),
        ("tensor-offset", tensor([64, 4], 0, 1 << 62)),
        ("layers-2e31", with_count("llama.block_count", 1 << 31)),
        ("layers-9", with_count("llama.block_count", 9)),
        ("width-0", with_count("llama.embedding_length", 0)),
        ("width-2e32", with_count("llama.embedding_length", u32::MAX)),
        ("heads-0", with_count("llama.attention.head_count", 0)),
        ("heads-2e32", with_count("llama.attention.head_count", u32::MAX)),
    ];
    let cuts = [
        1,
        4,
        8,
        20,
        24,
        100,
        1000,
        20_000,
        100_000,
        whole.len() / 2,
        whole.len() - 1,
    ];
    let cut_names = cuts.map(|at| format!("cut-{at}"));
    for (name, at) in cut_names.iter().zip(cuts) {
        files.push((name, whole[..at].to_vec()));
    }
    files
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}

#[test]
fn hostile_model_files_are_refused_without_a_crash_and_the_whole_one_runs() {
    let _turn = turn();
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir(&models).expect("made");
    let files = hostile_files(&std::fs::read(&*MODEL).expect("read"));
    for (name, bytes) in &files {
        std::fs::write(models.join(format!("{name}.gguf")), bytes).expect("written");
    }
    std::fs::copy(&*MODEL, models.join("whole.gguf")).expect("copied");
    let mut bench = place.bench(&QUICK);
    bench.args([
        "--quick",
        "--noplot",
        "--max-new-tokens",
        "4",
        "decode/question",
        "--models",
    ]);
    // Little address space: a file must not be believed that it needs much.
    let output = run(&mut in_shell(
        r#"ulimit -v 4000000; exec "$0" "$@""#,
        bench.arg(&models),
    ));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    // By their metadata these are no models that can be run.
    let skipped = [
        ("no-architecture", "no tokenizer"),
        ("no-vocabulary", "without weights"),
        ("tensor-2e35", "no tokenizer"),
    ];
    for (name, reason) in skipped {
        let line = text.lines().find(|line| line.contains(&format!("{name}.gguf")));
        assert!(
            line.is_some_and(|line| line.starts_with("skipped") && line.contains(reason)),
            "{text}"
        );
    }
    let failed = files.len() - skipped.len();
    assert!(text.contains(&format!("{failed} models not loaded")), "{text}");
    let record = place.record();
    for model in &record.models {
        if model.name == "whole" {
            assert_eq!(model.prompts[0].samples.len(), 2);
            continue;
        }
        let failure = model
            .load_failure
            .as_ref()
            .unwrap_or_else(|| panic!("{} was loaded", model.name));
        assert_eq!(failure.kind, FailureKind::Refused, "{}: {failure}", model.name);
        let last = failure.last_lines.last().expect("the runtime's line");
        assert!(
            last.starts_with("E rkllm: ") && last.contains(&format!("{}.gguf", model.name)),
            "{}: {last}",
            model.name
        );
    }
}

#[test]
fn what_is_no_model_is_refused_by_name_and_the_next_one_runs() {
    let _turn = turn();
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir_all(models.join("folder.gguf")).expect("made");
    std::fs::write(models.join("empty.gguf"), "").expect("written");
    std::os::unix::fs::symlink("/no/such/file", models.join("gone.gguf")).expect("linked");
    std::fs::copy(&*MODEL, models.join("whole.gguf")).expect("copied");
    let whole = std::fs::read(&*MODEL).expect("read");
    std::fs::write(models.join("half.gguf"), &whole[..whole.len() / 2]).expect("written");
    let output = run(place
        .bench(&QUICK)
        .args([
            "--noplot",
            "--verbose",
            "--max-new-tokens",
            "8",
            "decode/question",
            "--models",
        ])
        .arg(&models));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("3 models not loaded"), "{text}");
    for name in ["empty", "gone", "half"] {
        assert!(text.contains(&format!("{name}: ")), "{name}: {text}");
    }
    assert!(text.contains("whole/quick/decode/question"), "{text}");
}

#[test]
fn a_model_that_does_not_load_does_not_keep_the_others_from_running() {
    let _turn = turn();
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir(&models).expect("made");
    std::fs::write(models.join("broken.gguf"), "not a model").expect("written");
    std::fs::copy(&*MODEL, models.join("whole.gguf")).expect("copied");
    let output = run(place
        .bench(&QUICK)
        .args([
            "--noplot",
            "--verbose",
            "--max-new-tokens",
            "8",
            "decode/question",
            "--models",
        ])
        .arg(&models));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("broken: ") && text.contains("1 model not loaded"),
        "{text}"
    );
    assert!(text.contains("whole/quick/decode/question"), "{text}");
    assert_eq!(place.record().models[1].prompts[0].samples.len(), 10);
}

#[test]
fn a_record_that_cannot_be_written_costs_no_figures() {
    let _turn = turn();
    let place = Place::new();
    std::fs::write(place.path("runs"), "a file where the folder should be").expect("written");
    let output = run(quick(&place).args(["--noplot", "--verbose", "decode/question"]));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("quick/decode/question") && text.contains("tok/s"),
        "{text}"
    );
    assert!(
        text.contains(&format!("error: {}", place.path("runs").display())),
        "{text}"
    );
}

/// A run that would take minutes.
fn long_run(place: &Place) -> Command {
    let mut command = quick(place);
    command
        .args(["--noplot", "--sample-size", "1000"])
        .stdout(Stdio::null());
    command
}

/// A long run, started and observed until it has recorded something.
fn begin_long_run(place: &Place) -> Child {
    let mut child = long_run(place).stderr(Stdio::piped()).spawn().expect("started");
    wait_until(|| {
        assert!(
            child.try_wait().expect("known").is_none(),
            "the run ended by itself"
        );
        place.records().iter().any(|path| {
            RunRecord::load(path).is_ok_and(|record| record.models[0].prompts[0].samples.len() > 1)
        })
    });
    child
}

#[test]
fn a_signal_stops_the_run_and_its_worker_with_the_record_saved() {
    let _turn = turn();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new();
        let mut child = begin_long_run(&place);
        let workers = children(child.id());
        assert_eq!(workers.len(), 1);
        send(signal, child.id());
        let status = child.wait().expect("ended");
        let mut said = String::new();
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut said)
            .expect("read");
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(said.contains("what was recorded is in"), "{said}");
        wait_until(|| !is_alive(workers[0]));
        let record = place.record();
        assert_eq!(record.status, Status::Stopped);
        assert!(record.models[0].prompts[0].samples.len() > 1);
    }
}

#[test]
fn no_worker_outlives_a_killed_parent_and_the_record_is_whole() {
    let _turn = turn();
    let place = Place::new();
    let mut child = begin_long_run(&place);
    let workers = children(child.id());
    send("KILL", child.id());
    child.wait().expect("ended");
    wait_until(|| !is_alive(workers[0]));
    assert_eq!(place.record().status, Status::Running);
}
