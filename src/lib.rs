//! rkllm-bench
