//! The command line of a bench target: our options and those of criterion that have a meaning here.
//!
//! Criterion reads the process's arguments itself and rejects what it does not know. So ours are read first, here,
//! and criterion gets its own in a process of its own.

mod criterions;
mod server;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ColorChoice, Parser, ValueEnum};
use regex::Regex;

use crate::base::IS_HOST;
use crate::base::error::{Error, Result};
use crate::base::paths;
use crate::bench::repetitions::parse_time;
use crate::inputs::prompts::Sweep;
use crate::machine::board;
use crate::measure::run::default_threads;
use crate::record::phase::{MIN_SAMPLES, QUICK_SAMPLES};
use crate::record::{MOST_SAMPLES, Parameters, Purpose, check_label};
use crate::report::result::Format;

pub(crate) use criterions::PORT_VARIABLE;
pub(crate) use server::ServerOptions;

/// New tokens of the one inference that `--test` makes.
const TEST_NEW_TOKENS: u32 = 4;

/// Benchmarks language models through the RKLLM runtime: prefill and decode, with criterion's statistics.
#[derive(Debug, Clone, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Options {
    /// Run only the benchmarks whose identifier <model>/<suite>/<phase>/<prompt> matches this regular expression
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,

    /// Models to run: a model file, or a folder of models
    #[arg(long, value_name = "DIR|FILE", env = "RKLLM_BENCH_MODELS", help_heading = OURS)]
    pub(crate) models: Option<PathBuf>,
    /// Run the models of these names alone; builtin:NAME is one with random weights [default: all that are found]
    #[arg(long, value_name = "NAME", env = "RKLLM_BENCH_MODEL", value_delimiter = ',', help_heading = OURS)]
    pub(crate) model: Vec<String>,
    /// Run the prompts of this JSON file instead of the target's own
    #[arg(long, value_name = "FILE", env = "RKLLM_BENCH_PROMPTS", help_heading = OURS)]
    pub(crate) prompts: Option<PathBuf>,
    /// New tokens of each inference [default: the prompt's, else the suite's, else 64]
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_MAX_NEW_TOKENS", help_heading = OURS,
          value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) max_new_tokens: Option<u32>,
    /// Context window in tokens
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_MAX_CONTEXT", default_value_t = 4096, help_heading = OURS,
          value_parser = clap::value_parser!(u32).range(32..))]
    pub(crate) max_context: u32,
    /// Seconds that one inference may take before it is aborted
    #[arg(long, value_name = "SECONDS", env = "RKLLM_BENCH_TIMEOUT", default_value_t = 300, help_heading = OURS,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Seconds that a model may take to load
    #[arg(long, value_name = "SECONDS", env = "RKLLM_BENCH_LOAD_TIMEOUT", default_value_t = 1800, help_heading = OURS,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) load_timeout: u64,
    /// CPU threads of the runtime [default: the cores of the mask, else one less than there are; with an NPU runtime, its own]
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_THREADS", help_heading = OURS,
          value_parser = clap::value_parser!(u8).range(1..=127))]
    pub(crate) threads: Option<u8>,
    /// CPU cores of the runtime: bit n is CPU n, for example 0xF0
    #[arg(long, value_name = "MASK", env = "RKLLM_BENCH_CPU_MASK", value_parser = parse_mask, help_heading = OURS)]
    pub(crate) cpu_mask: Option<u32>,
    /// NPU cores that the model must have been converted for: the count is fixed in the model
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_NPU_CORES", help_heading = OURS,
          value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) npu_cores: Option<u8>,
    /// Fetch embedding rows from storage instead of memory [default: as the runtime has it]
    #[arg(long, value_name = "BOOL", env = "RKLLM_BENCH_EMBED_FLASH", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = OURS)]
    pub(crate) embed_flash: Option<bool>,
    /// First NPU memory domain to load into, for models that one of 4 GB has no room for [default: as the runtime has it]
    #[arg(long, value_name = "N", env = "RKLLM_BENCH_BASE_DOMAIN_ID", help_heading = OURS,
          value_parser = clap::value_parser!(u32).range(..=0x7FFF_FFFF))]
    pub(crate) base_domain_id: Option<u32>,
    /// Before each model but the first, wait until temperature and clocks are as at the start, at most so long
    #[arg(long, value_name = "DURATION", env = "RKLLM_BENCH_SETTLE", num_args = 0..=1, require_equals = true,
          default_missing_value = "5m", value_parser = parse_time, help_heading = OURS)]
    pub(crate) settle: Option<Duration>,
    /// Folder of the run record, and in it of reports/ [default: rkllm-bench/runs and rkllm-bench/reports in cargo's target
    /// folder]
    #[arg(long, value_name = "DIR", env = "RKLLM_BENCH_OUTPUT", help_heading = OURS)]
    pub(crate) output: Option<PathBuf>,
    /// What tells this run apart from others: a line of up to 100 characters for record, tables and reports
    #[arg(long, value_name = "TEXT", env = "RKLLM_BENCH_LABEL", value_parser = check_label, help_heading = OURS)]
    pub(crate) label: Option<String>,
    /// What stdout gets at the end of a measuring run; with any format except text all else goes to stderr
    #[arg(long, value_name = "FORMAT", env = "RKLLM_BENCH_FORMAT", default_value = "text", value_parser = formats(),
          help_heading = OURS)]
    pub(crate) format: Format,
    /// Run the runtime in this process instead of a worker; a crash of the runtime then ends the run
    #[arg(long, env = "RKLLM_BENCH_IN_PROCESS", value_parser = clap::builder::FalseyValueParser::new(),
          help_heading = OURS)]
    pub(crate) in_process: bool,
    /// Reject a sample that heat, a lower frequency or another process disturbed, and take it again
    #[arg(long, env = "RKLLM_BENCH_STRICT", value_parser = clap::builder::FalseyValueParser::new(), help_heading = OURS)]
    pub(crate) strict: bool,
    /// Measure and write the run record, but give criterion nothing; --sample-size may be below 10 then
    #[arg(long, env = "RKLLM_BENCH_RECORD_ONLY", value_parser = clap::builder::FalseyValueParser::new(),
          help_heading = OURS)]
    pub(crate) record_only: bool,
    /// Version to assume of an SDK library whose file carries none; no effect on any other
    #[arg(long, value_name = "VERSION", env = "RKLLM_BENCH_TRUST_SDK_VERSION", help_heading = OURS)]
    pub(crate) trust_sdk_version: Option<String>,

    /// Sizes of the prompt, in tokens
    #[arg(long, value_name = "N,N,…", env = "RKLLM_BENCH_PROMPT_TOKENS", value_delimiter = ',', help_heading = SWEEPS,
          default_values_t = Sweep::default().prompt_tokens, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) prompt_tokens: Vec<u32>,
    /// Numbers of new tokens
    #[arg(long, value_name = "N,N,…", env = "RKLLM_BENCH_NEW_TOKENS", value_delimiter = ',', help_heading = SWEEPS,
          default_values_t = Sweep::default().new_tokens, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) new_tokens: Vec<u32>,
    /// Numbers of tokens that the KV cache holds already
    #[arg(long, value_name = "N,N,…", env = "RKLLM_BENCH_DEPTH", value_delimiter = ',', help_heading = SWEEPS,
          default_values_t = Sweep::default().depth)]
    pub(crate) depth: Vec<u32>,

    #[command(flatten)]
    pub(crate) server: ServerOptions,

    /// Samples of each prompt, at least 10; with --record-only at least 1
    #[arg(long, value_name = "N", default_value_t = MIN_SAMPLES, help_heading = CRITERIONS)]
    pub(crate) sample_size: usize,
    /// Take two samples of each prompt: a first look, too few for a verdict
    #[arg(long, help_heading = CRITERIONS, conflicts_with_all = ["sample_size", "list", "profile_time", "load_baseline"])]
    pub(crate) quick: bool,
    /// Run each prompt for about so many seconds under a profiler, measure nothing, and leave profile/flamegraph.svg
    /// beside criterion's report
    #[arg(long, value_name = "SECONDS", help_heading = CRITERIONS, conflicts_with_all = ["list", "test", "load_baseline"],
          value_parser = criterions::profile_time)]
    pub(crate) profile_time: Option<f64>,
    /// List the identifiers; loads no model
    #[arg(long, help_heading = CRITERIONS, conflicts_with = "test")]
    pub(crate) list: bool,
    /// Make one inference of a few tokens for each prompt, to see that everything works
    #[arg(long, help_heading = CRITERIONS)]
    pub(crate) test: bool,
    /// Take FILTER as a whole identifier
    #[arg(long, help_heading = CRITERIONS)]
    pub(crate) exact: bool,
    /// Save the results under this name
    #[arg(short, long, value_name = "NAME", help_heading = CRITERIONS, value_parser = criterions::baseline_name,
          conflicts_with_all = ["baseline", "baseline_lenient", "discard_baseline"])]
    pub(crate) save_baseline: Option<String>,
    /// Compare with the results saved under this name; fails where there are none
    #[arg(short, long, value_name = "NAME", help_heading = CRITERIONS, value_parser = criterions::baseline_name,
          conflicts_with_all = ["baseline_lenient", "discard_baseline"])]
    pub(crate) baseline: Option<String>,
    /// Compare with the results saved under this name where there are any
    #[arg(long, value_name = "NAME", help_heading = CRITERIONS, value_parser = criterions::baseline_name,
          conflicts_with = "discard_baseline")]
    pub(crate) baseline_lenient: Option<String>,
    /// Compare results saved under this name with --baseline, and measure nothing; `new` is the last run
    #[arg(long, value_name = "NAME", help_heading = CRITERIONS, requires = "baseline", conflicts_with = "test",
          value_parser = criterions::baseline_to_load)]
    pub(crate) load_baseline: Option<String>,
    /// Keep no results for the next run to compare with
    #[arg(long, help_heading = CRITERIONS)]
    pub(crate) discard_baseline: bool,
    /// Smallest change that is called one, as a ratio
    #[arg(long, value_name = "RATIO", help_heading = CRITERIONS, value_parser = criterions::noise_threshold)]
    pub(crate) noise_threshold: Option<f64>,
    /// Level of the intervals
    #[arg(long, value_name = "LEVEL", help_heading = CRITERIONS, value_parser = criterions::level)]
    pub(crate) confidence_level: Option<f64>,
    /// Level of the test for a change
    #[arg(long, value_name = "LEVEL", help_heading = CRITERIONS, value_parser = criterions::level)]
    pub(crate) significance_level: Option<f64>,
    /// Resamples of the bootstrap [default: 10000]
    #[arg(long, value_name = "N", help_heading = CRITERIONS,
          value_parser = clap::value_parser!(u32).range(criterions::RESAMPLES))]
    pub(crate) nresamples: Option<u32>,
    /// No plots and no HTML
    #[arg(short, long, help_heading = CRITERIONS)]
    pub(crate) noplot: bool,
    /// Show colours: on a terminal that has them (the environment is obeyed, as the README says), always, or never
    #[arg(short, long, alias = "colour", value_name = "WHEN", value_enum, default_value_t, help_heading = CRITERIONS)]
    pub(crate) color: ColorChoice,
    /// Criterion's own text with all of its statistics, instead of one line for each benchmark
    #[arg(short, long, help_heading = CRITERIONS)]
    pub(crate) verbose: bool,
    /// No comparison with an earlier run
    #[arg(long, help_heading = CRITERIONS, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// What draws the plots [default: gnuplot where it is installed, else plotters]
    #[arg(long, value_name = "BACKEND", value_parser = ["gnuplot", "plotters"], help_heading = CRITERIONS)]
    pub(crate) plotting_backend: Option<String>,
    /// Format of criterion's part of the output; bencher is that of libtest's benchmarks
    #[arg(long, value_name = "FORMAT", value_parser = ["criterion", "bencher"], help_heading = CRITERIONS)]
    pub(crate) output_format: Option<String>,

    /// Passed by cargo bench
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
    /// A flag of cargo test that has no meaning here, as criterion has it
    #[arg(long, hide = true)]
    pub(crate) nocapture: bool,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) show_output: bool,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) include_ignored: bool,
    /// As criterion has it: nothing is ignored here, so nothing is listed or run
    #[arg(long, hide = true)]
    pub(crate) ignored: bool,
    /// Criterion's, which have no meaning here: answered with what has one
    #[arg(long, hide = true)]
    pub(crate) warm_up_time: Option<String>,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) measurement_time: Option<String>,
}

