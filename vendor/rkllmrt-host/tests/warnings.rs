//! `W` lines of `rkllm_init`, which go to stdout. One test in a process of its own: stdout is the process's.
#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

mod common;

use std::io::{Read as _, Seek as _};

use common::gguf::{Value, write_with};
use common::{Client, greedy, small};

/// The `W` lines that `body` has the runtime write.
fn warnings_of(body: impl FnOnce()) -> Vec<String> {
    let mut file = tempfile::tempfile().expect("a temporary file");
    let saved = rustix::io::dup(rustix::stdio::stdout()).expect("stdout is duplicated");
    rustix::stdio::dup2_stdout(&file).expect("stdout goes to the file");
    body();
    rustix::stdio::dup2_stdout(&saved).expect("stdout is back");
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .expect("the file is read");
    let lines = text.lines().filter(|line| line.starts_with("W rkllm: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn what_is_not_as_asked_for_is_said_in_one_line_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let load = |path| drop(Client::load(path, &greedy()));
    assert_eq!(warnings_of(|| load(small())), [] as [&str; 0]);

    let template = Value::Text(c"{{ raise_exception(\"only for others\") }}");
    write_with(
        &[(c"tokenizer.chat_template", template)],
        |_| true,
        small(),
        &path,
    );
    let warnings = warnings_of(|| load(&path));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("chat template") && warnings[0].contains("prompts are not wrapped"),
        "{warnings:?}"
    );

    // llama.cpp's own: an end token that is not in the vocabulary.
    let end = Value::Number(1_000_000);
    write_with(&[(c"tokenizer.ggml.eos_token_id", end)], |_| true, small(), &path);
    let warnings = warnings_of(|| load(&path));
    assert!(
        warnings
            .iter()
            .any(|line| line.starts_with("W rkllm: llama.cpp: ") && line.contains("special token")),
        "{warnings:?}"
    );

    let mut param = greedy();
    param.extend_param.enabled_cpus_num = 127;
    param.extend_param.enabled_cpus_mask = 0;
    let warnings = warnings_of(|| drop(Client::load(small(), &param)));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("127 threads on any CPU asked for"),
        "{warnings:?}"
    );
}
