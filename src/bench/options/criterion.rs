//! The options under the heading "criterion": those of criterion that have a meaning here.
//!
//! Criterion rejects some values only after the measurement. Here they are rejected while the options are read.

use std::ops::RangeInclusive;

use clap::{Args, ColorChoice};

use crate::record::phase::MIN_SAMPLES;

/// Resamples of criterion's bootstrap. Fewer than the minimum give no interval; more than the maximum take minutes for
/// each benchmark.
const RESAMPLES: RangeInclusive<i64> = 10..=1_000_000;

/// Folders that criterion makes beside those of the baselines.
const OWN_FOLDERS: [&str; 4] = ["new", "change", "report", "profile"];
/// The folder of the last run's results.
const LAST_RUN: &str = "new";
/// Longest folder name on Linux, bytes.
const LONGEST_NAME: usize = 255;

type Checked<T> = std::result::Result<T, String>;

fn level(text: &str) -> Checked<f64> {
    match text.parse() {
        Ok(level) if level > 0.0 && level < 1.0 => Ok(level),
        _ => Err("it must be a number between 0 and 1; 0.95 is 95 %".into()),
    }
}

fn noise_threshold(text: &str) -> Checked<f64> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio > 0.0 && ratio.is_finite() => Ok(ratio),
        _ => Err("it must be a ratio greater than 0; 0.02 is 2 %".into()),
    }
}

fn profile_time(text: &str) -> Checked<f64> {
    const DAY: f64 = 86_400.0;
    match text.parse() {
        Ok(seconds) if (1.0..=DAY).contains(&seconds) => Ok(seconds),
        _ => Err("it must be a number of seconds from 1 to 86400".into()),
    }
}

fn baseline_name(name: &str) -> Checked<String> {
    baseline(name, &OWN_FOLDERS)
}

fn baseline_to_load(name: &str) -> Checked<String> {
    let others: Vec<&str> = OWN_FOLDERS.into_iter().filter(|own| *own != LAST_RUN).collect();
    baseline(name, &others)
}

/// Checks a baseline's name, which is the name of a folder.
fn baseline(name: &str, reserved: &[&str]) -> Checked<String> {
    if name.trim().is_empty() {
        Err("a baseline needs a name".into())
    } else if name == "." || name == ".." || name.contains(['/', '\\']) || name.contains(char::is_control) {
        Err("it must be the name of one folder: no slashes, no control characters, not . or ..".into())
    } else if name.len() > LONGEST_NAME {
        Err(format!("a name has at most {LONGEST_NAME} bytes"))
    } else if reserved.contains(&name) {
        Err(format!(
            "criterion keeps files of its own under {}: choose another name",
            reserved.join(", ")
        ))
    } else {
        Ok(name.to_owned())
    }
}

