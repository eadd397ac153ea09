//! Options that the subcommands with a verdict share.

use std::time::Duration;

use crate::analysis::gate::{Limits, PerPhase, Percent};

/// Options for the verdict. The bound of all metrics is not among them, because its default differs.
#[derive(Debug, clap::Args)]
pub(super) struct Judging {
    /// Bound of a single metric, or "off", such as decode=3%,load=off
    #[arg(long, value_name = "PHASE=PERCENT", value_delimiter = ',')]
    per_phase: Vec<PerPhase>,
    /// Limit of the probability of a false alarm
    #[arg(long, value_name = "PROBABILITY", default_value = "0.05", value_parser = parse_alpha)]
    alpha: f64,
}

impl Judging {
    /// The limits, with `max_regression` as the bound of all metrics.
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
        _ => Err("expected a probability above 0 and up to 0.5, such as 0.05".into()),
    }
}

/// A length of time in a unit that suits it.
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
