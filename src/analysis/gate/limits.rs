//! The bounds of the gate.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::analysis::metrics::{Measure, Metric};

/// How much worse a metric may get, and the error rate of verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The bound of phases and memory, as a ratio: 0.05 allows 5 %.
    pub max_regression: f64,
    /// Bounds of single measures. `None` as a bound: not judged.
    pub per_phase: BTreeMap<Measure, Option<f64>>,
    /// Upper limit on the probability of calling any metric changed when none changed by more than its bound. Half is
    /// for worse, half for better.
    pub alpha: f64,
}

impl Limits {
    /// Limits with one bound and defaults for the rest.
    pub const fn new(max_regression: f64) -> Self {
        Self {
            max_regression,
            per_phase: BTreeMap::new(),
            alpha: 0.05,
        }
    }

    /// The bound of a measure, as a ratio. Absent: not judged.
    ///
    /// Loading and the tails vary more than the phases, so a phase's bound would leave them undecided in every run.
    pub fn of(&self, measure: Measure) -> Option<f64> {
        let own = match measure {
            Measure::Load | Measure::GapP99 => 0.25,
            Measure::WorstGap => 1.0,
            Measure::GapP90 => 0.10,
            _ => 0.0,
        };
        match self.per_phase.get(&measure) {
            Some(limit) => *limit,
            None => Some(self.max_regression.max(own)),
        }
    }

    /// The bound of a metric. If TTFT and prefill are one measurement, a bound for either applies, and the tighter one
    /// counts.
    pub(crate) fn of_metric(&self, metric: &Metric) -> Option<f64> {
        match self.given_for(metric) {
            Some(measure) => self.of(measure),
            None => self.of(metric.measure),
        }
    }

    /// The measures whose given bounds apply to a metric: its own, and its twin's if given.
    pub(crate) fn names_of(&self, metric: &Metric) -> Vec<Measure> {
        let twin = metric.twin().map(|twin| twin.measure);
        let twin = twin.filter(|twin| self.per_phase.contains_key(twin));
        std::iter::once(metric.measure).chain(twin).collect()
    }

    /// The measure under whose name the bound of a metric was given, if it was given.
    pub(crate) fn given_for(&self, metric: &Metric) -> Option<Measure> {
        let bound = |measure: &Measure| self.per_phase.get(measure).copied().flatten();
        let twin = metric.twin().map(|twin| twin.measure);
        let bounded = [Some(metric.measure), twin].into_iter().flatten();
        let bounded = bounded.filter_map(|measure| Some((measure, bound(&measure)?)));
        let tightest = bounded
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(measure, _)| measure);
        tightest.or_else(|| {
            self.per_phase
                .contains_key(&metric.measure)
                .then_some(metric.measure)
        })
    }
}

/// A percentage on the command line, as a ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .strip_suffix('%')
            .ok_or("a percentage ends in %, such as 5%")?;
        let percent: f64 = number
            .trim()
            .parse()
            .map_err(|_| format!("{number:?} is no number"))?;
        if (0.0..=10_000.0).contains(&percent) {
            Ok(Self(percent / 100.0))
        } else {
            Err("a bound is from 0% to 10000%".into())
        }
    }
}

/// `PHASE=PERCENT` or `PHASE=off`, as on the command line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerPhase {
    /// The measure.
    pub measure: Measure,
    /// Its bound as a ratio. Absent: not judged.
    pub limit: Option<f64>,
}

impl FromStr for PerPhase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, limit) = text
            .split_once('=')
            .ok_or("a phase and its bound are meant, such as decode=3%")?;
        let measure = Measure::ALL.into_iter().find(|measure| measure.name() == name);
        let measure = measure.ok_or_else(|| {
            let names = Measure::ALL.map(Measure::name).join(", ");
            format!("there is no phase {name:?}; there are {names}")
        })?;
        let limit = match limit {
            "off" => None,
            percent => Some(percent.parse::<Percent>()?.0),
        };
        Ok(Self { measure, limit })
    }
}
