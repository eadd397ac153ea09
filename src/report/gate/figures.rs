//! Numbers of a comparison as a person reads them.

use crate::gate::Judged;

/// A value in four digits; more where it has more before the point.
pub(in crate::report) fn value(value: f64) -> String {
    let decimals = match value.abs() {
        size if !size.is_finite() => return "-".into(),
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// How much worse, with its interval: `+3.1 % [+2.2, +4.0]`; negative is better.
pub(super) fn worse_by(judged: &Judged) -> String {
    let Some(worse_by) = judged.worse_by else {
        return "unknown".into();
    };
    let percent = |ratio: f64| signed(ratio * 100.0, worse_by.upper - worse_by.lower);
    format!(
        "{} % [{}, {}]",
        percent(worse_by.estimate),
        percent(worse_by.lower),
        percent(worse_by.upper)
    )
}

/// A percentage with its sign, in as many digits as an interval of this width (a ratio) carries.
fn signed(percent: f64, width: f64) -> String {
    let decimals = match percent.abs() {
        size if size >= 100.0 => 0,
        _ if width < 0.01 => 2,
        _ => 1,
    };
    let text = format!("{percent:+.decimals$}");
    // Neither +0.0 nor -0.0 says which way it goes.
    if text.trim_matches(['+', '-', '0', '.']).is_empty() {
        text[1..].to_owned()
    } else {
        text
    }
}

/// A ratio in percent without digits that say nothing: `5`, `0.5`.
pub(super) fn percent(ratio: f64) -> String {
    let text = format!("{:.2}", ratio * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_four_digits() {
        let shown = [123_456.7, 1815.24, 100.0, 50.087, 1.594, 0.0412, f64::NAN].map(value);
        assert_eq!(shown, ["123457", "1815", "100.0", "50.09", "1.594", "0.041", "-"]);
    }

    #[test]
    fn percentages_have_the_digits_that_their_interval_carries() {
        assert_eq!(signed(3.12, 0.02), "+3.1");
        assert_eq!(signed(-3.12, 0.002), "-3.12");
        assert_eq!(signed(-0.004, 0.002), "0.00");
        assert_eq!(signed(0.04, 0.02), "0.0");
        assert_eq!(signed(1234.5, 9.0), "+1234");
        let bounds = [0.05, 0.005, 0.1225, 1.0, 0.0].map(percent);
        assert_eq!(bounds, ["5", "0.5", "12.25", "100", "0"]);
    }
}