const OURS: &str = "rkllm-bench";
const SWEEPS: &str = "rkllm-bench, suite table: each combination is a benchmark";
const CRITERIONS: &str = "criterion";
const EXIT_CODES: &str = "Exit codes:
  0    every inference that was wanted was made
  1    something failed: a model, an inference, a prompt (the last lines count them) or criterion
  64   the command line, a suite or a model cannot be used
  70   an error inside rkllm-bench or its surroundings: a folder or stdout that cannot be written
  130  stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP; what was recorded is saved

Each option under \"rkllm-bench\" is also the environment variable shown beside it; a flag wins over its variable.";

/// Our formats. Those of criterion, which cargo-nextest asks of a list, are taken too: a list has one format here.
fn formats() -> impl TypedValueParser<Value = Format> {
    let ours = Format::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value);
    let of_lists = ["pretty", "terse"].map(|name| PossibleValue::new(name).hide(true));
    PossibleValuesParser::new(ours.chain(of_lists))
        .map(|name| Format::from_str(&name, false).unwrap_or_default())
}

/// Whether an identifier runs.
pub(crate) type Selector = Box<dyn Fn(&str) -> bool>;

/// What this process is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Measure.
    Bench,
    /// One short inference a prompt.
    Test,
    /// Print identifiers.
    List,
    /// Let criterion compare what was saved.
    LoadBaseline,
    /// Run under the profiler.
    Profile,
}

