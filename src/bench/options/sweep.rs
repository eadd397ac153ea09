//! The options of the suite `table`, which makes a benchmark of each combination of sizes.

use clap::Args;

use crate::inputs::prompts::Sweep;

/// The sizes that the suite `table` combines.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "rkllm-bench, suite table: each combination is a benchmark")]
pub(crate) struct SweepOptions {
    /// Sizes of the prompt, in tokens
    #[arg(long, value_name = "N,N,…", env = "RKLLM_BENCH_PROMPT_TOKENS", value_delimiter = ',',
          default_values_t = Sweep::default().prompt_tokens, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) prompt_tokens: Vec<u32>,
    /// Numbers of new tokens
    #[arg(long, value_name = "N,N,…", env = "RKLLM_BENCH_NEW_TOKENS", value_delimiter = ',',
          default_values_t = Sweep::default().new_tokens, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) new_tokens: Vec<u32>,
    /// Numbers of tokens that the KV cache already holds
    #[arg(long, value_name = "N,N,…", env = "RKLLM_BENCH_DEPTH", value_delimiter = ',',
          default_values_t = Sweep::default().depth)]
    pub(crate) depth: Vec<u32>,
}
