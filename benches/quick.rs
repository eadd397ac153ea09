//! Three prompts of different length and kind: a first figure in seconds.
rkllm_bench::main!("quick");
