//! `scripts/setup` with compilers and package managers that a test wrote.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{run, text_of};

fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    path
}

#[test]
fn a_compiler_without_the_standard_of_the_build_is_reported_as_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nothing is installed: the package manager fails.
    for name in ["apt-get", "sudo"] {
        program(folder.path(), name, "exit 1");
    }
    let old = r#"for argument; do case $argument in -std=c++2*) exit 1 ;; esac; done; exec c++ "$@""#;
    let old = program(folder.path(), "old-c++", old);
    let new = program(folder.path(), "new-c++", r#"exec c++ "$@""#);
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").expect("a path")
    );
    for (compiler, is_missing) in [(old, true), (new, false)] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup");
        let mut setup = Command::new(script);
        setup.env("CXX", &compiler).env("PATH", &path);
        let output = run(&mut setup);
        let text = text_of(&output);
        assert_eq!(text.contains("C++ compiler  missing"), is_missing, "{text}");
        if is_missing {
            assert_eq!(output.status.code(), Some(1), "{text}");
        }
    }
}

#[test]
fn the_help_names_the_standard_of_the_build() {
    let build = include_str!("../build.rs");
    let standard = build
        .split_once("const CXX_STANDARD: &str = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .expect("the constant")
        .0;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup");
    let text = text_of(&run(Command::new(script).arg("--help")));
    assert!(text.contains(&standard.to_uppercase()), "{text}");
}
