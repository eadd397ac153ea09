//! The RKLLM runtime: the unsafe calls, and the engines that load models and run prompts.

pub mod engine;
pub mod ffi;