impl Options {
    /// What this process is asked to do.
    pub(crate) fn mode(&self) -> Mode {
        if self.list {
            Mode::List
        } else if self.test || self.is_of_cargo_test() {
            Mode::Test
        } else if self.load_baseline.is_some() {
            Mode::LoadBaseline
        } else if self.profile_time.is_some() {
            Mode::Profile
        } else {
            Mode::Bench
        }
    }

    /// What the record says that it was made for.
    pub(crate) fn purpose(&self) -> Purpose {
        match self.mode() {
            Mode::Test => Purpose::Test,
            _ if self.quick => Purpose::Quick,
            _ => Purpose::Measure,
        }
    }

    /// FILTER as a regular expression, also where `--exact` takes it as it is.
    pub(crate) fn filter_as_regex(&self) -> Option<String> {
        let filter = self.filter.as_ref()?;
        Some(if self.exact {
            format!("^{}$", regex::escape(filter))
        } else {
            filter.clone()
        })
    }

    /// Whether `cargo test` started this process. It says so by leaving out `--bench`, as criterion has it; a bench
    /// executable started by hand measures.
    pub(crate) fn is_of_cargo_test(&self) -> bool {
        !self.bench && std::env::var_os("CARGO_MANIFEST_DIR").is_some()
    }

    /// Whether what is measured goes into the record alone. What measures nothing (a list, a test, a comparison, a
    /// profile) is criterion's with the option too: the variable may be set for all that a shell starts.
    pub(crate) fn records_only(&self) -> bool {
        self.record_only && self.mode() == Mode::Bench
    }

