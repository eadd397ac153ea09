//! Which files are models, what they are called, and what is known of them, end to end on the host runtime.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use common::gguf::{Gguf, Value};
use common::host::{MODEL, QUICK, tool, turn};
use common::{Place, run, succeed, text_of};
use sha2::{Digest as _, Sha256};

/// Metadata of a file.
type Keys<'a> = &'a [(&'a str, Value<'a>)];

/// A folder for models in `place`.
fn models(place: &Place) -> PathBuf {
    let folder = place.path("models");
    std::fs::create_dir(&folder).expect("made");
    folder
}

fn copy_model(to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    std::fs::copy(&*MODEL, to).expect("copied");
}

/// A bench that ends with 64 and says all of `words`; nothing was measured.
#[track_caller]
fn refused(place: &Place, bench: &mut std::process::Command, words: &[&str]) {
    let output = run(bench);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} in: {text}");
    }
    assert!(place.records().is_empty(), "{text}");
}

#[test]
fn files_that_are_no_models_are_left_out_with_their_reason() {
    let place = Place::new();
    let folder = models(&place);
    copy_model(&folder.join("real.gguf"));
    let text = Value::Text;
    let rows: [(&str, Keys<'_>, &str); 5] = [
        (
            "mmproj-real",
            &[
                ("general.type", text("mmproj")),
                ("general.architecture", text("clip")),
            ],
            "a projector",
        ),
        (
            "style",
            &[
                ("general.type", text("adapter")),
                ("general.architecture", text("llama")),
            ],
            "an adapter",
        ),
        (
            "calibration",
            &[("general.type", text("imatrix"))],
            "an importance matrix",
        ),
        (
            "embedder",
            &[("general.architecture", text("bert"))],
            "an embedding model",
        ),
        (
            "masked",
            &[
                ("general.architecture", text("llama")),
                ("llama.attention.causal", Value::Flag(false)),
            ],
            "llama.attention.causal is false",
        ),
    ];
    for (name, keys, _) in rows {
        Gguf::small(keys).write(&folder.join(format!("{name}.gguf")));
    }
    let output = run(place.bench(&QUICK).args(["--list", "--models"]).arg(&folder));
    let listed = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{listed}");
    assert!(listed.contains("real/quick/decode/question"), "{listed}");
    let tool = succeed(tool(&place).args(["models", "--models"]).arg(&folder));
    assert!(tool.contains("\nreal\t"), "{tool}");
    for (name, _, reason) in rows {
        assert!(!listed.contains(&format!("{name}/quick")), "{listed}");
        for text in [&listed, &tool] {
            let line = text.lines().find(|line| line.contains(&format!("{name}.gguf")));
            let line = line.unwrap_or_else(|| panic!("{name} in: {text}"));
            assert!(line.starts_with("skipped") && line.contains(reason), "{line}");
        }
        let file = folder.join(format!("{name}.gguf"));
        refused(
            &place,
            place.bench(&QUICK).arg("--models").arg(&file),
            &[name, reason],
        );
        let by_name = &mut place.bench(&QUICK);
        refused(
            &place,
            by_name.args(["--model", name, "--models"]).arg(&folder),
            &[name, reason],
        );
    }
    std::fs::remove_file(folder.join("real.gguf")).expect("removed");
    refused(
        &place,
        place.bench(&QUICK).arg("--models").arg(&folder),
        &["no .gguf model", "a projector", "an embedding model"],
    );
}

#[test]
fn a_model_in_shards_is_one_model_with_one_identity() {
    let _turn = turn();
    let place = Place::new();
    let folder = models(&place);
    let shards = Gguf::read(&MODEL).split(&folder.join("big"), 3);
    let tool_text = succeed(tool(&place).args(["models", "--models"]).arg(&folder));
    assert!(
        tool_text.contains("\nbig\t") && tool_text.contains("and 2 more shards"),
        "{tool_text}"
    );
    let measure = |models: &Path| {
        let mut bench = place.bench(&QUICK);
        bench.args([
            "--record-only",
            "--sample-size",
            "1",
            "--max-new-tokens",
            "4",
            "question",
            "--models",
        ]);
        succeed(bench.arg(models));
    };
    measure(&folder);
    let record = place.record();
    let [model] = record.models.as_slice() else {
        panic!("{} models", record.models.len());
    };
    assert_eq!((&*model.name, &model.path), ("big", &shards[0]));
    let bytes: Vec<u8> = shards
        .iter()
        .flat_map(|shard| std::fs::read(shard).expect("read"))
        .collect();
    assert_eq!(model.bytes, bytes.len() as u64);
    assert_eq!(model.sha256, hex::encode(Sha256::digest(&bytes)));
    assert_eq!(model.prompts[0].samples.len(), 1);
    std::fs::remove_dir_all(place.path("runs")).expect("removed");
    // Any of the shards names the model.
    measure(&shards[1]);
    assert_eq!(place.record().models[0].path, shards[0]);

    std::fs::remove_dir_all(place.path("runs")).expect("removed");
    std::fs::remove_file(&shards[2]).expect("removed");
    let missing = ["part 3 of 3 is missing", "big-00003-of-00003.gguf"];
    refused(&place, place.bench(&QUICK).arg("--models").arg(&folder), &missing);
    refused(
        &place,
        place.bench(&QUICK).arg("--models").arg(&shards[1]),
        &missing,
    );
}

#[test]
fn models_whose_names_lost_something_stay_apart() {
    let _turn = turn();
    let place = Place::new();
    let folder = models(&place);
    let files = [
        "a b.gguf",
        "a-b.gguf",
        "\u{6a21}\u{578b}.gguf",
        "\u{6a21}\u{7248}.gguf",
    ];
    for file in files {
        copy_model(&folder.join(file));
    }
    let mut bench = place.bench(&QUICK);
    bench.args([
        "--quick",
        "--noplot",
        "--max-new-tokens",
        "4",
        "question",
        "--models",
    ]);
    succeed(bench.arg(&folder));
    let record = place.record();
    let mut names: Vec<&str> = record.models.iter().map(|model| &*model.name).collect();
    names.dedup();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(
        names.contains(&"a-b"),
        "what lost nothing keeps its name: {names:?}"
    );
    let reports = std::fs::read_dir(place.path("runs/reports")).expect("reports");
    assert_eq!(
        reports.count(),
        2 * (4 + 1),
        "a page and a file of each, and of all"
    );

    copy_model(&folder.join("a-b/weights.gguf"));
    std::fs::remove_dir_all(place.path("runs")).expect("removed");
    refused(
        &place,
        place.bench(&QUICK).arg("--models").arg(&folder),
        &["a-b.gguf", "a-b/weights.gguf", "would both be called a-b"],
    );
}

#[test]
fn paths_that_are_no_utf_8_are_refused_at_once_wherever_they_come_from() {
    let place = Place::new();
    let bad = |name: &str| -> OsString {
        let bytes = [name.as_bytes(), b"\xff"].concat();
        OsStr::from_bytes(&bytes).to_owned()
    };
    let folder = place.path("models");
    let mut file = folder.join(bad("m"));
    file.as_mut_os_string().push(".gguf");
    copy_model(&file);
    let shown = ["m\u{fffd}.gguf", "UTF-8"];
    for more in [&[][..], &["--in-process"], &["--list"]] {
        refused(
            &place,
            place.bench(&QUICK).args(more).arg("--models").arg(&file),
            &shown,
        );
        refused(
            &place,
            place.bench(&QUICK).args(more).arg("--models").arg(&folder),
            &shown,
        );
    }
    let bench = || {
        let mut bench = place.bench(&QUICK);
        bench.arg("--models").arg(&*MODEL);
        bench
    };
    for flag in ["--output", "--prompts", "--models"] {
        refused(&place, bench().arg(flag).arg(bad("x")), &["x\u{fffd}", "UTF-8"]);
    }
    for variable in ["CARGO_TARGET_DIR", "CRITERION_HOME", "RKLLM_BENCH_PROMPTS"] {
        refused(&place, bench().env(variable, bad("x")), &[variable, "x\u{fffd}"]);
    }
    let here = place.path("").join(bad("cwd"));
    std::fs::create_dir(&here).expect("made");
    refused(
        &place,
        bench().current_dir(&here),
        &["working directory", "cwd\u{fffd}"],
    );
    let copied = here.join("quick");
    std::fs::copy(&*QUICK, &copied).expect("copied");
    let mut moved = place.bench(&copied);
    refused(
        &place,
        moved.arg("--models").arg(&*MODEL),
        &["this program's own path", "cwd\u{fffd}"],
    );

    let output = run(tool(&place).args(["models", "--models"]).arg(&file));
    assert_eq!(output.status.code(), Some(64));
    assert!(
        text_of(&output).contains("m\u{fffd}.gguf"),
        "{}",
        text_of(&output)
    );
}

#[test]
fn what_the_runtime_warned_of_is_on_screen_in_the_record_and_in_the_report() {
    let _turn = turn();
    for in_process in [false, true] {
        let place = Place::new();
        let model = place.path("raises.gguf");
        let raises = Value::Text("{{ raise_exception('Only user and assistant roles are supported!') }}");
        Gguf::read(&MODEL)
            .with("tokenizer.chat_template", raises)
            .write(&model);
        let mut bench = place.bench(&QUICK);
        bench.args([
            "--quick",
            "--noplot",
            "--max-new-tokens",
            "4",
            "question",
            "--models",
        ]);
        bench.arg(&model);
        if in_process {
            bench.arg("--in-process");
        }
        let text = succeed(&mut bench);
        let words = "prompts are not wrapped";
        let unfolded = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            unfolded.contains("the runtime warned: ") && unfolded.contains(words),
            "{text}"
        );
        let record = place.record();
        let [warning] = record.models[0].warnings.as_slice() else {
            panic!("{:?}", record.models[0].warnings);
        };
        assert!(
            warning.starts_with("W rkllm: ") && warning.contains(words),
            "{warning}"
        );
        for ending in ["md", "json"] {
            let entries = std::fs::read_dir(place.path("runs/reports")).expect("reports");
            let mut files = entries.map(|entry| entry.expect("listed").path());
            let file = files.find(|path| path.extension().is_some_and(|found| found == ending));
            let page = std::fs::read_to_string(file.expect("a report")).expect("read");
            assert!(page.contains(words), "{page}");
        }
    }
    let plain = Place::new();
    let mut bench = plain.bench(&QUICK);
    bench.args([
        "--quick",
        "--noplot",
        "--max-new-tokens",
        "4",
        "question",
        "--models",
    ]);
    let text = succeed(bench.arg(&*MODEL));
    assert!(!text.contains("warned"), "{text}");
}

#[test]
fn threads_and_cpus_that_are_not_there_are_refused_before_a_run() {
    let place = Place::new();
    let bench = || {
        let mut bench = place.bench(&QUICK);
        bench.arg("--models").arg(&*MODEL);
        bench
    };
    refused(&place, bench().args(["--threads", "127"]), &["127 threads"]);
    // CPU 31 is no part of the machines that these tests run on.
    let mask = ["--cpu-mask", "0x80000000"];
    let allowed = rkllm_bench::board::allowed_cpus().expect("known");
    assert_eq!(
        allowed & 0x8000_0000,
        0,
        "a machine of 32 CPUs: take another mask"
    );
    refused(
        &place,
        bench().args(mask),
        &["--cpu-mask 0x80000000", "may not use"],
    );
}
