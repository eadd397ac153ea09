//! Simulated comparisons, of any number and with an exactly known slowdown. How much a run varies is taken from the
//! pool.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal, StudentT};

use super::pool::{Pair, Pool};
use super::tally::{SEED, Tally, Truth};
use crate::analysis::gate::{Design, Limits, Sides};
use crate::analysis::metrics::{Measure, Metric};
use crate::base::stats::{self, RunValue};

/// Slowdowns of decode, as ratios.
pub(super) const SLOWDOWNS: [f64; 8] = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08];
/// Prompts of the simulated suite, as many as in the suite `quick`.
const PROMPTS: [&str; 3] = ["a", "b", "c"];
/// Share of prefill in a simulated run's total.
const PREFILL_SHARE: f64 = 0.5;

/// Standard deviations of the logarithms of a run's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Noise {
    /// Of prefill: the part that the two runs of a pair share, and each run's own part.
    pub(super) prefill: Parts,
    /// Of decode.
    pub(super) decode: Parts,
    /// Of the worst gap, in each run.
    pub(super) worst_gap: f64,
    /// Of loading, in each run.
    pub(super) load: f64,
    /// Correlation of a pair's shared part with that of the next pair.
    pub(super) correlation: f64,
}

/// The two parts of a phase's standard deviation between runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Parts {
    pub(super) shared: f64,
    pub(super) own: f64,
}

impl Noise {
    /// The noise of the pool's unchanged pairs.
    pub(super) fn of(pool: &Pool) -> Self {
        let pairs = pool.pairs("none");
        let parts = |measure| parts(pool, pairs, measure);
        let of_runs = |measure| {
            let parts = parts(measure);
            parts.shared.hypot(parts.own)
        };
        Self {
            prefill: parts(Measure::Ttft),
            decode: parts(Measure::Decode),
            worst_gap: of_runs(Measure::WorstGap),
            load: of_runs(Measure::Load),
            correlation: correlation(pool, pairs),
        }
    }
}

/// The medians of the two parts over the metrics of a measure.
fn parts(pool: &Pool, pairs: &[Pair], measure: Measure) -> Parts {
    let (mut shared, mut own) = (Vec::new(), Vec::new());
    for index in indices(pool, measure) {
        let base: Vec<f64> = pairs.iter().map(|pair| pair.base.values[index].mean).collect();
        let differences: Vec<f64> = pairs
            .iter()
            .map(|pair| pair.candidate.values[index].mean - pair.base.values[index].mean)
            .collect();
        let of_own = stats::variance(&differences).unwrap_or_default() / 2.0;
        own.push(of_own.sqrt());
        shared.push(
            (stats::variance(&base).unwrap_or_default() - of_own)
                .max(0.0)
                .sqrt(),
        );
    }
    Parts {
        shared: middle(shared),
        own: middle(own),
    }
}

fn indices(pool: &Pool, measure: Measure) -> impl Iterator<Item = usize> {
    let metrics = pool.metrics.iter().enumerate();
    // A mean over prompts varies less than each prompt.
    let has_prompts = pool
        .metrics
        .iter()
        .any(|metric| metric.measure == measure && metric.prompt.is_some());
    metrics
        .filter(move |(_, metric)| metric.measure == measure && metric.prompt.is_some() == has_prompts)
        .map(|(index, _)| index)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Correlation of the decode rates of neighbouring base runs.
fn correlation(pool: &Pool, pairs: &[Pair]) -> f64 {
    let of_metric = |index: usize| {
        let runs: Vec<f64> = pairs.iter().map(|pair| pair.base.values[index].mean).collect();
        let mean = stats::mean(&runs).unwrap_or_default();
        let products: f64 = runs
            .windows(2)
            .map(|pair| (pair[0] - mean) * (pair[1] - mean))
            .sum();
        products / runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>()
    };
    middle(indices(pool, Measure::Decode).map(of_metric).collect())
}

/// The noise of a scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Independent, normal.
    Normal,
    /// Heavy tails: Student's t with 3 degrees of freedom, scaled to the same deviation.
    Heavy,
    /// The shared part correlates by 0.9 from pair to pair, each run's own part by 0.3 from run to run.
    Correlated,
    /// The machine gets slower by a tenth from the first run to the last.
    Drifting,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Normal, Self::Heavy, Self::Correlated, Self::Drifting];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Normal => "independent, normal",
            Self::Heavy => "heavy tails",
            Self::Correlated => "autocorrelated",
            Self::Drifting => "drifting by 10 %",
        }
    }
}