    /// The format of the result. What measures nothing has none: as with `record_only`, the variable may be set.
    pub(crate) fn result_format(&self) -> Format {
        if self.mode() == Mode::Bench {
            self.format
        } else {
            Format::Text
        }
    }

    /// The parameters of the run, with the defaults of the machine filled in.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for what the machine or criterion cannot do.
    pub(crate) fn parameters(&self) -> Result<Parameters> {
        self.refuse_meaningless()?;
        let test = self.mode() == Mode::Test;
        let samples = match (test, self.quick) {
            (true, _) => 1,
            (false, true) => QUICK_SAMPLES,
            (false, false) => self.sample_size,
        };
        Ok(Parameters {
            max_context: self.max_context,
            threads: self.runtime_threads()?,
            cpu_mask: self.cpu_mask,
            npu_cores: self.npu_cores,
            embed_flash: self.embed_flash,
            base_domain_id: self.base_domain_id,
            settle_s: self.settle.map(|bound| bound.as_secs().max(1)),
            timeout_s: self.timeout,
            load_timeout_s: self.load_timeout,
            samples,
            warm_up: usize::from(!test),
            in_process: self.in_process,
            strict: self.strict,
            server: None,
        })
    }

    fn refuse_meaningless(&self) -> Result<()> {
        self.refuse_number_of_samples()?;
        self.refuse_results_of_a_mere_record()?;
        self.refuse_what_criterion_would()?;
        if self.warm_up_time.is_some() || self.measurement_time.is_some() {
            return Err(Error::BadParameter(
                "--warm-up-time, --measurement-time: a sample is one inference here, however long it takes; their number \
                 is --sample-size, after one inference of warm-up"
                    .into(),
            ));
        }
        self.refuse_what_the_host_runtime_ignores()
    }

