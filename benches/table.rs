//! Prompts of given sizes, by the protocol of Rockchip's published figures; sweeps over sizes.
rkllm_bench::main!("table");
