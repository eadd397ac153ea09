//! Means, variances and one metric's value in a run.

use serde::{Deserialize, Serialize};

use crate::base::number::Float as _;

/// The smallest standard deviation between runs that is assumed, as a ratio: 0.01 %. Memory is counted in pages and may
/// be equal in all measured runs; the next run can still differ.
pub(super) const LEAST_DEVIATION: f64 = 1e-4;

/// The mean; absent without a value.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / float(values.len()))
}

/// The unbiased variance; absent below two values.
pub(crate) fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| squares / float(values.len() - 1))
}

pub(crate) fn float(count: usize) -> f64 {
    count.float()
}

/// One metric in one run (one process).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunValue {
    /// Mean of the logarithms of its samples.
    pub(crate) mean: f64,
    /// Variance of one sample about the mean; absent for a single one.
    pub(crate) within: Option<f64>,
    /// Samples.
    pub(crate) samples: usize,
}

impl RunValue {
    /// From samples; absent without samples, or if one has no logarithm.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let logs: Vec<f64> = samples.iter().map(|sample| sample.ln()).collect();
        let mean = mean(&logs)?;
        mean.is_finite().then(|| Self {
            mean,
            within: variance(&logs),
            samples: logs.len(),
        })
    }

    /// From a quantity that each run has once.
    pub(crate) fn single(value: f64) -> Option<Self> {
        Self::of(&[value])
    }
}