    /// A record must not claim what had no effect.
    fn refuse_what_the_host_runtime_ignores(&self) -> Result<()> {
        if self.server.url.is_some() {
            return Ok(());
        }
        let why = if self.npu_cores.is_some() {
            "--npu-cores: this program runs the host runtime, which uses no NPU; on the CPU the equal is --threads"
        } else if self.base_domain_id.is_some() {
            "--base-domain-id: this program runs the host runtime, which uses no memory of an NPU; leave it out"
        } else if self.embed_flash.is_some() {
            "--embed-flash: this program runs the host runtime, which maps the model's file in any case; leave it out"
        } else {
            return Ok(());
        };
        if IS_HOST {
            return Err(Error::BadParameter(why.into()));
        }
        Ok(())
    }

    fn refuse_number_of_samples(&self) -> Result<()> {
        let (least, whose) = if self.records_only() {
            (1, "a record")
        } else {
            (MIN_SAMPLES, "criterion")
        };
        if self.sample_size > MOST_SAMPLES {
            return Err(Error::BadParameter(format!(
                "--sample-size {}: at most {MOST_SAMPLES} are taken",
                self.sample_size
            )));
        }
        if self.sample_size >= least {
            return Ok(());
        }
        Err(Error::BadParameter(format!(
            "--sample-size {}: {whose} needs at least {least}; --quick takes {QUICK_SAMPLES}, --test 1, and --record-only \
             any number for the record alone",
            self.sample_size
        )))
    }

    /// Who asks for a baseline must not believe that there was one. Not by clap, which would not name the variable.
    fn refuse_results_of_a_mere_record(&self) -> Result<()> {
        let baselines = [
            ("--save-baseline", &self.save_baseline),
            ("--baseline", &self.baseline),
            ("--baseline-lenient", &self.baseline_lenient),
        ];
        match baselines.iter().find(|(_, name)| name.is_some()) {
            Some((flag, _)) if self.records_only() => Err(Error::BadParameter(format!(
                "{flag} with --record-only (or RKLLM_BENCH_RECORD_ONLY): criterion keeps the baselines, and it gets nothing; \
                 leave one of the two out"
            ))),
            _ => Ok(()),
        }
    }

    /// New tokens of each inference, where the user or the mode says so.
    pub(crate) fn new_tokens_of_all(&self) -> Option<u32> {
        if self.mode() == Mode::Test {
            Some(TEST_NEW_TOKENS)
        } else {
            self.max_new_tokens
        }
    }

    /// What the suite `table` is to sweep over.
    pub(crate) fn sweep(&self) -> Sweep {
        Sweep {
            prompt_tokens: self.prompt_tokens.clone(),
            new_tokens: self.new_tokens.clone(),
            depth: self.depth.clone(),
        }
    }

