//! Finds the RKLLM runtime, generates bindings for the header in use, compiles the guard and links everything.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use regex::Regex;
use sha2::{Digest, Sha256};

#[path = "src/runtime/ffi/file_version.rs"]
mod file_version;

/// The C++ standard of the guard: `requires` finds out what a generation declares, which g++ and clang know from
/// version 10. `scripts/setup` reads this line and tries it.
const CXX_STANDARD: &str = "c++20";
/// The fields that the guard needs, by their struct or by the union in it.
const NEEDED_FIELDS: [(&str, &str); 10] = [
    (
        "RKLLMParam",
        "model_path max_context_len max_new_tokens top_k top_p temperature repeat_penalty frequency_penalty \
         presence_penalty skip_special_token is_async extend_param",
    ),
    ("RKLLMExtendParam", "base_domain_id"),
    ("RKLLMInput", "input_type prompt_input token_input"),
    ("RKLLMTokenInput", "input_ids n_tokens"),
    ("RKLLMInferParam", "mode prompt_cache_params"),
    ("RKLLMPromptCacheParam", "save_prompt_cache prompt_cache_path"),
    ("RKLLMResult", "text token_id"),
    // Structs that some releases lack.
    (
        "RKLLMPerfStat?",
        "prefill_time_ms prefill_tokens generate_time_ms generate_tokens memory_usage_mb",
    ),
    (
        "RKLLMSamplingParam?",
        "top_k top_p temperature repeat_penalty frequency_penalty presence_penalty",
    ),
    ("RKLLMCallback?", "result_callback result_userdata"),
];
const NEEDED_FUNCTIONS: [&str; 7] = [
    "rkllm_createDefaultParam",
    "rkllm_init",
    "rkllm_destroy",
    "rkllm_run",
    "rkllm_abort",
    "rkllm_load_prompt_cache",
    "rkllm_release_prompt_cache",
];
const NEEDED_CONSTANTS: [&str; 6] = [
    "RKLLM_RUN_NORMAL",
    "RKLLM_RUN_FINISH",
    "RKLLM_RUN_ERROR",
    "RKLLM_INPUT_PROMPT",
    "RKLLM_INPUT_TOKEN",
    "RKLLM_INFER_GENERATE",
];

/// The runtime this build links.
enum Runtime {
    /// `vendor/rkllmrt-host`, with our own header.
    Host,
    /// A `librkllmrt.so` and the `rkllm.h` that came with it.
    Sdk { include: PathBuf, library: PathBuf },
}

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={}", message.replace('\n', "\ncargo::error="));
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let runtime = find_runtime()?;
    let include = header_dir(&runtime)?;
    let bindings = generate_bindings(&include)?;
    let header = describe(&runtime, &include);
    check_needs(&bindings, &header)?;
    compile_guard(&runtime, &include, &header)?;
    match &runtime {
        Runtime::Host => declare_host(),
        Runtime::Sdk { library, .. } => link_sdk(library)?,
    }
    Ok(())
}

/// Reads a variable and asks cargo to run this script again when it changes. Empty is unset.
fn variable(name: &str) -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn find_runtime() -> Result<Runtime, String> {
    let sdk = variable("RKLLM_SDK");
    let include = variable("RKLLM_INCLUDE_DIR");
    let lib = variable("RKLLM_LIB_DIR");
    let host = env::var_os("CARGO_FEATURE_HOST").is_some();
    let right_ways = "Use one of:\n  \
         cargo bench                                                                  (host runtime)\n  \
         RKLLM_SDK=<rknn-llm checkout> cargo bench --no-default-features              (NPU runtime)\n  \
         RKLLM_INCLUDE_DIR=<dir> RKLLM_LIB_DIR=<dir> cargo bench --no-default-features (NPU runtime)";
    let seen = [
        ("RKLLM_SDK", &sdk),
        ("RKLLM_INCLUDE_DIR", &include),
        ("RKLLM_LIB_DIR", &lib),
    ]
    .iter()
    .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={}", value.display())))
    .collect::<Vec<_>>()
    .join(" ");
    match (host, sdk, include, lib) {
        (true, None, None, None) => Ok(Runtime::Host),
        (true, ..) => Err(format!(
            "rkllm-bench can link only one runtime, but the feature `host` is on and {seen} is set.\n{right_ways}"
        )),
        (false, None, None, None) => Err(format!(
            "rkllm-bench has no runtime to link: the feature `host` is off and neither RKLLM_SDK nor \
             RKLLM_INCLUDE_DIR with RKLLM_LIB_DIR is set.\n{right_ways}"
        )),
        (false, Some(sdk), None, None) => from_checkout(&sdk),
        (false, None, Some(include), Some(lib)) => from_dirs(&include, &lib),
        (false, Some(_), ..) => Err(format!(
            "RKLLM_SDK sets both directories, but more is set: {seen}.\n{right_ways}"
        )),
        (false, None, None, Some(_)) => Err(format!(
            "half an SDK: {seen} is set but RKLLM_INCLUDE_DIR is not.\n{right_ways}"
        )),
        (false, None, Some(_), None) => Err(format!(
            "half an SDK: {seen} is set but RKLLM_LIB_DIR is not.\n{right_ways}"
        )),
    }
}

