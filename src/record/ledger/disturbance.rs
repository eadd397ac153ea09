//! Which of a sample's conditions disturbed it.

use super::verdict::Mark;
use crate::machine::board::is_lower;
use crate::machine::sampler::Conditions;

/// Share of one core's time that a sample may lose to other processes, percent.
pub const MOST_LOST_PERCENT: f64 = 5.0;

/// The marks of a sample taken under `conditions`. None if the machine was undisturbed or its state is unknown.
pub fn marks(conditions: &Conditions) -> Vec<Mark> {
    let throttled = (conditions.throttled == Some(true)).then_some(Mark::Throttled);
    let lower = conditions.clocks.iter().filter_map(|range| {
        let from_hz = range.held_hz?;
        is_lower(range.min_hz, from_hz).then(|| Mark::LowerFrequency {
            clock: range.clock.clone(),
            from_hz,
            to_hz: range.min_hz,
        })
    });
    let lost = conditions.lost_percent().filter(|lost| *lost > MOST_LOST_PERCENT);
    let other = lost.map(|percent| Mark::OtherProcess {
        percent,
        cpus: conditions.cpus.clone(),
    });
    throttled.into_iter().chain(lower).chain(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::sampler::ClockRange;

    #[test]
    fn a_calm_machine_and_one_that_cannot_be_seen_leave_no_mark() {
        assert_eq!(marks(&Conditions::default()), vec![]);
        let calm = Conditions {
            throttled: Some(false),
            clocks: vec![clock(Some(1_000_000_000), 990_000_000), clock(None, 1)],
            // Another process had a core that the model left free.
            waited_percent: Some(5.0),
            others_percent: Some(100.0),
            steal_percent: Some(0.0),
            ..Conditions::default()
        };
        assert_eq!(marks(&calm), vec![]);
    }

    #[test]
    fn each_disturbance_has_its_mark() {
        let disturbed = Conditions {
            throttled: Some(true),
            clocks: vec![clock(Some(1_000_000_000), 989_000_000)],
            cpus: vec![4, 5],
            waited_percent: Some(4.0),
            others_percent: Some(80.0),
            steal_percent: Some(1.5),
            ..Conditions::default()
        };
        let expected = [
            Mark::Throttled,
            Mark::LowerFrequency {
                clock: "npu".into(),
                from_hz: 1_000_000_000,
                to_hz: 989_000_000,
            },
            Mark::OtherProcess {
                percent: 5.5,
                cpus: vec![4, 5],
            },
        ];
        assert_eq!(marks(&disturbed), expected);
    }

    fn clock(held_hz: Option<u64>, min_hz: u64) -> ClockRange {
        ClockRange {
            clock: "npu".into(),
            held_hz,
            min_hz,
            max_hz: 1_000_000_000,
        }
    }
}