    /// Threads of the runtime: as asked, else one for each core of the mask, else the default.
    fn runtime_threads(&self) -> Result<Option<u8>> {
        let cores = board::cores();
        let of_mask = self
            .cpu_mask
            .and_then(|mask| u8::try_from(mask.count_ones()).ok());
        match self.threads.or(of_mask) {
            Some(threads) if usize::from(threads) > cores => Err(Error::BadParameter(format!(
                "{threads} threads (--threads, --cpu-mask): this process may use {cores} cores, and threads that share \
                 one make decode many times slower"
            ))),
            Some(threads) => Ok(Some(threads)),
            None => Ok(default_threads()),
        }
    }

    /// Decides which identifiers run, as criterion does.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when FILTER is no regular expression.
    pub(crate) fn selects(&self) -> Result<Selector> {
        match &self.filter {
            _ if self.ignored => Ok(Box::new(|_| false)),
            None => Ok(Box::new(|_| true)),
            Some(whole) if self.exact => {
                let whole = whole.clone();
                Ok(Box::new(move |id| id == whole))
            }
            Some(pattern) => {
                let pattern = Regex::new(pattern)
                    .map_err(|error| Error::BadParameter(format!("FILTER {pattern:?}: {error}")))?;
                Ok(Box::new(move |id| pattern.is_match(id)))
            }
        }
    }

    /// Folder of the run record.
    pub(crate) fn records_folder(&self) -> PathBuf {
        self.output.as_ref().map_or_else(paths::runs_dir, paths::given)
    }

    /// Folder of the reports: not beside the records, for patterns such as `runs/*.json`.
    pub(crate) fn reports_folder(&self) -> PathBuf {
        let below = |output| paths::given(output).join("reports");
        self.output.as_ref().map_or_else(paths::reports_dir, below)
    }

    /// The models that the user named; absent where none were.
    pub(crate) fn models_place(&self) -> Option<PathBuf> {
        self.models.as_ref().map(paths::given)
    }

    /// The arguments for criterion's process. It prints no colours: what of it is shown is styled here.
    pub(crate) fn criterion_arguments(&self) -> Vec<OsString> {
        let mode = self.mode();
        let flags = [
            (mode != Mode::Test, "--bench"),
            (mode == Mode::Test, "--test"),
            (self.exact, "--exact"),
            (self.discard_baseline, "--discard-baseline"),
            (self.noplot, "--noplot"),
            (self.verbose, "--verbose"),
            (self.quiet, "--quiet"),
            (self.quick, "--quick"),
            (true, "--color=never"),
        ];
        let given = flags.iter().filter(|(on, _)| *on);
        let mut arguments: Vec<OsString> = given.map(|(_, flag)| OsString::from(flag)).collect();
        let text = |number: Option<f64>| number.map(|number| number.to_string());
        let values = [
            ("save-baseline", self.save_baseline.clone()),
            ("baseline", self.baseline.clone()),
            ("baseline-lenient", self.baseline_lenient.clone()),
            ("load-baseline", self.load_baseline.clone()),
            ("noise-threshold", text(self.noise_threshold)),
            ("confidence-level", text(self.confidence_level)),
            ("significance-level", text(self.significance_level)),
            ("nresamples", self.nresamples.map(|number| number.to_string())),
            ("output-format", self.output_format.clone()),
            ("plotting-backend", self.plotting_backend.clone()),
            ("profile-time", text(self.profile_time)),
        ];
        for (flag, value) in values {
            // In one word: a value may begin with a hyphen.
            arguments.extend(value.map(|value| OsString::from(format!("--{flag}={value}"))));
        }
        if let Some(filter) = &self.filter {
            arguments.extend(["--", filter].map(OsString::from));
        }
        arguments
    }
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
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        Options::try_parse_from(std::iter::once(&"bench").chain(arguments)).expect("parses")
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn criterion_gets_its_own_options_and_nothing_of_ours() {
        let options = parse(&[
            "--bench",
            "--models",
            "m",
            "--threads",
            "1",
            "--sample-size",
            "20",
            "--save-baseline",
            "x",
            "decode",
        ]);
        assert_eq!(
            options.criterion_arguments(),
            ["--bench", "--color=never", "--save-baseline=x", "--", "decode"]
        );
        let options = parse(&["--bench", "--test", "--timeout", "5"]);
        assert_eq!(options.criterion_arguments(), ["--test", "--color=never"]);
    }

