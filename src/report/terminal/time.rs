//! Where the wall time of a run went.

use std::time::Duration;

use crate::inference::Inference;
use crate::record::RunRecord;

/// Where the wall time of a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// Loading models.
    pub load: Duration,
    /// Warm-up inferences and those that yielded no sample.
    pub warm_up: Duration,
    /// Samples.
    pub samples: Duration,
    /// Criterion's statistics, plots and pages.
    pub criterion: Duration,
    /// Waiting for this process's turns; zero without turns.
    pub waiting: Duration,
    /// Waiting until the board was as at the start; zero without `--settle`.
    pub settling: Duration,
    /// From the first to the last moment.
    pub all: Duration,
}

impl TimeSpent {
    /// Sums the times of a record's inferences.
    pub fn of_record(record: &RunRecord, criterion: Duration, all: Duration) -> Self {
        let mut spent = Self {
            criterion,
            all,
            ..Self::default()
        };
        for model in &record.models {
            spent.load += Duration::from_nanos(model.loaded.as_ref().map_or(0, |loaded| loaded.load_ns));
            let samples = model.prompts.iter().flat_map(|prompt| &prompt.samples);
            let samples: Vec<_> = samples.map(|sample| span(&sample.inference)).collect();
            let others = model.prompts.iter().flat_map(|prompt| {
                let warm_up = prompt.warm_up.iter().map(|sample| &sample.inference);
                warm_up.chain(prompt.rejected.iter().map(|rejected| &rejected.inference))
            });
            let all = samples.iter().copied().chain(others.map(span)).collect();
            let of_samples = covered(samples);
            spent.samples += of_samples;
            spent.warm_up += covered(all).saturating_sub(of_samples);
        }
        spent
    }
}

/// From an inference's call to its return, ns.
fn span(inference: &Inference) -> (u64, u64) {
    (inference.call_ns, inference.return_ns)
}

/// The time during which at least one of `spans` was running, since several clients run at once.
fn covered(mut spans: Vec<(u64, u64)>) -> Duration {
    spans.sort_unstable();
    let (mut covered, mut end) = (0, 0);
    for (from, to) in spans {
        covered += to.saturating_sub(from.max(end));
        end = end.max(to);
    }
    Duration::from_nanos(covered)
}

impl std::fmt::Display for TimeSpent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inference = self.samples + self.warm_up;
        let at_work = self.all.saturating_sub(self.waiting + self.settling);
        let rest = at_work.saturating_sub(inference + self.load + self.criterion);
        let share = if at_work.is_zero() {
            0.0
        } else {
            inference.as_secs_f64() / at_work.as_secs_f64()
        };
        let part = |time: Duration, what: &str| {
            if time.is_zero() {
                String::new()
            } else {
                format!("{:.1} s {what} + ", time.as_secs_f64())
            }
        };
        let waiting = part(self.waiting, "waiting for turns") + &part(self.settling, "settling");
        write!(
            f,
            "time: {:.1} s = {:.1} s samples + {:.1} s warm-up + {:.1} s load + {:.1} s criterion + {waiting}{:.1} s rest \
             ({:.0} % inference)",
            self.all.as_secs_f64(),
            self.samples.as_secs_f64(),
            self.warm_up.as_secs_f64(),
            self.load.as_secs_f64(),
            self.criterion.as_secs_f64(),
            rest.as_secs_f64(),
            share * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    #[test]
    fn inferences_at_once_are_counted_once() {
        let mut run = fixtures::run("one", &[(20_000_000, 1_000_000)]);
        let prompts = &mut run.models[0].prompts;
        // Each takes 29 ms; the second one begins when the first has 9 ms left, and the last one follows alone.
        for (prompt, begin) in [(0, 0), (1, 20_000_000)] {
            let inference = &mut prompts[prompt].samples[0].inference;
            inference.call_ns += begin;
            inference.return_ns += begin;
        }
        let mut alone = prompts[0].samples[0].clone();
        alone.inference.call_ns += 60_000_000;
        alone.inference.return_ns += 60_000_000;
        prompts[0].warm_up.push(alone);
        let all = Duration::from_millis(100);
        let spent = TimeSpent::of_record(&run, Duration::ZERO, all);
        assert_eq!(spent.samples, Duration::from_millis(49));
        assert_eq!(spent.warm_up, Duration::from_millis(29));
    }

    #[test]
    fn the_last_line_adds_up() {
        let spent = TimeSpent {
            load: Duration::from_secs(1),
            warm_up: Duration::from_secs(2),
            samples: Duration::from_secs(15),
            criterion: Duration::from_secs(1),
            waiting: Duration::ZERO,
            settling: Duration::ZERO,
            all: Duration::from_secs(20),
        };
        assert_eq!(
            spent.to_string(),
            "time: 20.0 s = 15.0 s samples + 2.0 s warm-up + 1.0 s load + 1.0 s criterion + 1.0 s rest (85 % inference)"
        );
        let in_turns = TimeSpent {
            waiting: Duration::from_secs(14),
            all: Duration::from_secs(34),
            ..spent
        };
        assert_eq!(
            in_turns.to_string(),
            "time: 34.0 s = 15.0 s samples + 2.0 s warm-up + 1.0 s load + 1.0 s criterion + 14.0 s waiting for turns + 1.0 s rest \
             (85 % inference)"
        );
        let settled = TimeSpent {
            settling: Duration::from_secs(30),
            all: Duration::from_secs(50),
            ..spent
        };
        assert_eq!(
            settled.to_string(),
            "time: 50.0 s = 15.0 s samples + 2.0 s warm-up + 1.0 s load + 1.0 s criterion + 30.0 s settling + 1.0 s rest \
             (85 % inference)"
        );
    }
}
