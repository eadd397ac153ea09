//! The figures of a prompt, from its samples.

use crate::base::number::Long as _;
use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF as _};

use crate::analysis::metrics::{self, Measure};
use crate::record::PromptRecord;

/// Medians over the samples of one prompt. Absent without values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Time to the first token, ms.
    pub ttft_ms: Option<f64>,
    /// Prompt tokens per second of prefill.
    pub prefill_tok_per_s: Option<f64>,
    /// Tokens per second after the first token.
    pub decode_tok_per_s: Option<f64>,
    /// 95 % confidence interval of the median of `decode_tok_per_s`, from the samples of this one process. Absent with
    /// fewer than six samples.
    pub decode_interval: Option<Interval>,
    /// The longest gap between neighbouring tokens of all samples, ms.
    pub worst_gap_ms: Option<f64>,
    /// The greatest peak resident set of the process that ran the model, MB.
    pub peak_memory_mb: Option<f64>,
}

/// An interval, in the unit of its values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
}

impl Figures {
    /// The figures of one prompt.
    pub fn of(prompt: &PromptRecord) -> Self {
        let all = |measure| {
            let of_sample = |sample| metrics::of_sample(measure, prompt, sample);
            prompt.samples.iter().filter_map(of_sample).collect::<Vec<_>>()
        };
        let greatest = |measure| all(measure).into_iter().reduce(f64::max);
        let decode = all(Measure::Decode);
        Self {
            ttft_ms: median(all(Measure::Ttft)),
            prefill_tok_per_s: median(all(Measure::Prefill)),
            decode_interval: median_interval(decode.clone()),
            decode_tok_per_s: median(decode),
            worst_gap_ms: greatest(Measure::WorstGap),
            peak_memory_mb: greatest(Measure::PeakMemory),
        }
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The median's interval with a confidence of at least 95 %, for any distribution: from the k-th value to the k-th from
/// the end (Conover, "Practical Nonparametric Statistics", confidence interval for a quantile). A value is below the
/// median with probability 1/2, so the number of values below it is binomial.
pub(crate) fn median_interval(mut values: Vec<f64>) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    let below = Binomial::new(0.5, values.len().long()).ok()?;
    let rank = (1..=values.len() / 2)
        .take_while(|rank| 2.0 * below.cdf(rank.long() - 1) <= 0.05)
        .last()?;
    Some(Interval {
        lower: values[rank - 1],
        upper: values[values.len() - rank],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    /// Ranks from exact sums of binomial coefficients, by Python's `math.comb`.
    #[test]
    fn intervals_of_the_median() {
        for (count, ranks) in [
            (0, None),
            (5, None),
            (6, Some((1, 6))),
            (9, Some((2, 8))),
            (10, Some((2, 9))),
            (20, Some((6, 15))),
            (64, Some((24, 41))),
        ] {
            let values: Vec<f64> = (1..=count).rev().map(f64::from).collect();
            let expected = ranks.map(|(lower, upper)| Interval {
                lower: f64::from(lower),
                upper: f64::from(upper),
            });
            assert_eq!(median_interval(values), expected, "{count} values");
        }
    }
}
