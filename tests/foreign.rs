//! What others say, name and leave: text that a terminal would act on, names that lead elsewhere, numbers that cannot be, and
//! files that another user planted.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use common::host::{MODEL, QUICK, RUN, bench, quick, tool, turn};
use common::http::{Scripted, document, event, send};
use common::{Place, children, run, succeed, text_of, wait_until};
use rkllm_bench::record::RunRecord;
use serde_json::{Value, json};

/// What a terminal acts on: a title (OSC), a cleared screen (CSI), C1, DEL, a line end, a mark that turns round what is
/// behind it, and a style such as ours.
const HOSTILE: &str =
    "x\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2J\u{90}\u{7f}\rerror: fake\u{202e}\u{2066}\u{2028}\u{1b}[31m\u{8}";

static SERVER: LazyLock<PathBuf> = LazyLock::new(|| bench("server"));

/// Asserts that nothing in a program's output acts on a terminal, except its own styles.
#[track_caller]
fn assert_harmless(output: &Output, what: &str) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8(bytes.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
        // Styles that hostile text has too would hide it: it has `[2J` beside each.
        let unstyled = ["\u{1b}[1m", "\u{1b}[0m", "\u{1b}[31m", "\u{1b}[32m"]
            .iter()
            .fold(text.clone(), |text, style| text.replace(style, ""));
        let active = |c: char| {
            (c.is_control() && c != '\n' && c != '\t')
                || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        let found: Vec<char> = unstyled.chars().filter(|c| active(*c)).collect();
        assert!(found.is_empty(), "{what}: {found:?} in {text:?}");
        assert!(
            !text.contains("\nerror: fake"),
            "{what}: a line of its own: {text}"
        );
    }
}