/// The noise, design and bound of comparisons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scenario {
    pub(super) kind: Kind,
    pub(super) design: Design,
    pub(super) bound: f64,
}

/// One scenario over all slowdowns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    pub(super) scenario: Scenario,
    /// One point for each of [`SLOWDOWNS`].
    pub(super) points: Vec<Tally>,
}

/// All curves, and the pool's noise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Simulated {
    pub(super) noise: Noise,
    pub(super) comparisons: usize,
    pub(super) curves: Vec<Curve>,
}

/// Simulates all scenarios.
pub(super) fn judge(noise: &Noise, comparisons: usize) -> Simulated {
    let unpaired = Design::Unpaired {
        baseline_runs: 10,
        candidate_runs: 10,
        calibration_runs: 0,
    };
    let mut scenarios: Vec<Scenario> = Kind::ALL
        .map(|kind| Scenario {
            kind,
            design: Design::Paired { pairs: 50 },
            bound: 0.01,
        })
        .to_vec();
    for pairs in [12, 25, 100] {
        scenarios.push(Scenario {
            kind: Kind::Normal,
            design: Design::Paired { pairs },
            bound: 0.01,
        });
    }
    for kind in [Kind::Normal, Kind::Heavy] {
        scenarios.push(Scenario {
            kind,
            design: unpaired,
            bound: 0.05,
        });
    }
    let curve = |scenario| Curve {
        scenario,
        points: SLOWDOWNS
            .map(|by| point(noise, scenario, by, comparisons))
            .to_vec(),
    };
    Simulated {
        noise: *noise,
        comparisons,
        curves: in_parallel(scenarios, &curve),
    }
}

/// The curves in the order of their scenarios. Each has its own random numbers.
fn in_parallel(scenarios: Vec<Scenario>, curve: &(dyn Fn(Scenario) -> Curve + Sync)) -> Vec<Curve> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = scenarios
            .into_iter()
            .map(|scenario| scope.spawn(move || curve(scenario)))
            .collect();
        let finished = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        finished
            .map(|curve| curve.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The comparisons of one scenario with one slowdown of decode.
pub(super) fn point(noise: &Noise, scenario: Scenario, by: f64, comparisons: usize) -> Tally {
    let truth = Truth {
        slowed: Measure::Decode,
        by,
    };
    let mut tally = Tally::default();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    for _ in 0..comparisons {
        let sides = simulate(noise, scenario, by, &mut rng);
        tally.count(sides, scenario.design, &Limits::new(scenario.bound), truth);
    }
    tally
}

/// One comparison.
fn simulate(noise: &Noise, scenario: Scenario, by: f64, rng: &mut ChaCha8Rng) -> Vec<Sides> {
    let (base, candidate) = match scenario.design {
        Design::Paired { pairs } => (pairs, pairs),
        Design::Unpaired {
            baseline_runs,
            candidate_runs,
            ..
        } => (baseline_runs, candidate_runs),
    };
    let mut series = Series::new(noise, scenario.kind, base + candidate);
    let (mut baseline, mut others) = (Vec::new(), Vec::new());
    if let Design::Paired { pairs } = scenario.design {
        for pair in 0..pairs {
            series.next_pair(rng);
            // ABBA.
            if pair % 2 == 0 {
                baseline.push(series.run(0.0, rng));
                others.push(series.run(by, rng));
            } else {
                others.push(series.run(by, rng));
                baseline.push(series.run(0.0, rng));
            }
        }
    } else {
        for _ in 0..base {
            series.next_pair(rng);
            baseline.push(series.run(0.0, rng));
        }
        for _ in 0..candidate {
            series.next_pair(rng);
            others.push(series.run(by, rng));
        }
    }
    sides(&baseline, &others)
}

/// One simulated run: logarithms of durations.
struct Run {
    prefill: [f64; PROMPTS.len()],
    decode: [f64; PROMPTS.len()],
    worst_gap: f64,
    load: f64,
}

/// The runs of a comparison, one after the other.
struct Series<'a> {
    noise: &'a Noise,
    kind: Kind,
    runs: usize,
    made: usize,
    shared: f64,
    own: f64,
}