/// What criterion takes and does.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[command(next_help_heading = "criterion")]
pub(crate) struct CriterionOptions {
    /// Samples of each prompt, at least 10; with --record-only at least 1
    #[arg(long, value_name = "N", default_value_t = MIN_SAMPLES)]
    pub(crate) sample_size: usize,
    /// Take two samples of each prompt: a first look, too few for a verdict
    #[arg(long, conflicts_with_all = ["sample_size", "list", "profile_time", "load_baseline"])]
    pub(crate) quick: bool,
    /// Run each prompt for about this many seconds under a profiler without measuring, and write profile/flamegraph.svg
    /// beside criterion's report
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["list", "test", "load_baseline"],
          value_parser = profile_time)]
    pub(crate) profile_time: Option<f64>,
    /// List the identifiers; loads no model
    #[arg(long, conflicts_with = "test")]
    pub(crate) list: bool,
    /// Run one inference of a few tokens for each prompt, to check that everything works
    #[arg(long)]
    pub(crate) test: bool,
    /// Match FILTER against whole identifiers, not as a regular expression
    #[arg(long)]
    pub(crate) exact: bool,
    /// Save the results under this name
    #[arg(short, long, value_name = "NAME", value_parser = baseline_name,
          conflicts_with_all = ["baseline", "baseline_lenient", "discard_baseline"])]
    pub(crate) save_baseline: Option<String>,
    /// Compare with the results saved under this name; fail if there are none
    #[arg(short, long, value_name = "NAME", value_parser = baseline_name,
          conflicts_with_all = ["baseline_lenient", "discard_baseline"])]
    pub(crate) baseline: Option<String>,
    /// Compare with the results saved under this name, if there are any
    #[arg(long, value_name = "NAME", value_parser = baseline_name,
          conflicts_with = "discard_baseline")]
    pub(crate) baseline_lenient: Option<String>,
    /// Compare the results saved under this name with --baseline without measuring; `new` is the last run
    #[arg(long, value_name = "NAME", requires = "baseline", conflicts_with = "test",
          value_parser = baseline_to_load)]
    pub(crate) load_baseline: Option<String>,
    /// Keep no results for the next run to compare with
    #[arg(long)]
    pub(crate) discard_baseline: bool,
    /// Smallest change that is reported as a change, as a ratio
    #[arg(long, value_name = "RATIO", value_parser = noise_threshold)]
    pub(crate) noise_threshold: Option<f64>,
    /// Confidence level of the intervals
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) confidence_level: Option<f64>,
    /// Significance level of the test for a change
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) significance_level: Option<f64>,
    /// Resamples of the bootstrap [default: 10000]
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u32).range(RESAMPLES))]
    pub(crate) nresamples: Option<u32>,
    /// Write no plots and no HTML
    #[arg(short, long)]
    pub(crate) noplot: bool,
    /// When to use colours; `auto` depends on the terminal and the environment (docs/reference.md, Colours)
    #[arg(
        short,
        long,
        alias = "colour",
        value_name = "WHEN",
        value_enum,
        default_value_t
    )]
    pub(crate) color: ColorChoice,
    /// Print criterion's own output with all statistics instead of one line for each benchmark
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print no comparison with an earlier run
    #[arg(long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Program or library that draws the plots [default: gnuplot if it is installed, else plotters]
    #[arg(long, value_name = "BACKEND", value_parser = ["gnuplot", "plotters"])]
    pub(crate) plotting_backend: Option<String>,
    /// Format of criterion's part of the output; bencher is the format of libtest's benchmarks
    #[arg(long, value_name = "FORMAT", value_parser = ["criterion", "bencher"])]
    pub(crate) output_format: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_criterion_takes() {
        for text in ["0.95", "1e-9", "0.999999"] {
            level(text).expect("a level");
        }
        for text in ["95", "1", "0", "-0.5", "NaN", "inf", "95%", ""] {
            level(text).expect_err("no level");
        }
        for text in ["0.01", "5"] {
            noise_threshold(text).expect("a ratio");
        }
        for text in ["0", "-1", "NaN", "inf", "2%"] {
            noise_threshold(text).expect_err("no ratio");
        }
        assert_eq!(profile_time("1.5"), Ok(1.5));
        for text in ["0.5", "0", "-1", "NaN", "inf", "86401", "1s"] {
            profile_time(text).expect_err("no time");
        }
    }

    #[test]
    fn a_baseline_is_one_folder_beside_criterions_own() {
        let long = "x".repeat(LONGEST_NAME + 1);
        for name in [
            "", " ", ".", "..", "a/b", "/abs", "a\\b", "a\nb", "change", "report", "profile", &long,
        ] {
            for check in [baseline_name, baseline_to_load] {
                check(name).expect_err(name);
            }
        }
        for name in ["before", "base", "v1.2", "new2", "größer", "-x", &long[1..]] {
            for check in [baseline_name, baseline_to_load] {
                assert_eq!(check(name).as_deref(), Ok(name));
            }
        }
        baseline_name("new").expect_err("the last run's");
        assert_eq!(baseline_to_load("new").as_deref(), Ok("new"));
    }
}
