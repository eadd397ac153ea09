//! Five long prompts whose answers are for reading and checking.
rkllm_bench::main!("quality");
