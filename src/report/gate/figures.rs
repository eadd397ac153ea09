//! Numbers of a comparison as a person reads them.

use crate::analysis::gate::Judged;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_the_digits_that_their_interval_carries() {
        assert_eq!(signed(3.12, 0.02), "+3.1");
        assert_eq!(signed(-3.12, 0.002), "-3.12");
        assert_eq!(signed(-0.004, 0.002), "0.00");
        assert_eq!(signed(0.04, 0.02), "0.0");
        assert_eq!(signed(1234.5, 9.0), "+1234");
    }
}