impl<'a> Series<'a> {
    fn new(noise: &'a Noise, kind: Kind, runs: usize) -> Self {
        Self {
            noise,
            kind,
            runs,
            made: 0,
            shared: 0.0,
            own: 0.0,
        }
    }

    /// A random value with standard deviation 1.
    fn value(&self, rng: &mut ChaCha8Rng) -> f64 {
        match self.kind {
            Kind::Heavy => StudentT::new(3.0).map_or(0.0, |t| t.sample(rng)) / 3.0_f64.sqrt(),
            _ => StandardNormal.sample(rng),
        }
    }

    /// The next value of a first-order autoregression with standard deviation 1.
    fn after(&self, last: f64, correlation: f64, rng: &mut ChaCha8Rng) -> f64 {
        let correlation = if self.kind == Kind::Correlated && self.made > 0 {
            correlation
        } else {
            0.0
        };
        correlation * last + (1.0 - correlation * correlation).sqrt() * self.value(rng)
    }

    fn next_pair(&mut self, rng: &mut ChaCha8Rng) {
        self.shared = self.after(self.shared, 0.9, rng);
    }

    fn run(&mut self, slower: f64, rng: &mut ChaCha8Rng) -> Run {
        self.own = self.after(self.own, 0.3, rng);
        let drift = if self.kind == Kind::Drifting {
            0.1_f64.ln_1p() * stats::float(self.made) / stats::float(self.runs)
        } else {
            0.0
        };
        self.made += 1;
        // All values of a run share half of its own variance; the other half belongs to each value.
        let half = 0.5_f64.sqrt();
        let mut values = |parts: Parts, shift: f64| {
            [(); PROMPTS.len()].map(|()| {
                let own = half * (self.own + self.value(rng));
                shift + drift + parts.shared * self.shared + parts.own * own
            })
        };
        let prefill = values(self.noise.prefill, 0.0);
        let decode = values(self.noise.decode, slower.ln_1p());
        Run {
            prefill,
            decode,
            worst_gap: slower.ln_1p() + drift + self.noise.worst_gap * self.value(rng),
            load: drift + self.noise.load * self.value(rng),
        }
    }
}

