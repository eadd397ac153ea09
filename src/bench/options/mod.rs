//! The command line of a bench target: the options of this crate and those of criterion that have a meaning here.
//!
//! Each heading of `--help` is a file: [`run`], [`sweep`], [`server`], [`criterion`]; [`cargo`] has the hidden options.
//! To add an option, add a field to the file of its heading. [`parameters`] makes the run's parameters from the
//! options.
//!
//! Criterion reads the process's arguments itself and rejects options that it does not know. So this crate reads them
//! first and starts criterion in its own process, with the arguments from [`arguments`].

mod arguments;
mod cargo;
mod criterion;
mod parameters;
mod run;
mod server;
mod sweep;

use std::path::PathBuf;

use clap::Parser;
use regex::Regex;

use self::cargo::CargoOptions;
use self::criterion::CriterionOptions;
use self::run::RunOptions;
use self::server::ServerOptions;
use self::sweep::SweepOptions;
use crate::base::error::{Error, Result};
use crate::base::paths;
use crate::inputs::prompts::Sweep;
use crate::record::Purpose;
use crate::report::result::Format;

pub(crate) use parameters::PORT_VARIABLE;

/// New tokens of the one inference that `--test` makes.
const TEST_NEW_TOKENS: u32 = 4;

/// Benchmarks language models through the RKLLM runtime: prefill and decode, with criterion's statistics.
#[derive(Debug, Clone, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Options {
    /// Run only the benchmarks whose identifier <model>/<suite>/<phase>/<prompt> matches this regular expression
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,

    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) sweep: SweepOptions,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) criterion: CriterionOptions,
    #[command(flatten)]
    pub(crate) cargo: CargoOptions,
}

const EXIT_CODES: &str = "Exit codes:
  0    every requested inference was made
  1    something failed: a model, an inference, a prompt (the last lines count them) or criterion
  64   the command line, a suite or a model cannot be used
  70   an error inside rkllm-bench or its surroundings: a folder or stdout that cannot be written
  130  stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP; what was recorded is saved

Each option under \"rkllm-bench\" is also the environment variable shown beside it; a flag wins over its variable.";

/// Whether an identifier runs.
pub(crate) type Selector = Box<dyn Fn(&str) -> bool>;

/// What this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Measure.
    Bench,
    /// Run one short inference for each prompt.
    Test,
    /// Print identifiers.
    List,
    /// Let criterion compare saved results.
    LoadBaseline,
    /// Run under the profiler.
    Profile,
}

impl Options {
    /// What this process is asked to do.
    pub(crate) fn mode(&self) -> Mode {
        if self.criterion.list {
            Mode::List
        } else if self.criterion.test || self.is_of_cargo_test() {
            Mode::Test
        } else if self.criterion.load_baseline.is_some() {
            Mode::LoadBaseline
        } else if self.criterion.profile_time.is_some() {
            Mode::Profile
        } else {
            Mode::Bench
        }
    }

    /// The purpose that the record states.
    pub(crate) fn purpose(&self) -> Purpose {
        match self.mode() {
            Mode::Test => Purpose::Test,
            _ if self.criterion.quick => Purpose::Quick,
            _ => Purpose::Measure,
        }
    }

    /// FILTER as a regular expression, with `--exact` too.
    pub(crate) fn filter_as_regex(&self) -> Option<String> {
        let filter = self.filter.as_ref()?;
        Some(if self.criterion.exact {
            format!("^{}$", regex::escape(filter))
        } else {
            filter.clone()
        })
    }

    /// Whether `cargo test` started this process: cargo then passes no `--bench`, which is also criterion's test. A
    /// bench executable started by hand measures.
    pub(crate) fn is_of_cargo_test(&self) -> bool {
        !self.cargo.bench && std::env::var_os("CARGO_MANIFEST_DIR").is_some()
    }

    /// Whether this run writes its record only and gives criterion nothing. The option has no effect in modes that
    /// measure nothing (a list, a test, a comparison, a profile), because its variable may be set for a whole shell.
    pub(crate) fn records_only(&self) -> bool {
        self.run.record_only && self.mode() == Mode::Bench
    }

    /// The format of the result. Modes that measure nothing ignore the option, as they ignore `record_only`.
    pub(crate) fn result_format(&self) -> Format {
        if self.mode() == Mode::Bench {
            self.run.format
        } else {
            Format::Text
        }
    }

    /// New tokens of each inference, where the user or the mode says so.
    pub(crate) fn new_tokens_of_all(&self) -> Option<u32> {
        if self.mode() == Mode::Test {
            Some(TEST_NEW_TOKENS)
        } else {
            self.run.max_new_tokens
        }
    }

    /// What the suite `table` is to sweep over.
    pub(crate) fn sweep(&self) -> Sweep {
        Sweep {
            prompt_tokens: self.sweep.prompt_tokens.clone(),
            new_tokens: self.sweep.new_tokens.clone(),
            depth: self.sweep.depth.clone(),
        }
    }

    /// Decides which identifiers run, as criterion does.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when FILTER is no regular expression.
    pub(crate) fn selects(&self) -> Result<Selector> {
        match &self.filter {
            _ if self.cargo.ignored => Ok(Box::new(|_| false)),
            None => Ok(Box::new(|_| true)),
            Some(whole) if self.criterion.exact => {
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
        self.run
            .output
            .as_ref()
            .map_or_else(paths::runs_dir, paths::given)
    }

    /// Folder of the reports: not beside the records, for patterns such as `runs/*.json`.
    pub(crate) fn reports_folder(&self) -> PathBuf {
        let below = |output| paths::given(output).join("reports");
        self.run.output.as_ref().map_or_else(paths::reports_dir, below)
    }

    /// The models that the user named; absent where none were.
    pub(crate) fn models_place(&self) -> Option<PathBuf> {
        self.run.models.as_ref().map(paths::given)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::base::IS_HOST;
    use crate::machine::board;
    use crate::record::phase::QUICK_SAMPLES;

    fn parse(arguments: &[&str]) -> Options {
        Options::try_parse_from(std::iter::once(&"bench").chain(arguments)).expect("parses")
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn help_has_a_heading_for_each_file_of_options() {
        let command = Options::command();
        let shown = command
            .get_arguments()
            .filter(|argument| argument.get_long().is_some() && !argument.is_hide_set());
        let mut headings: Vec<(&str, usize)> = Vec::new();
        for argument in shown {
            let heading = argument.get_help_heading().expect("a heading");
            match headings.last_mut() {
                Some((last, count)) if *last == heading => *count += 1,
                _ => headings.push((heading, 1)),
            }
        }
        assert_eq!(
            headings,
            [
                ("rkllm-bench", 20),
                ("rkllm-bench, suite table: each combination is a benchmark", 3),
                ("rkllm-bench, target server (cargo bench --bench server)", 6),
                ("criterion", 21),
            ]
        );
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
        assert_eq!(options.run.model, ["a", "builtin:tiny", "b"]);
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
            |text: &str| Options::try_parse_from(["bench", "--label", text]).map(|options| options.run.label);
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
