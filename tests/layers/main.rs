//! The folders of `src` are the layers: what the sources import, against the order in `src/lib.rs`.

#![allow(clippy::expect_used, reason = "helpers of tests")]

mod imports;

use std::collections::BTreeSet;
use std::path::Path;

use imports::{Import, Sources, cycles};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The modules that `lib.rs` declares, in its order, without those for tests.
fn layers(src: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(src.join("lib.rs")).expect("lib.rs");
    let lib = syn::parse_file(&text).expect("Rust");
    let modules = lib.items.into_iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() && module.attrs.is_empty() => {
            Some(module.ident.to_string())
        }
        _ => None,
    });
    modules.collect()
}

/// The folder directly below `src` that a file is in.
fn layer_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

/// What is wrong with the imports of a crate: each against the order, and each group of files that import one another.
fn faults(src: &Path) -> Vec<String> {
    let layers = layers(src);
    let imports = Sources::read(src).imports();
    let rank = |file: &str| layers.iter().position(|layer| layer == layer_of(file));
    let is_root = |file: &str| file == "lib.rs" || file == "main.rs";
    let mut faults = Vec::new();
    for Import { from, to, path } in imports.iter().filter(|import| !is_root(&import.from)) {
        if is_root(to) {
            faults.push(format!(
                "{from} imports {path} by a re-export of lib.rs: name its own place"
            ));
        } else if rank(to) > rank(from) {
            faults.push(format!(
                "{from} imports {path}, but {} comes after {}",
                layer_of(to),
                layer_of(from)
            ));
        }
    }
    let edges: BTreeSet<(String, String)> = imports
        .into_iter()
        .filter(|import| !is_root(&import.from))
        .map(|import| (import.from, import.to))
        .collect();
    let circles = cycles(&edges).into_iter();
    faults.extend(circles.map(|files| format!("these files import one another: {}", files.join(", "))));
    faults
}

#[test]
fn a_folder_imports_only_from_those_before_it_and_no_files_import_one_another() {
    let faults = faults(&Path::new(ROOT).join("src"));
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// The unsafe layer, and what drives a runtime, stay out of what judges and shows.
#[test]
fn records_analysis_and_reports_come_before_the_runtime() {
    let layers = layers(&Path::new(ROOT).join("src"));
    let place = |name: &str| layers.iter().position(|layer| layer == name).expect(name);
    for layer in [
        "base",
        "inference",
        "inputs",
        "machine",
        "record",
        "analysis",
        "report",
    ] {
        assert!(place(layer) < place("runtime"), "{layer}");
    }
}

#[test]
fn the_page_on_the_architecture_has_the_same_order() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/architecture.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `src/"));
    let listed: Vec<&str> = rows
        .filter_map(|row| row.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(listed, layers(&Path::new(ROOT).join("src")));
}

#[test]
fn each_entry_of_src_is_a_layer() {
    let src = Path::new(ROOT).join("src");
    let mut expected: BTreeSet<String> = layers(&src).into_iter().collect();
    expected.extend(["fuzz", "lib.rs", "main.rs"].map(str::to_owned));
    let entries = std::fs::read_dir(&src).expect("src").flatten();
    let found: BTreeSet<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, expected);
}

/// Makes a crate of these files and looks at it.
fn faults_of(files: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    faults(dir.path())
}

#[test]
fn each_kind_of_fault_is_found() {
    let lib = ("lib.rs", "mod low;\n\nmod high;\n\npub use high::Shown;\n");
    let low = |text| ("low/mod.rs", text);
    let high = |text| ("high/mod.rs", text);
    let sound = high("use crate::low::Plain;\npub struct Shown(Plain);");
    assert_eq!(
        faults_of(&[lib, low("pub struct Plain;"), sound]),
        Vec::<String>::new()
    );
    let against = "low/mod.rs imports high::Shown, but high comes after low";
    for text in [
        "use crate::high::Shown;",
        "use crate::{high::Shown};",
        "use crate::high;\nfn f() -> high::Shown { todo!() }",
        "use crate::high as above;\nfn f() -> above::Shown { todo!() }",
        "fn f() { crate::high::Shown; }",
        "fn f() { println!(\"{}\", crate::high::Shown); }",
        "pub mod again { pub use crate::high::Shown; }\nuse again::Shown;",
    ] {
        let found = faults_of(&[lib, low(text), high("pub struct Shown;")]);
        assert_eq!(found, [against], "{text}");
    }
    let by_root = faults_of(&[lib, low("use crate::Shown;"), high("pub struct Shown;")]);
    assert_eq!(by_root, [against], "a re-export is followed to its definition");
    // Tests may import what they like.
    let in_tests = "#[cfg(test)]\nmod tests { use crate::high::Shown; }";
    assert_eq!(
        faults_of(&[lib, low(in_tests), high("pub struct Shown;")]),
        Vec::<String>::new()
    );
    let circle = faults_of(&[
        lib,
        low("mod child;\nuse child::Of;\npub struct Plain(Of);"),
        ("low/child.rs", "pub struct Of;\nfn f(_: super::Plain) {}"),
        high("pub struct Shown;"),
    ]);
    assert_eq!(
        circle,
        ["these files import one another: low/child.rs, low/mod.rs"]
    );
}
