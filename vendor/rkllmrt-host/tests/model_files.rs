//! GGUF files that are no models, models that generate no text, and models in several files.

mod common;

use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::ptr;

use rkllmrt::model_file::{ModelFile, Shard, look, shards};

use common::gguf::{Lora, Value, split, write_with};
use common::stderr::refused;
use common::{Client, greedy, infer_param, small};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

/// An init that fails with one line: `cannot use` the file, and what it is; not a word of damage.
#[track_caller]
fn cannot_use(path: &Path, words: &[&str]) {
    let init = || {
        let (status, handle) = common::init(path, &greedy(), ptr::null_mut());
        assert!(handle.is_null(), "{}", path.display());
        status
    };
    refused(init, &[&["cannot use", &*path.to_string_lossy()], words].concat());
}

#[test]
fn what_is_no_model_is_named_by_what_it_is() {
    type Row<'a> = (&'a [(&'a CStr, Value<'a>)], &'a [&'a str]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file.gguf");
    let (kind, architecture) = (c"general.type", c"general.architecture");
    let text = Value::Text;
    let rows: [Row<'_>; 7] = [
        (&[(kind, text(c"mmproj"))], &["projector", "general.type mmproj"]),
        // Before general.type had a word for it.
        (
            &[(architecture, text(c"clip"))],
            &["projector", "general.architecture clip"],
        ),
        (&[(kind, text(c"adapter"))], &["adapter", "goes with a model"]),
        (&[(kind, text(c"imatrix"))], &["importance matrix"]),
        (&[(architecture, text(c"controlvector"))], &["control vector"]),
        (&[(kind, text(c"diary"))], &["no model", "general.type diary"]),
        (&[(kind, text(c"model"))], &[]),
    ];
    for (values, words) in rows {
        write_with(values, |_| true, small(), &path);
        if words.is_empty() {
            assert_eq!(look(&path).expect("read").unfit, None, "a model says so");
            Client::load(&path, &greedy());
        } else {
            cannot_use(&path, words);
        }
    }
    write_with(&[], |_| false, small(), &path);
    cannot_use(&path, &["vocabulary without weights"]);
    let lora = Lora {
        architecture: c"llama",
        target: "blk.0.attn_q.weight",
        n_in: 64,
        n_out: 64,
        seed: 1,
        factor: 1.0,
    };
    lora.write(&path);
    cannot_use(&path, &["it is an adapter"]);
}

#[test]
fn models_that_generate_no_text_are_refused_before_they_are_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let architectures = [
        (c"bert", "embedding"),
        (c"nomic-bert-moe", "embedding"),
        (c"modern-bert", "embedding"),
        (c"jina-bert-v3", "embedding"),
        (c"gemma-embedding", "embedding"),
        (c"llama-embed", "embedding"),
        (c"t5", "encoder"),
        (c"t5encoder", "encoder"),
        (c"dream", "diffusion"),
        (c"wavtokenizer-dec", "sound"),
    ];
    for (name, word) in architectures {
        write_with(
            &[(c"general.architecture", Value::Text(name))],
            |_| true,
            small(),
            &path,
        );
        cannot_use(&path, &["generates no text", word, name.to_str().expect("UTF-8")]);
    }
    for (key, value, word) in [
        (
            c"llama.attention.causal",
            Value::Flag(false),
            "llama.attention.causal is false",
        ),
        (c"llama.pooling_type", Value::Number(1), "llama.pooling_type is 1"),
        (c"llama.pooling_type", Value::Number(3), "llama.pooling_type is 3"),
        (
            c"llama.classifier.output_labels",
            Value::Number(2),
            "into classes",
        ),
    ] {
        write_with(&[(key, value)], |_| true, small(), &path);
        cannot_use(&path, &["generates no text", word]);
    }
    // What generates says the same of itself in other words.
    for (key, value) in [
        (c"llama.attention.causal", Value::Flag(true)),
        (c"llama.pooling_type", Value::Number(0)),
        (c"llama.pooling_type", Value::Number(u32::MAX)),
    ] {
        write_with(&[(key, value)], |_| true, small(), &path);
        Client::load(&path, &greedy());
    }
}

#[test]
fn a_model_in_shards_is_one_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = Client::small().run(&PROMPT, &infer_param()).ids();
    for (name, first_is_bare) in [("spread", false), ("bare", true)] {
        let files = split(small(), &folder.path().join(name), 3, first_is_bare);
        let shard = |number| Some(Shard { number, count: 3 });
        for (number, path) in (1..).zip(&files) {
            let known = ModelFile {
                unfit: None,
                has_tokenizer: true,
                has_embedding: true,
                shard: shard(number),
            };
            assert_eq!(look(path).expect("read"), known, "{}", path.display());
            assert_eq!(shards(path, known.shard).expect("all there"), files);
        }
        let client = Client::load(&files[0], &greedy());
        assert_eq!(client.run(&PROMPT, &infer_param()).ids(), whole, "{name}");
        cannot_use(&files[1], &["part 2 of 3", "load ", "-00001-of-00003.gguf"]);
        let renamed = folder.path().join("renamed.gguf");
        fs::copy(&files[0], &renamed).expect("copied");
        cannot_use(&renamed, &["does not end in -00001-of-00003.gguf"]);
        fs::remove_file(&files[2]).expect("removed");
        cannot_use(
            &files[0],
            &["part 3 of 3 is missing", &files[2].to_string_lossy()],
        );
    }
}

#[test]
fn a_name_that_is_no_utf_8_is_a_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(OsStr::from_bytes(b"m\xff.gguf"));
    fs::copy(small(), &path).expect("copied");
    assert_eq!(look(&path).expect("read").unfit, None);
    let missing = folder
        .path()
        .join(OsStr::from_bytes(b"n\xff-00001-of-00002.gguf"));
    let error = shards(&missing, Some(Shard { number: 1, count: 2 })).expect_err("not there");
    assert!(error.contains("part 1 of 2 is missing"), "{error}");
}
