//! Numbers as all reports write them.

/// A value with four digits, or with all digits before the point if those are more.
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

/// A ratio in percent without trailing zeros: `5`, `0.5`.
pub(super) fn percent(ratio: f64) -> String {
    let text = format!("{:.2}", ratio * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Widest bound that is proposed, as a ratio: beyond it a gate would pass changes that everybody notices.
const WIDEST_BOUND: f64 = 0.5;

/// The next round bound above `ratio`, as a ratio; absent if none makes sense.
pub(super) fn bound_above(ratio: f64) -> Option<f64> {
    let step = match ratio {
        ratio if ratio < 0.1 => 0.005,
        ratio if ratio < 0.2 => 0.01,
        _ => 0.05,
    };
    // The next step even from a step: an interval must lie below its bound, not on it.
    let bound = ((ratio / step).floor() + 1.0) * step;
    // By rounding alone the last step is a little above.
    (bound < WIDEST_BOUND + step / 2.0).then_some(bound)
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
    fn bounds_are_such_as_people_type_and_none_is_senseless() {
        let typed = |ratio| bound_above(ratio).map(percent);
        for (ratio, bound) in [
            (0.0, Some("0.5")),
            (0.021, Some("2.5")),
            (0.0999, Some("10")),
            (0.123, Some("13")),
            (0.31, Some("35")),
            (0.499, Some("50")),
            (0.51, None),
            (3.96, None),
            (f64::INFINITY, None),
            (f64::NAN, None),
        ] {
            assert_eq!(typed(ratio).as_deref(), bound, "{ratio}");
        }
    }

    #[test]
    fn percentages_have_no_digits_that_say_nothing() {
        let bounds = [0.05, 0.005, 0.1225, 1.0, 0.0].map(percent);
        assert_eq!(bounds, ["5", "0.5", "12.25", "100", "0"]);
    }
}