/// The SDK in `RKLLM_SDK`, a checkout of airockchip/rknn-llm. Release 1.1.4 moved the folder of the API.
fn from_checkout(sdk: &Path) -> Result<Runtime, String> {
    let tried = [
        "rkllm-runtime/Linux/librkllm_api",
        "rkllm-runtime/runtime/Linux/librkllm_api",
    ];
    let api = tried.iter().map(|dir| sdk.join(dir)).find(|dir| dir.join("include/rkllm.h").is_file()).ok_or_else(
        || {
            format!(
                "RKLLM_SDK={} holds no RKLLM SDK: include/rkllm.h is neither in {} nor in {} below it. Give the \
                 root of an rknn-llm checkout, or set RKLLM_INCLUDE_DIR and RKLLM_LIB_DIR.",
                sdk.display(),
                tried[0],
                tried[1]
            )
        },
    )?;
    let folder = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("arm") => "armhf",
        Ok("aarch64") => "aarch64",
        other => {
            return Err(format!(
                "RKLLM_SDK={}: the SDK has libraries for aarch64 and armhf, and the target is {}. Build on the \
                 board or with --target aarch64-unknown-linux-gnu, or set RKLLM_LIB_DIR and RKLLM_INCLUDE_DIR.",
                sdk.display(),
                other.unwrap_or("unknown")
            ));
        }
    };
    from_dirs(&api.join("include"), &api.join(folder))
}

fn from_dirs(include: &Path, lib: &Path) -> Result<Runtime, String> {
    let header = include.join("rkllm.h");
    if !header.is_file() {
        return Err(format!("RKLLM_INCLUDE_DIR={} has no rkllm.h.", include.display()));
    }
    let library = lib.join("librkllmrt.so");
    if !library.is_file() {
        return Err(format!("RKLLM_LIB_DIR={} has no librkllmrt.so.", lib.display()));
    }
    Ok(Runtime::Sdk {
        include: include.to_owned(),
        library,
    })
}

fn manifest_dir() -> PathBuf {
    PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default())
}

fn header_dir(runtime: &Runtime) -> Result<PathBuf, String> {
    let dir = match runtime {
        Runtime::Host => manifest_dir().join("vendor/rkllm"),
        Runtime::Sdk { include, .. } => include.clone(),
    };
    println!("cargo::rerun-if-changed={}", dir.join("rkllm.h").display());
    fs::canonicalize(&dir).map_err(|error| format!("{}: {error}", dir.display()))
}

/// Bindings of guard.h, which includes the header in use: the guard's plain types and the raw API.
fn generate_bindings(include: &Path) -> Result<String, String> {
    println!("cargo::rerun-if-changed=src/runtime/ffi/guard.h");
    let bindings = bindgen::Builder::default()
        .header("src/runtime/ffi/guard.h")
        .clang_args(["-x", "c++"])
        .clang_arg(format!("-std={CXX_STANDARD}"))
        .clang_arg(format!("-I{}", include.display()))
        .allowlist_item("(rkb_|RKB_|rkllm_|RKLLM|LLM).*")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(true)
        .generate_comments(false) // `check_needs` searches the text for fields
        .generate()
        .map_err(|error| {
            format!(
                "bindgen failed on src/runtime/ffi/guard.h with {}/rkllm.h: {error}\nIt needs libclang and a C++ \
                 compiler; scripts/setup installs both.",
                include.display()
            )
        })?;
    let path = out_dir().join("bindings.rs");
    bindings
        .write_to_file(&path)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bindings.to_string())
}

/// The header, with the release of its library.
fn describe(runtime: &Runtime, include: &Path) -> String {
    let version = match runtime {
        Runtime::Host => None,
        Runtime::Sdk { library, .. } => fs::read(library)
            .ok()
            .and_then(|bytes| file_version::find_file_version(&bytes)),
    };
    let release = version.map_or_else(String::new, |version| format!(" of release {version}"));
    format!("rkllm.h{release} ({})", include.display())
}

