//! The options under the heading "rkllm-bench": which models run, how, and where the record goes.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use crate::bench::repetitions::parse_time;
use crate::record::check_label;
use crate::report::result::Format;

/// The options of every bench target. Each is also an environment variable.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "rkllm-bench")]
pub(crate) struct RunOptions {
    /// Models to run: a model file, or a folder of models
    #[arg(long, value_name = "DIR|FILE", env = "RKLLM_BENCH_MODELS")]
    pub(crate) models: Option<PathBuf>,
    /// Run only the models with these names; builtin:NAME has random weights [default: all models found]
    #[arg(long, value_name = "NAME", env = "RKLLM_BENCH_MODEL", value_delimiter = ',')]
    pub(crate) model: Vec<String>,
    /// Run the prompts of this JSON file instead of the target's own
    #[arg(long, value_name = "FILE", env = "RKLLM_BENCH_PROMPTS")]
    pub(crate) prompts: Option<PathBuf>,
    /// New tokens of each inference [default: the prompt's, else the suite's, else 64]
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_MAX_NEW_TOKENS",
          value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) max_new_tokens: Option<u32>,
    /// Context window in tokens
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_MAX_CONTEXT", default_value_t = 4096,
          value_parser = clap::value_parser!(u32).range(32..))]
    pub(crate) max_context: u32,
    /// Seconds that one inference may take before it is aborted
    #[arg(long, value_name = "SECONDS", env = "RKLLM_BENCH_TIMEOUT", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Seconds that a model may take to load
    #[arg(long, value_name = "SECONDS", env = "RKLLM_BENCH_LOAD_TIMEOUT", default_value_t = 1800,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) load_timeout: u64,
    /// CPU threads of the runtime [default: one for each core of the mask, else one less than the CPU has cores; an NPU
    /// runtime uses its own default]
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_THREADS",
          value_parser = clap::value_parser!(u8).range(1..=127))]
    pub(crate) threads: Option<u8>,
    /// CPU cores of the runtime: bit n is CPU n, for example 0xF0
    #[arg(long, value_name = "MASK", env = "RKLLM_BENCH_CPU_MASK", value_parser = parse_mask)]
    pub(crate) cpu_mask: Option<u32>,
    /// Require models converted for this number of NPU cores; a converted model fixes the number
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_NPU_CORES",
          value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) npu_cores: Option<u8>,
    /// Fetch embedding rows from storage instead of memory [default: the runtime's]
    #[arg(long, value_name = "BOOL", env = "RKLLM_BENCH_EMBED_FLASH", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) embed_flash: Option<bool>,
    /// First NPU memory domain to load into, for models that do not fit into one domain of 4 GB [default: the
    /// runtime's]
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_BASE_DOMAIN_ID",
          value_parser = clap::value_parser!(u32).range(..=0x7FFF_FFFF))]
    pub(crate) base_domain_id: Option<u32>,
    /// Before each model except the first, wait up to this long until temperature and clocks are as at the start
    #[arg(long, value_name = "DURATION", env = "RKLLM_BENCH_SETTLE", num_args = 0..=1, require_equals = true,
          default_missing_value = "5m", value_parser = parse_time)]
    pub(crate) settle: Option<Duration>,
    /// Folder for the run record, with a subfolder reports/ [default: rkllm-bench/runs and rkllm-bench/reports in
    /// cargo's target folder]
    #[arg(long, value_name = "DIR", env = "RKLLM_BENCH_OUTPUT")]
    pub(crate) output: Option<PathBuf>,
    /// Label of this run in the record, tables and reports: one line of up to 100 characters
    #[arg(long, value_name = "TEXT", env = "RKLLM_BENCH_LABEL", value_parser = check_label)]
    pub(crate) label: Option<String>,
    /// Format of the result on stdout at the end of a measuring run; except with text, all other output goes to stderr
    #[arg(long, value_name = "FORMAT", env = "RKLLM_BENCH_FORMAT", default_value = "text", value_parser = formats())]
    pub(crate) format: Format,
    /// Run the runtime in this process instead of a worker; a crash of the runtime then ends the run
    #[arg(long, env = "RKLLM_BENCH_IN_PROCESS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) in_process: bool,
    /// Reject each sample that heat, a lower frequency or another process disturbed, and repeat it
    #[arg(long, env = "RKLLM_BENCH_STRICT", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) strict: bool,
    /// Measure and write the run record only, without criterion; --sample-size may then be below 10
    #[arg(long, env = "RKLLM_BENCH_RECORD_ONLY", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) record_only: bool,
    /// Version to assume for an SDK library whose file contains none; no effect on other libraries
    #[arg(long, value_name = "VERSION", env = "RKLLM_BENCH_TRUST_SDK_VERSION")]
    pub(crate) trust_sdk_version: Option<String>,
}

/// The formats of a result. cargo-nextest passes criterion's list formats; they are accepted and ignored, since a list
/// has one format here.
fn formats() -> impl TypedValueParser<Value = Format> {
    let ours = Format::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value);
    let of_lists = ["pretty", "terse"].map(|name| PossibleValue::new(name).hide(true));
    PossibleValuesParser::new(ours.chain(of_lists))
        .map(|name| Format::from_str(&name, false).unwrap_or_default())
}

fn parse_mask(text: &str) -> std::result::Result<u32, String> {
    let mask = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match mask {
        Ok(0) => Err("a mask of 0 names no core".into()),
        Ok(mask) => Ok(mask),
        Err(error) => Err(format!("{error}; give a number such as 0xF0 or 240")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        assert_eq!(parse_mask("0xF0"), Ok(0xF0));
        assert_eq!(parse_mask("3"), Ok(3));
        assert!(parse_mask("0").is_err() && parse_mask("big").is_err());
    }
}
