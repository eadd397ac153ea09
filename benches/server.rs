//! The suites over HTTP, by a server whose address is given with `--url`.
rkllm_bench::server_main!();
