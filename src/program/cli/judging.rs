//! What subcommands that judge have in common.

use std::time::Duration;

use crate::analysis::gate::{Limits, PerPhase, Percent};

/// How a verdict is made, but for the bound of all metrics, whose default differs.
#[derive(Debug, clap::Args)]
pub(super) struct Judging {
    /// Bound of one phase, or "off"; for load, tails and memory too
    #[arg(long, value_name = "PHASE=PERCENT", value_delimiter = ',')]
    per_phase: Vec<PerPhase>,
    /// Probability, at most, that a change is called where there is none
    #[arg(long, value_name = "PROBABILITY", default_value = "0.05", value_parser = parse_alpha)]
    alpha: f64,
}

impl Judging {
    /// With a bound for all.
    pub(super) fn limits(&self, max_regression: Percent) -> Limits {
        Limits {
            per_phase: self
                .per_phase
                .iter()
                .map(|phase| (phase.measure, phase.limit))
                .collect(),
            alpha: self.alpha,
            ..Limits::new(max_regression.0)
        }
    }
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(alpha) if 0.0 < alpha && alpha <= 0.5 => Ok(alpha),
        _ => Err("a probability above 0 and up to 0.5 is meant, such as 0.05".into()),
    }
}

/// A length of time for people.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 99.5 {
        format!("{seconds:.1} s")
    } else if seconds < 5940.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_on_the_command_line() {
        assert_eq!(parse_alpha("0.05"), Ok(0.05));
        for wrong in ["0", "0.6", "-0.1", "NaN", "5%"] {
            assert!(parse_alpha(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_for_people() {
        let of = |seconds| in_words(Duration::from_secs_f64(seconds));
        assert_eq!(
            [of(1.26), of(61.0), of(600.0), of(7200.0)],
            ["1.3 s", "61.0 s", "10 min", "2.0 h"]
        );
    }
}
