//! Numbers as all reports write them.

/// A value in four digits; more where it has more before the point.
pub(super) fn value(value: f64) -> String {
    let decimals = match value.abs() {
        size if !size.is_finite() => return "-".into(),
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
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
    fn percentages_have_no_digits_that_say_nothing() {
        let bounds = [0.05, 0.005, 0.1225, 1.0, 0.0].map(percent);
        assert_eq!(bounds, ["5", "0.5", "12.25", "100", "0"]);
    }
}
