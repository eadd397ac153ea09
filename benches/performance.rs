//! Five short prompts of different subjects.
rkllm_bench::main!("performance");
