//! Where the wall time of a run went.

use std::time::Duration;

use crate::record::{RunRecord, Sample};

/// Where the wall time of a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// Loading models.
    pub load: Duration,
    /// Warm-up inferences and those that did not become samples.
    pub warm_up: Duration,
    /// Samples.
    pub samples: Duration,
    /// Criterion's statistics, plots and pages.
    pub criterion: Duration,
    /// Waiting for this process's turns; zero where none are taken.
    pub waiting: Duration,
    /// Waiting until the board was as at the start; zero where that was not asked for.
    pub settling: Duration,
    /// From the first to the last moment.
    pub all: Duration,
}

impl TimeSpent {
    /// Adds up what a record says of its inferences.
    pub fn of_record(record: &RunRecord, criterion: Duration, all: Duration) -> Self {
        let ns = |samples: &[Sample]| Duration::from_nanos(samples.iter().map(|s| s.phases.total_ns).sum());
        let mut spent = Self {
            criterion,
            all,
            ..Self::default()
        };
        for model in &record.models {
            spent.load += Duration::from_nanos(model.loaded.as_ref().map_or(0, |loaded| loaded.load_ns));
            for prompt in &model.prompts {
                spent.samples += ns(&prompt.samples);
                spent.warm_up += ns(&prompt.warm_up);
                for rejected in &prompt.rejected {
                    let run = &rejected.inference;
                    spent.warm_up += Duration::from_nanos(run.return_ns.saturating_sub(run.call_ns));
                }
            }
        }
        spent
    }
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