    #[test]
    fn a_mask_alone_gives_a_thread_to_each_of_its_cores() {
        let cores = board::cores().min(32);
        let all = format!("{:#x}", u32::MAX >> (32 - cores));
        let threads = |more: &[&str]| {
            let arguments = [&["--bench", "--cpu-mask", &all], more].concat();
            parse(&arguments)
                .parameters()
                .expect("fine")
                .threads
                .map(usize::from)
        };
        assert_eq!(threads(&[]), Some(cores));
        assert_eq!(threads(&["--threads", "1"]), Some(1));
    }

    /// The page whose tables are held to the options.
    const REFERENCE: &str = include_str!("../../../docs/reference.md");

    #[test]
    fn the_reference_lists_each_option_with_its_variable() {
        let command = Options::command();
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        let mut with_variable = 0;
        for argument in shown {
            let name = argument
                .get_long()
                .map_or_else(|| "FILTER".to_owned(), |flag| format!("--{flag}"));
            let row = REFERENCE.lines().find(|line| {
                let rest = line.strip_prefix(&format!("| `{name}"));
                rest.is_some_and(|rest| rest.starts_with(['`', ' ', '[']))
            });
            let row = row.unwrap_or_else(|| panic!("no row for {name}"));
            if let Some(variable) = argument.get_env() {
                let variable = variable.to_str().expect("text");
                let expected = format!(
                    "RKLLM_BENCH_{}",
                    name.trim_start_matches('-').to_uppercase().replace('-', "_")
                );
                assert_eq!(variable, expected);
                assert!(row.contains(&format!("| `{variable}` |")), "{row}");
                with_variable += 1;
            }
        }
        assert_eq!(with_variable, 29);
    }

