//! Makes the Rust types of the C API from the project's own declaration of it, so that no layout is typed twice, and
//! compiles what only C++ can do.

use std::env;
use std::error::Error;
use std::path::PathBuf;

const HEADER: &str = "../rkllm/rkllm.h";
const CALLS: &str = "src/client_call.cpp";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={HEADER}");
    let out = PathBuf::from(env::var("OUT_DIR")?).join("header.rs");
    bindgen::Builder::default()
        .header(HEADER)
        // A client may leave any byte in a bool, which Rust's own type would not survive: read them as bytes. The
        // first two keep clang's and gcc's stdbool.h from defining the word again.
        .clang_args(["-D__STDBOOL_H", "-D_STDBOOL_H", "-Dbool=unsigned char"])
        .allowlist_item("(rkllm_|RKLLM|LLM).*")
        // Enumerations stay integers: a client may pass a value that the header does not name.
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .generate()?
        .write_to_file(out)?;
    println!("cargo::rerun-if-changed={CALLS}");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include("../rkllm")
        .file(CALLS)
        .try_compile("rkllmrt_client_call")?;
    Ok(())
}
