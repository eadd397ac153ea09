//! What criterion refuses, or what ends it, only after everything was measured: refused before.

use std::ops::RangeInclusive;

use super::{Mode, Options};
use crate::base::error::{Error, Result};

/// The port of the program that keeps and shows the results instead of criterion: cargo-criterion.
pub(crate) const PORT_VARIABLE: &str = "CARGO_CRITERION_PORT";

/// Resamples of criterion's bootstrap: fewer than the first make no interval, and more than the last take minutes a
/// benchmark.
pub(super) const RESAMPLES: RangeInclusive<i64> = 10..=1_000_000;

/// Folders that criterion makes beside those of the baselines.
const OWN_FOLDERS: [&str; 4] = ["new", "change", "report", "profile"];
/// The folder of the last run's results.
const LAST_RUN: &str = "new";
/// Bytes that the name of a folder may have on Linux.
const LONGEST_NAME: usize = 255;

type Checked<T> = std::result::Result<T, String>;

pub(super) fn level(text: &str) -> Checked<f64> {
    match text.parse() {
        Ok(level) if level > 0.0 && level < 1.0 => Ok(level),
        _ => Err("it must be a number between 0 and 1; 0.95 is 95 %".into()),
    }
}

pub(super) fn noise_threshold(text: &str) -> Checked<f64> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio > 0.0 && ratio.is_finite() => Ok(ratio),
        _ => Err("it must be a ratio greater than 0; 0.02 is 2 %".into()),
    }
}

pub(super) fn profile_time(text: &str) -> Checked<f64> {
    const DAY: f64 = 86_400.0;
    match text.parse() {
        Ok(seconds) if (1.0..=DAY).contains(&seconds) => Ok(seconds),
        _ => Err("it must be a number of seconds from 1 to 86400".into()),
    }
}

pub(super) fn baseline_name(name: &str) -> Checked<String> {
    baseline(name, &OWN_FOLDERS)
}

pub(super) fn baseline_to_load(name: &str) -> Checked<String> {
    let others: Vec<&str> = OWN_FOLDERS.into_iter().filter(|own| *own != LAST_RUN).collect();
    baseline(name, &others)
}

/// A baseline's name is that of a folder.
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

impl Options {
    /// What depends on more than one value, or on the machine.
    pub(super) fn refuse_what_criterion_would(&self) -> Result<()> {
        if self.plotting_backend.as_deref() == Some("gnuplot") && criterion_plot::version().is_err() {
            return Err(Error::BadParameter(
                "--plotting-backend gnuplot: no program gnuplot can be run; install it, or leave the option out".into(),
            ));
        }
        let saves = self.save_baseline.as_ref().filter(|name| *name != "base");
        let baselines = [
            ("--save-baseline", saves),
            ("--baseline", self.baseline.as_ref()),
            ("--baseline-lenient", self.baseline_lenient.as_ref()),
        ];
        let measures = matches!(self.mode(), Mode::Bench | Mode::LoadBaseline);
        match baselines.iter().find(|(_, name)| name.is_some()) {
            Some((flag, _)) if measures && std::env::var_os(PORT_VARIABLE).is_some() => {
                Err(Error::BadParameter(format!(
                    "{flag} under cargo-criterion ({PORT_VARIABLE}): it keeps the results itself and knows no baselines; use cargo \
                 bench"
                )))
            }
            _ => Ok(()),
        }
    }
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