    #[test]
    fn the_reference_lists_each_exit_code() {
        let (_, section) = REFERENCE
            .split_once("\n## Exit codes of bench targets\n")
            .expect("a section");
        let (section, _) = section.split_once("\n## ").expect("another section");
        let codes = EXIT_CODES
            .split([' ', '\n'])
            .filter_map(|word| word.parse::<u8>().ok());
        let listed = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`')?.0.parse::<u8>().ok());
        let (mut codes, mut listed) = (codes.collect::<Vec<_>>(), listed.collect::<Vec<_>>());
        codes.sort_unstable();
        listed.sort_unstable();
        assert_eq!(codes, listed);
        assert_eq!(codes.len(), 7);
    }

    #[test]
    fn masks() {
        assert_eq!(parse_mask("0xF0"), Ok(0xF0));
        assert_eq!(parse_mask("3"), Ok(3));
        assert!(parse_mask("0").is_err() && parse_mask("big").is_err());
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let refused = |arguments: &[&str]| {
            let mut all = vec!["--bench"];
            all.extend(arguments);
            parse(&all).parameters().expect_err("refused").to_string()
        };
        assert!(refused(&["--sample-size", "9"]).contains("--sample-size 9"));
        assert!(refused(&["--threads", "127"]).contains("127 threads"));
        assert!(refused(&["--cpu-mask", "0xFFFFFFFF"]).contains("32 threads"));
        assert!(refused(&["--measurement-time", "5"]).contains("--sample-size"));
        if IS_HOST {
            assert!(refused(&["--npu-cores", "3"]).contains("--npu-cores"));
            assert!(refused(&["--embed-flash"]).contains("--embed-flash"));
            assert!(refused(&["--base-domain-id", "0"]).contains("--base-domain-id"));
        }
    }

    #[test]
    fn new_tokens_are_the_users_or_few_for_a_test() {
        let tokens = |arguments: &[&str]| parse(arguments).new_tokens_of_all();
        assert_eq!(tokens(&["--bench", "--max-new-tokens", "7"]), Some(7));
        assert_eq!(tokens(&["--bench"]), None);
        assert_eq!(
            tokens(&["--bench", "--test", "--max-new-tokens", "7"]),
            Some(TEST_NEW_TOKENS)
        );
    }

    #[test]
    fn samples_are_criterions_two_or_one() {
        let samples = |arguments: &[&str]| parse(arguments).parameters().expect("fine").samples;
        assert_eq!(samples(&["--bench", "--sample-size", "20"]), 20);
        assert_eq!(samples(&["--bench", "--quick"]), QUICK_SAMPLES);
        assert_eq!(samples(&["--bench", "--test"]), 1);
    }

    #[test]
    fn a_mere_record_is_of_any_number_of_samples_and_no_baseline() {
        let record_only = |arguments: &[&str]| {
            let options = parse(&[&["--bench", "--record-only"], arguments].concat());
            (options.mode(), options.records_only(), options.parameters())
        };
        let (_, only, parameters) = record_only(&["--sample-size", "3"]);
        assert!(only && parameters.expect("fine").samples == 3);
        for refused in [
            ["--sample-size", "0"],
            ["--save-baseline", "x"],
            ["--baseline", "x"],
            ["--baseline-lenient", "x"],
        ] {
            let text = record_only(&refused).2.expect_err("refused").to_string();
            assert!(text.contains(refused[0]), "{text}");
        }
        // As when the variable is set for a whole shell.
        for (arguments, mode) in [
            (&["--list"][..], Mode::List),
            (&["--test"], Mode::Test),
            (&["--profile-time", "1"], Mode::Profile),
            (&["--load-baseline", "x", "--baseline", "y"], Mode::LoadBaseline),
        ] {
            let (got, only, parameters) = record_only(arguments);
            assert_eq!((got, only), (mode, false));
            parameters.expect("as without it");
        }
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let options = parse(&["--model", "a,builtin:tiny", "--depth", "0,512", "--model", "b"]);
        assert_eq!(options.model, ["a", "builtin:tiny", "b"]);
        assert_eq!(options.sweep().depth, [0, 512]);
        assert_eq!(options.sweep().prompt_tokens, [128]);
    }

    #[test]
    fn a_result_has_a_format_where_something_is_measured() {
        let format = |arguments: &[&str]| parse(arguments).result_format();
        assert_eq!(format(&["--bench"]), Format::Text);
        assert_eq!(format(&["--bench", "--format", "json"]), Format::Json);
        for other in [["--list"], ["--test"], ["--profile-time=1"]] {
            assert_eq!(
                format(&[&["--bench", "--format", "md"], &other[..]].concat()),
                Format::Text
            );
        }
        assert_eq!(
            format(&["--bench", "--list", "--format", "terse"]),
            Format::Text,
            "as nextest asks"
        );
        assert!(Options::try_parse_from(["bench", "--format", "xml"]).is_err());
    }

    #[test]
    fn labels_are_short_lines() {
        let label =
            |text: &str| Options::try_parse_from(["bench", "--label", text]).map(|options| options.label);
        let whole = |text: &str| label(text).ok().flatten();
        assert_eq!(
            whole(" after the fix | é 测 ").as_deref(),
            Some("after the fix | é 测")
        );
        assert_eq!(whole(&"x".repeat(100)), Some("x".repeat(100)));
        for wrong in [
            "",
            "  ",
            "a\nb",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "a\u{2028}b",
            &"x".repeat(101),
        ] {
            let error = label(wrong).expect_err("refused").to_string();
            assert!(error.contains("--label"), "{error}");
        }
    }

    #[test]
    fn filters_match_as_criterions_do() {
        let selects = |arguments: &[&str], id: &str| parse(arguments).selects().expect("fine")(id);
        assert!(selects(&["dec.de"], "m/quick/decode/a"));
        assert!(!selects(&["dec.de", "--exact"], "m/quick/decode/a"));
        assert!(parse(&["("]).selects().is_err());
    }
}
