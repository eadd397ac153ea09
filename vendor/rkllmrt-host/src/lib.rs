//! The RKLLM C API on llama.cpp.
