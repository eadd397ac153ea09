//! Cold, warm-prefix and restored-cache prefill of the same prompts.
rkllm_bench::main!("cache");