/// Where there are texts in a document, one place for each kind.
fn texts(value: &Value, path: &str, kind: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::String(_) => {
            found.entry(kind.to_owned()).or_insert_with(|| path.to_owned());
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                texts(item, &format!("{path}/{index}"), &format!("{kind}/*"), found);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                texts(item, &format!("{path}/{name}"), &format!("{kind}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// A record that has every text that one can have.
fn full_record() -> Value {
    let mut record = serde_json::to_value(&*RUN).expect("serialises");
    record["filter"] = json!("a filter");
    record["label"] = json!("a label");
    let failure = json!({"kind": "refused", "message": "a message", "last_lines": ["a line"]});
    let model = &mut record["models"][0];
    model["unload_failure"] = failure.clone();
    model["prompts"][0]["failures"] = json!([failure]);
    model["prompts"][0]["given_up"] = json!("a reason");
    record
}

#[test]
fn no_text_of_a_record_reaches_the_terminal_raw() {
    let place = Place::new();
    let file = place.path("target/rkllm-bench/runs/hostile.json");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    let record = full_record();
    let path = file.to_str().expect("UTF-8");
    let commands: [&[&str]; 8] = [
        &["report", path],
        &["runs", "list"],
        &["runs", "list", "--format", "json"],
        &["compare", path],
        &["compare", path, "--format", "json"],
        &["gate", "--baseline", path, "--runs", path],
        &["gate", "--baseline", path, "--runs", path, "--format", "markdown"],
        &["runs", "rm", HOSTILE],
    ];
    let mut kinds = BTreeMap::new();
    texts(&record, "", "", &mut kinds);
    assert!(kinds.len() > 30, "{kinds:?}");
    let mut read = 0;
    for place_of_text in kinds.values() {
        let mut record = record.clone();
        let text = record.pointer_mut(place_of_text).expect("there");
        *text = json!(format!("{}{HOSTILE}", text.as_str().expect("a text")));
        std::fs::write(&file, record.to_string()).expect("written");
        read += usize::from(RunRecord::load(&file).is_ok());
        for words in commands {
            let output = run(tool(&place).args(words).args(["--color", "always"]));
            assert_harmless(&output, &format!("{place_of_text} by {words:?}"));
        }
        for page in files_below(&place.path("target/rkllm-bench/reports")) {
            let text = std::fs::read_to_string(&page).expect("text");
            let raw = text.contains(['\u{1b}', '\u{9b}', '\u{7f}', '\u{202e}', '\u{2066}']);
            assert!(!raw, "{place_of_text} in {}", page.to_string_lossy());
        }
    }
    assert!(read > 5, "only {read} of these records were read");
    eprintln!(
        "{} places of text in a record by {} commands",
        kinds.len(),
        commands.len()
    );
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn no_name_of_a_file_or_an_argument_reaches_the_terminal_raw() {
    let place = Place::new();
    let name = HOSTILE.replace('/', "");
    let folder = place.path(&format!("models-{name}"));
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join(format!("none-{name}.gguf")), "GGUF").expect("written");
    std::fs::write(folder.join(format!("other-{name}.rkllm")), "").expect("written");
    let folder = folder.to_str().expect("UTF-8");
    let rows: [&[&str]; 12] = [
        &["models", "--models", folder],
        &["report", folder],
        &["compare", folder],
        &["compare", &name],
        &["gate", "--baseline", &name],
        &["gate", "--baseline", folder, "--runs", folder],
        &["baseline", "show", &name],
        &["baseline", "import", folder],
        &["doctor", "--root", folder],
        &["pin", "--root", folder],
        &["export", "--to", "csv", "--runs", folder],
        &[&name],
    ];
    for words in rows {
        let output = run(tool(&place).args(words).args(["--color", "always"]));
        assert_harmless(&output, &format!("{words:?}"));
        assert_ne!(text_of(&output), "", "{words:?}");
    }
    for arguments in [
        ["--models", folder],
        ["--model", &name],
        ["--prompts", folder],
        ["--label", &name],
        ["--save-baseline", &name],
        ["--sample-size", &name],
    ] {
        let output = run(place.bench(&QUICK).args(arguments).args(["--color", "always"]));
        assert_ne!(output.status.code(), Some(0), "{}", text_of(&output));
        assert_harmless(&output, &format!("{arguments:?}"));
    }
}

#[test]
fn nothing_that_a_server_says_reaches_the_terminal_raw() {
    let said = |place: &Place, server: &Scripted, arguments: &[&str]| {
        let mut command = place.bench(&SERVER);
        command.args(["--url", &server.url, "--noplot", "--quick", "--color", "always"]);
        run(command.args(arguments).env("RKLLM_BENCH_MAX_NEW_TOKENS", "2"))
    };
    let names = [HOSTILE, "two\u{1b}[2J\n", ".."];
    let list = move |to: &mut std::net::TcpStream| {
        let entries: Vec<Value> = names.iter().map(|id| json!({"id": id})).collect();
        document(to, "200 OK", &json!({"data": entries}))
    };
    let refusing = Scripted::start(move |asked, to| match asked.page.as_str() {
        "GET /v1/models" => list(to),
        "POST /v1/chat/completions" => document(to, "500 Oops", &json!({"error": {"message": HOSTILE}})),
        _ => document(to, "404 Not Found", &json!({"detail": HOSTILE})),
    });
    let answering = Scripted::start(move |asked, to| match asked.page.as_str() {
        "GET /v1/models" => list(to),
        "POST /v1/chat/completions" => {
            let chunk = |text: &str| {
                event(
                    &json!({"model": HOSTILE, "choices": [{"delta": {"content": text}, "finish_reason": null}],
                              HOSTILE: HOSTILE}),
                )
            };
            let end = event(&json!({"choices": [{"delta": {}, "finish_reason": HOSTILE}]}));
            send(
                to,
                &[chunk(HOSTILE), chunk(" b"), end, b"data: [DONE]\n\n".to_vec()],
            )
        }
        _ => document(to, "404 Not Found", &json!({"detail": HOSTILE})),
    });
    for (what, server) in [("refusing", &refusing), ("answering", &answering)] {
        for arguments in [
            &[][..],
            &["--all-models"],
            &["--model", HOSTILE],
            &["--model", ".."],
        ] {
            let place = Place::new();
            let output = said(&place, server, arguments);
            assert_harmless(&output, &format!("{what} {arguments:?}"));
            for page in files_below(&place.path("")) {
                let below = page
                    .strip_prefix(place.path(""))
                    .expect("below")
                    .to_string_lossy();
                assert!(!below.contains(char::is_control), "{below:?}");
            }
        }
    }
}

#[test]
fn a_name_of_dots_stays_in_its_folder() {
    let _turn = turn();
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir(&models).expect("made");
    for name in ["...gguf", "\u{1b}]0;a\u{7}.gguf"] {
        std::fs::copy(&*MODEL, models.join(name)).expect("copied");
    }
    let mut command = place.bench(&QUICK);
    command.args(["--max-new-tokens", "4", "--quick", "question", "--models"]);
    let output = run(command.arg(&models).args(["--color", "always"]));
    assert_harmless(&output, "names of models");
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    let record = place.record();
    assert!(
        record.models.iter().all(|model| model.name.starts_with("name-")
            || model.name.starts_with("0-a-")
            || model.name.len() > 12),
        "{record:?}"
    );
    let expected = ["criterion", "models", "runs"];
    let mut entries: Vec<String> = std::fs::read_dir(place.path(""))
        .expect("listed")
        .map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned())
        .collect();
    entries.sort();
    assert_eq!(
        entries, expected,
        "nothing is above criterion's folder or left in the temporary one"
    );
    for file in files_below(&place.path("criterion"))
        .into_iter()
        .chain(files_below(&place.path("runs")))
    {
        let text = file.to_string_lossy().into_owned();
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn a_run_removes_what_a_killed_one_left() {
    let _turn = turn();
    let place = Place::new();
    let left = || {
        let entries = std::fs::read_dir(place.path("")).expect("listed").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with("rkllm-bench-"))
            .collect::<Vec<_>>()
    };
    let mut killed = quick(&place)
        .args(["--record-only", "--sample-size", "1000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    wait_until(|| !place.records().is_empty() && !children(killed.id()).is_empty());
    let of_first = left();
    assert_eq!(of_first.len(), 1, "{of_first:?}");
    // A run beside it takes nothing of it away.
    let other = Place::new();
    let mut beside = quick(&other);
    beside.args(["--record-only", "--sample-size", "1", "question"]);
    succeed(beside.env("TMPDIR", place.path("")));
    assert_eq!(left(), of_first);
    killed.kill().expect("killed");
    killed.wait().expect("ended");
    assert_eq!(left(), of_first, "it had no time to remove it");
    let next = Place::new();
    let mut after = quick(&next);
    after.args(["--record-only", "--sample-size", "1", "question"]);
    succeed(after.env("TMPDIR", place.path("")));
    assert_eq!(left(), Vec::<String>::new());
}

/// Another user of the machine; absent, with a line that says so, where the tests cannot act as one.
fn another_user() -> Option<u32> {
    const NOBODY: u32 = 65_534;
    let is_root = run(Command::new("id").arg("-u")).stdout == b"0\n";
    if !is_root {
        eprintln!("skipped: only root can act as another user");
    }
    is_root.then_some(NOBODY)
}

#[test]
fn a_link_that_was_planted_as_a_lock_is_not_followed() {
    let place = Place::new();
    let victim = place.path("victim");
    std::fs::write(&victim, "123\n").expect("written");
    std::fs::create_dir(place.path("criterion")).expect("made");
    let lock = place.path("criterion/rkllm-bench.lock");
    std::os::unix::fs::symlink(&victim, &lock).expect("a link");
    let mut command = quick(&place);
    command.args(["--record-only", "--sample-size", "1", "question"]);
    let output = run(&mut command);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(70), "{text}");
    assert!(
        text.contains("no lock for the results") && text.contains("remove it"),
        "{text}"
    );
    assert_eq!(std::fs::read_to_string(&victim).expect("read"), "123\n");
    assert!(lock.is_symlink());
}

#[test]
fn another_users_lock_excludes_and_is_not_written() {
    let Some(user) = another_user() else { return };
    let place = Place::new();
    std::fs::create_dir(place.path("criterion")).expect("made");
    let lock = place.path("criterion/rkllm-bench.lock");
    std::fs::write(&lock, "7\n").expect("written");
    std::os::unix::fs::chown(&lock, Some(user), Some(user)).expect("given away");
    std::fs::set_permissions(&lock, std::fs::Permissions::from_mode(0o644)).expect("set");
    // The test's folders are root's alone: the other user gets an open file.
    let file = std::fs::File::open(&lock).expect("opened");
    let mut holder = Command::new("sh")
        .args(["-c", "flock -x 0; exec sleep 60"])
        .stdin(file)
        .uid(user)
        .spawn()
        .expect("a shell");
    let is_held = || {
        let file = std::fs::File::open(&lock).expect("opened");
        file.try_lock().is_err()
    };
    wait_until(is_held);
    let mut command = quick(&place);
    command.args(["--record-only", "--sample-size", "1", "question"]);
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(70), "{}", text_of(&output));
    assert!(
        text_of(&output).contains("in use by process 7"),
        "{}",
        text_of(&output)
    );
    holder.kill().expect("killed");
    holder.wait().expect("ended");
    succeed(&mut command);
    assert_eq!(std::fs::read_to_string(&lock).expect("read"), "7\n");
    assert_eq!(lock.metadata().expect("there").uid(), user);
}

#[test]
fn root_takes_back_no_state_that_others_could_write() {
    let Some(user) = another_user() else { return };
    let place = Place::new();
    let folder = place.path("run/rkllm-bench");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::create_dir_all(place.path("sys")).expect("made");
    let state = folder.join("pin.json");
    let text = json!({"schema_version": 1, "board": null, "soc": null, "boot_id": null, "saved": []});
    let set = |path: &Path, owner: u32, mode: u32| {
        std::os::unix::fs::chown(path, Some(owner), None).expect("given");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    for (owner_of_folder, mode_of_folder, owner, mode, why) in [
        (0, 0o755, user, 0o644, Some("its owner is not root")),
        (0, 0o755, 0, 0o666, Some("users other than root can write to it")),
        (user, 0o755, 0, 0o644, Some("its owner is not root")),
        (0, 0o777, 0, 0o644, Some("users other than root can write to it")),
        (0, 0o755, 0, 0o644, None),
    ] {
        std::fs::write(&state, text.to_string()).expect("written");
        set(&folder, owner_of_folder, mode_of_folder);
        set(&state, owner, mode);
        let output = run(tool(&place).args(["unpin", "--root"]).arg(place.path("")));
        let said = text_of(&output);
        match why {
            Some(why) => {
                assert!(!output.status.success() && said.contains(why), "{said}");
                assert!(state.exists());
            }
            None => assert!(!said.contains("cannot be used"), "{said}"),
        }
    }
}

#[test]
fn parameters_that_no_run_has_are_refused() {
    let place = Place::new();
    let file = place.path("run.json");
    for (field, value, named) in [
        ("samples", json!(0), "samples"),
        ("samples", json!(9_223_372_036_854_775_808_u64), "samples"),
        ("samples", json!(-1), "samples"),
        ("samples", json!(1e25), "samples"),
        ("warm_up", json!(u64::MAX), "warm_up"),
        ("timeout_s", json!(u64::MAX), "timeout_s"),
        ("load_timeout_s", json!(0), "load_timeout_s"),
        ("max_context", json!(0), "max_context"),
    ] {
        let mut record = serde_json::to_value(&*RUN).expect("serialises");
        record["parameters"][field] = value.clone();
        std::fs::write(&file, record.to_string()).expect("written");
        let output = run(tool(&place)
            .args(["gate", "--baseline"])
            .arg(&file)
            .arg("--runs")
            .arg(&file));
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(64), "{field} {value}: {text}");
        assert!(text.contains(&format!("parameters.{named}")), "{text}");
    }
    let output = run(place.bench(&QUICK).args(["--sample-size", "9223372036854775808"]));
    assert_eq!(output.status.code(), Some(64), "{}", text_of(&output));
    assert!(
        text_of(&output).contains("at most 1000000"),
        "{}",
        text_of(&output)
    );
}

#[test]
fn a_servers_impossible_memory_is_unknown() {
    for (megabytes, expected) in [
        ("1e25", None),
        ("-3", None),
        ("1e12", None),
        ("512", Some(512_000_000)),
    ] {
        let server = Scripted::start(move |asked, to| match asked.page.as_str() {
            "GET /v1/models" => document(to, "200 OK", &json!({"data": [{"id": "m"}]})),
            "POST /v1/chat/completions" => {
                let chunk = event(&json!({"choices": [{"delta": {"content": "a"}, "finish_reason": null}]}));
                let perf = format!(
                    "data: {{\"choices\": [{{\"delta\": {{}}, \"finish_reason\": \"length\"}}], \"usage\": \
                     {{\"prompt_tokens\": 5, \"completion_tokens\": 2, \"prefill_time_ms\": 1.0, \"prefill_tokens\": 5, \"generate_time_ms\": 2.0, \"generate_tokens\": 2, \
                     \"memory_usage_mb\": {megabytes}}}}}\n\n"
                );
                send(
                    to,
                    &[
                        chunk.clone(),
                        chunk,
                        perf.into_bytes(),
                        b"data: [DONE]\n\n".to_vec(),
                    ],
                )
            }
            _ => document(to, "404 Not Found", &json!({})),
        });
        let place = Place::new();
        let mut command = place.bench(&SERVER);
        command.args(["--url", &server.url, "--noplot", "--quick", "question"]);
        let text = text_of(&run(command.env("RKLLM_BENCH_MAX_NEW_TOKENS", "2")));
        let record = place.record();
        let sample = record.models[0].prompts[0].samples.first();
        let sample = sample.or(record.models[0].prompts[0].warm_up.first());
        let sample = sample.unwrap_or_else(|| panic!("no inference: {text}"));
        assert_eq!(sample.inference.peak_rss_bytes, expected, "{megabytes}: {text}");
    }
}
