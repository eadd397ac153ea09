//! A limit on repeated processes: a number, a time budget, or whichever ends first. Also parses durations.

use std::time::Duration;

/// Minimum number of repetitions, whatever the budget: a single one shows no variation.
pub(crate) const LEAST: usize = 2;

/// A limit on repetitions. With both a number and a budget, whichever ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repetitions {
    /// This number; absent: as many as fit into the budget.
    pub(crate) count: Option<usize>,
    /// Time limit, which the first [`LEAST`] may exceed; absent: none.
    pub(crate) budget: Option<Duration>,
}

/// Why no further repetition starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All were made.
    Count,
    /// Another one would not fit into the time.
    Budget,
}

impl Repetitions {
    /// Whether, after `done` repetitions in `elapsed`, no further one starts.
    ///
    /// Number and time decide, never the figures. Stopping at the first verdict that shows a change would report
    /// changes that do not exist many times more often than alpha.
    pub(crate) fn end(&self, done: usize, elapsed: Duration) -> Option<End> {
        if self.count.is_some_and(|count| done >= count) {
            Some(End::Count)
        } else if done >= LEAST
            && self
                .budget
                .is_some_and(|budget| elapsed + mean(done, elapsed) > budget)
        {
            Some(End::Budget)
        } else {
            None
        }
    }

    /// Expected total number, from the time of those done; absent before the first.
    pub(crate) fn expected(&self, done: usize, elapsed: Duration) -> Option<usize> {
        let of_budget = self.budget.filter(|_| done > 0).map(|budget| {
            let fit = budget.as_nanos() / mean(done, elapsed).as_nanos().max(1);
            usize::try_from(fit).unwrap_or(usize::MAX).max(LEAST)
        });
        [self.count, of_budget].into_iter().flatten().min()
    }

    /// Expected remaining time; absent before the first.
    pub(crate) fn left(&self, done: usize, elapsed: Duration) -> Option<Duration> {
        let further = self.expected(done, elapsed)?.saturating_sub(done);
        let further = u32::try_from(further).unwrap_or(u32::MAX);
        (done > 0).then(|| mean(done, elapsed).saturating_mul(further))
    }
}

/// The mean time of one repetition; zero before the first.
pub(crate) fn mean(done: usize, elapsed: Duration) -> Duration {
    elapsed / u32::try_from(done).unwrap_or(u32::MAX).max(1)
}

/// Parses a duration on the command line.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let meant = "expected a duration such as 90s, 10m or 1h30m";
    let time: jiff::SignedDuration = text.parse().map_err(|error| format!("{meant}: {error}"))?;
    match Duration::try_from(time) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(meant.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_on_the_command_line() {
        let s = Duration::from_secs;
        for (text, time) in [("90s", s(90)), ("10m", s(600)), ("1h30m", s(5400))] {
            assert_eq!(parse_time(text), Ok(time));
        }
        for wrong in ["10", "-1m", "0s", "soon", ""] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_number_is_kept_to_whatever_the_time() {
        let repetitions = Repetitions {
            count: Some(3),
            budget: None,
        };
        assert_eq!(repetitions.end(2, 1000 * S), None);
        assert_eq!(repetitions.end(3, S), Some(End::Count));
        assert_eq!(repetitions.expected(0, Duration::ZERO), Some(3));
        assert_eq!(repetitions.left(0, Duration::ZERO), None);
        assert_eq!(repetitions.left(2, 20 * S), Some(10 * S));
    }

    #[test]
    fn a_budget_is_not_exceeded_but_for_the_least() {
        let repetitions = Repetitions {
            count: None,
            budget: Some(35 * S),
        };
        assert_eq!(repetitions.end(1, 100 * S), None);
        assert_eq!(repetitions.end(2, 200 * S), Some(End::Budget));
        // Another ten seconds fit after 20, and not after 30.
        assert_eq!(repetitions.end(2, 20 * S), None);
        assert_eq!(repetitions.end(3, 30 * S), Some(End::Budget));
        assert_eq!(repetitions.expected(0, Duration::ZERO), None);
        assert_eq!(repetitions.expected(1, 10 * S), Some(3));
        assert_eq!(repetitions.expected(1, 100 * S), Some(2));
        assert_eq!(repetitions.left(1, 10 * S), Some(20 * S));
    }

    #[test]
    fn of_both_whichever_ends_first() {
        let repetitions = Repetitions {
            count: Some(4),
            budget: Some(35 * S),
        };
        assert_eq!(repetitions.end(3, 30 * S), Some(End::Budget));
        assert_eq!(repetitions.end(4, 4 * S), Some(End::Count));
        assert_eq!(repetitions.expected(1, S), Some(4));
        assert_eq!(repetitions.expected(1, 10 * S), Some(3));
    }
}