/// The metrics of simulated runs, in the form that the gate gets from records.
fn sides(baseline: &[Run], candidate: &[Run]) -> Vec<Sides> {
    let mut found = Vec::new();
    let mut add = |measure, prompt: Option<usize>, value: &dyn Fn(&Run) -> f64| {
        let values = |runs: &[Run]| {
            let of_run = |run| RunValue {
                mean: value(run),
                within: None,
                samples: 1,
            };
            runs.iter().map(of_run).collect()
        };
        found.push(Sides {
            metric: Metric {
                model: "simulated".into(),
                suite: "quick".into(),
                measure,
                prompt: prompt.map(|index| PROMPTS[index].to_owned()),
            },
            baseline: values(baseline),
            candidate: values(candidate),
            calibration: Vec::new(),
        });
    };
    let total = |run: &Run, index: usize| {
        (PREFILL_SHARE * run.prefill[index].exp() + (1.0 - PREFILL_SHARE) * run.decode[index].exp()).ln()
    };
    let mean = |value: &dyn Fn(usize) -> f64| {
        let values: Vec<f64> = (0..PROMPTS.len()).map(value).collect();
        stats::mean(&values).unwrap_or_default()
    };
    for index in 0..PROMPTS.len() {
        add(Measure::Ttft, Some(index), &|run| run.prefill[index]);
        // A rate, for which higher is better.
        add(Measure::Decode, Some(index), &|run| -run.decode[index]);
        add(Measure::Total, Some(index), &|run| total(run, index));
    }
    add(Measure::Ttft, None, &|run| mean(&|index| run.prefill[index]));
    add(Measure::Decode, None, &|run| -mean(&|index| run.decode[index]));
    add(Measure::Total, None, &|run| mean(&|index| total(run, index)));
    add(Measure::WorstGap, None, &|run| run.worst_gap);
    add(Measure::Load, None, &|run| run.load);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::number;

    /// A steady machine: 1 % of variation between processes.
    const STEADY: Noise = Noise {
        prefill: Parts {
            shared: 0.01,
            own: 0.01,
        },
        decode: Parts {
            shared: 0.01,
            own: 0.01,
        },
        worst_gap: 0.1,
        load: 0.05,
        correlation: 0.0,
    };

    fn tally(kind: Kind, by: f64) -> Tally {
        let scenario = Scenario {
            kind,
            design: Design::Paired { pairs: 25 },
            bound: 0.01,
        };
        point(&STEADY, scenario, by, 200)
    }

    #[test]
    fn unchanged_streams_raise_no_alarm() {
        for kind in Kind::ALL {
            let unchanged = tally(kind, 0.0);
            assert!(unchanged.false_alarm.share() <= 0.01, "{kind:?} {unchanged:?}");
        }
    }

    #[test]
    fn a_slowdown_of_decode_is_found_and_prefill_is_not_blamed() {
        for kind in Kind::ALL {
            let slower = tally(kind, 0.05);
            assert!(slower.found.share() >= 0.99, "{kind:?} {slower:?}");
            assert!(slower.false_alarm.share() <= 0.01, "{kind:?} {slower:?}");
        }
        assert!(tally(Kind::Normal, 0.03).found.share() >= 0.9);
        assert!(tally(Kind::Normal, 0.01).found.share() <= 0.05);
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let unpaired = Design::Unpaired {
            baseline_runs: 5,
            candidate_runs: 5,
            calibration_runs: 0,
        };
        for design in [
            unpaired,
            Design::Paired { pairs: 10 },
            Design::Paired { pairs: 25 },
            Design::Paired { pairs: 40 },
        ] {
            let scenario = Scenario {
                kind: Kind::Normal,
                design,
                bound: 0.01,
            };
            let covered = point(&STEADY, scenario, 0.03, 500).covered;
            assert!((0.93..=0.97).contains(&covered.share()), "{design:?} {covered}");
        }
    }

    #[test]
    fn a_rare_stall_is_found_though_the_mean_hardly_moves() {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut found = crate::program::operating_curve::rate::Rate::default();
        let mut alarms = crate::program::operating_curve::rate::Rate::default();
        for _ in 0..100 {
            let mut verdict = |stalls: bool| {
                let (mut base, mut candidate) = (Vec::new(), Vec::new());
                for run in 0..20 {
                    base.push(tokens(run, false, &mut rng));
                    candidate.push(tokens(run, stalls, &mut rng));
                }
                let comparison =
                    crate::analysis::gate::compare_pairs(&base, &candidate, &[], &Limits::new(0.05));
                let regressed = |measure| {
                    let judged = comparison
                        .metrics
                        .iter()
                        .filter(|judged| judged.metric.measure == measure);
                    judged
                        .into_iter()
                        .any(|judged| judged.verdict == crate::analysis::gate::Verdict::Regressed)
                };
                (regressed(Measure::WorstGap), regressed(Measure::Decode))
            };
            found.count(verdict(true) == (true, false));
            alarms.count(verdict(false) != (false, false));
        }
        assert!(found.share() >= 0.99 && alarms.hits == 0, "{found} {alarms}");
    }

    /// A run of 2,000 tokens about 10 ms apart, and with a stall of ten gaps in it somewhere.
    fn tokens(id: usize, stalls: bool, rng: &mut ChaCha8Rng) -> crate::record::RunRecord {
        use rand::RngExt as _;
        let stall = rng.random_range(0..1980);
        let mut token = 0;
        let mut sample = || {
            let mut at = 50e6;
            let stamps: Vec<u64> = (0..100)
                .map(|index| {
                    let noise: f64 = StandardNormal.sample(rng);
                    let long = if stalls && token == stall { 10.0 } else { 1.0 };
                    if index > 0 {
                        at += 10e6 * long * (0.1 * noise).exp();
                        token += 1;
                    }
                    number::whole(at).unwrap_or_default()
                })
                .collect();
            crate::record::fixtures::sample_of(&stamps)
        };
        let samples: Vec<_> = (0..20).map(|_| sample()).collect();
        let mut record = crate::record::fixtures::run(&id.to_string(), &[(1, 1)]);
        record.models[0].prompts.truncate(1);
        record.models[0].prompts[0].samples = samples;
        record
    }
}