/// Reports what the guard needs and the header lacks. The compiler's own message would fill pages with templates.
fn check_needs(bindings: &str, header: &str) -> Result<(), String> {
    let mut missing = Vec::new();
    for (name, fields) in NEEDED_FIELDS {
        let (name, is_optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        match fields_of(bindings, name) {
            None if is_optional => {}
            None => missing.push(name.to_owned()),
            Some(declared) => missing.extend(
                fields
                    .split(' ')
                    .filter(|field| !declared.iter().any(|declared| declared == field))
                    .map(|field| format!("{name}.{field}")),
            ),
        }
    }
    let declares = |what: &str, name: &str| {
        Regex::new(&format!(r"\b{what}\s+{name}\b")).is_ok_and(|pattern| pattern.is_match(bindings))
    };
    let functions = NEEDED_FUNCTIONS.iter().filter(|name| !declares("fn", name));
    let constants = NEEDED_CONSTANTS.iter().filter(|name| !declares("const", name));
    missing.extend(functions.chain(constants).map(|name| (*name).to_owned()));
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{header} lacks what rkllm-bench needs: {}.\nThe API of this release differs from that of 1.1.0 to 1.3.1. \
         Use an SDK of one of those releases, or an rkllm-bench that supports this one.",
        missing.join(", ")
    ))
}

/// The fields of a struct in the bindings, including those of its unnamed unions. Absent without such a struct.
fn fields_of(bindings: &str, name: &str) -> Option<Vec<String>> {
    let alias = Regex::new(&format!(r"\bpub type {name}\s*=\s*(\w+)\s*;")).ok()?;
    let name = alias
        .captures(bindings)
        .map_or(name, |found| found.get(1).map_or(name, |tag| tag.as_str()));
    let declared = Regex::new(&format!(
        r"(?s)\bpub (?:struct|union) {name}(?:__bindgen_\w+)?\s*\{{(.*?)\}}"
    ))
    .ok()?;
    let field = Regex::new(r"\bpub (\w+)\s*:").ok()?;
    let bodies = declared
        .captures_iter(bindings)
        .map(|found| found.extract::<1>().1[0]);
    let fields: Vec<String> = bodies
        .flat_map(|body| field.captures_iter(body))
        .map(|found| found[1].to_owned())
        .collect();
    (!fields.is_empty()).then_some(fields)
}

fn compile_guard(runtime: &Runtime, include: &Path, header: &str) -> Result<(), String> {
    println!("cargo::rerun-if-changed=src/runtime/ffi/guard.cpp");
    let mut guard = cc::Build::new();
    if matches!(runtime, Runtime::Sdk { .. }) {
        guard.define("RKB_SHARED_LIBRARY", None);
    }
    guard
        .cpp(true)
        .std(CXX_STANDARD)
        .include(include)
        .file("src/runtime/ffi/guard.cpp")
        .try_compile("rkllm_bench_guard")
        .map_err(|error| {
            format!(
                "src/runtime/ffi/guard.cpp does not compile with {header}: {error}\nIt needs C++20 (g++ or clang, \
                 version 10 or later) and compiles with the headers of releases 1.1.0 to 1.3.1."
            )
        })
}

fn declare_host() {
    println!("cargo::rustc-env=RKLLM_BENCH_LIBRARY_SHA256=");
    println!("cargo::rustc-env=RKLLM_BENCH_LIBRARY_PATH=");
    println!("cargo::rustc-env=RKLLM_BENCH_LIBRARY_VERSION=");
}

/// Links the SDK's library from a copy in `OUT_DIR`. Cargo puts that directory on the library path of everything it
/// runs, and an rpath serves direct execution.
///
/// At start, the program compares SHA-256 and version with the library that was really loaded, because the header of
/// this build belongs to that library.
fn link_sdk(library: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed={}", library.display());
    let dir = out_dir();
    let copy = dir.join("librkllmrt.so");
    let bytes = fs::read(library).map_err(|error| format!("{}: {error}", library.display()))?;
    fs::write(&copy, &bytes).map_err(|error| format!("{}: {error}", copy.display()))?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let version = file_version::find_file_version(&bytes).unwrap_or_default();
    println!("cargo::rustc-env=RKLLM_BENCH_LIBRARY_SHA256={sha256}");
    println!("cargo::rustc-env=RKLLM_BENCH_LIBRARY_VERSION={version}");
    println!("cargo::rustc-env=RKLLM_BENCH_LIBRARY_PATH={}", copy.display());
    println!("cargo::rustc-link-search=native={}", dir.display());
    println!("cargo::rustc-link-lib=dylib=rkllmrt");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", dir.display());
    // For the build scripts of dependent crates that want an rpath too.
    println!("cargo::metadata=lib_dir={}", dir.display());
    Ok(())
}
