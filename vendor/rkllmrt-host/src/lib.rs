//! The host runtime: the RKLLM 1.3.0 C API on llama.cpp.
//!
//! It lets whatever speaks that API run real inference on the CPU of any Linux machine: the models are GGUF files,
//! the figures are CPU figures. The fifteen functions are those of `vendor/rkllm/rkllm.h`; README.md beside this
//! crate says what each of them does here and what is refused. `examples/rkllmrt.rs` makes a `librkllmrt.so` of
//! them for clients in other languages.
//!
//! For Rust callers there is little more: [`builtin`] writes models that need no download, [`model_file`] says what a
//! GGUF file is without loading it, [`cpu_features`] and [`llama_cpp_version`] say what the figures were made with.
#![expect(unsafe_code, reason = "a C API on top of a C API: this crate is the fence")]

mod abi;
mod adapters;
mod api;
pub mod builtin;
mod callbacks;
mod client_call;
mod cpu;
mod delivery;
#[cfg(test)]
mod fuzz;
mod generation;
mod header;
mod identity;
mod input;
mod instance;
mod llama;
mod log;
pub mod model_file;
mod params;
mod prompt_cache;
mod registry;
mod rows;
mod sampler;
mod session;
#[cfg(any(test, feature = "slowdown"))]
#[cfg_attr(
    not(feature = "slowdown"),
    expect(dead_code, reason = "its unit tests need no build of their own")
)]
mod slowdown;
mod template;
mod text;
mod tools;

pub use api::{
    rkllm_abort, rkllm_clear_kv_cache, rkllm_createDefaultParam, rkllm_destroy, rkllm_get_kv_cache_size,
    rkllm_init, rkllm_is_running, rkllm_load_lora, rkllm_load_prompt_cache, rkllm_release_prompt_cache,
    rkllm_run, rkllm_run_async, rkllm_set_chat_template, rkllm_set_cross_attn_params,
    rkllm_set_function_tools,
};

/// The CPU features that ggml was built for and uses, as llama.cpp lists them; on a CPU that lacks one of them, a
/// sentence that names it.
pub fn cpu_features() -> String {
    cpu::check().map_or_else(|missing| missing, |()| llama::system_info())
}

/// The version of the llama.cpp inside.
pub fn llama_cpp_version() -> String {
    llama::version()
}
