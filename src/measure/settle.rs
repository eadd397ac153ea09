//! Waits between models until a board is back at the state of the run's start, so that the heat of one model does not
//! slow the next.

use std::time::{Duration, Instant};

use crate::base::signals;
use crate::machine::board::{Board, Clock, ThermalZone, is_lower, mhz};
use crate::measure::recorder::Stopped;

/// A board counts as settled up to this far above its first temperature, °C. Two readings of a sensor differ by as
/// much.
const NEAR_C: f64 = 2.0;
/// How often the board is read.
const TICK: Duration = Duration::from_secs(1);
/// How often a wait checks for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);

/// Waits before each model except the first.
#[derive(Debug)]
pub(crate) struct Settler {
    start: Board,
    bound: Duration,
    waited: Duration,
    /// Whether the user was notified that there is no temperature to wait for.
    notified: bool,
}

/// What to do after a pause.
enum Next {
    Look,
    Over,
    Stop,
}

impl Settler {
    /// Waits for the state of `start`, each time at most `bound`.
    pub(crate) fn new(start: &Board, bound: Duration) -> Self {
        Self {
            start: start.clone(),
            bound,
            waited: Duration::ZERO,
            notified: false,
        }
    }

    /// Time spent waiting.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Waits, and shows what for. Returns a note for the user if the state was not reached, or, once, if there is no
    /// temperature to wait for.
    ///
    /// # Errors
    /// [`Stopped`] if the user asked for it.
    pub(crate) fn settle(&mut self, shown: &mut dyn FnMut(&str)) -> Result<Option<String>, Stopped> {
        if hottest(&self.start).is_none() {
            let note = "settle: this machine shows no temperature, so there is nothing to wait for";
            return Ok((!std::mem::replace(&mut self.notified, true)).then(|| note.to_owned()));
        }
        let begin = Instant::now();
        let bound = self.bound;
        let mut pause = || {
            let tick = Instant::now();
            while tick.elapsed() < TICK {
                if signals::is_stopped() {
                    return Next::Stop;
                }
                if begin.elapsed() >= bound {
                    return Next::Over;
                }
                std::thread::sleep(LOOK);
            }
            Next::Look
        };
        let outcome = wait(&self.start, &mut Board::read, &mut pause, shown);
        self.waited += begin.elapsed();
        let unsettled = outcome?;
        Ok(unsettled.map(|why| format!("settle: continued after {} s: {why}", bound.as_secs())))
    }
}

/// What was not back at its first state when the time was over. Absent if everything was.
fn wait(
    start: &Board,
    read: &mut dyn FnMut() -> Board,
    pause: &mut dyn FnMut() -> Next,
    shown: &mut dyn FnMut(&str),
) -> Result<Option<String>, Stopped> {
    loop {
        let Some(why) = away(start, &read()) else {
            return Ok(None);
        };
        shown(&why);
        match pause() {
            Next::Look => {}
            Next::Over => return Ok(Some(why)),
            Next::Stop => return Err(Stopped),
        }
    }
}

/// What is not at the state of `start`.
fn away(start: &Board, now: &Board) -> Option<String> {
    if let (Some((_, first_c)), Some((zone, now_c))) = (hottest(start), hottest(now))
        && now_c > first_c + NEAR_C
    {
        let name = crate::base::json::clip(&zone.name);
        return Some(format!("{name} at {now_c:.1} °C, at the start {first_c:.1} °C"));
    }
    if hottest(now).is_none() {
        return Some("the temperature can no longer be read".to_owned());
    }
    let clocks_now = clocks(now);
    clocks(start).into_iter().find_map(|first| {
        let clock = clocks_now.iter().find(|clock| clock.node == first.node);
        let why = match clock {
            Some(clock) => lower(first, clock),
            None => Some("can no longer be read".to_owned()),
        };
        why.map(|why| format!("{} {why}", first.node))
    })
}

/// How a clock is lower than at the start. If it follows the load, only its limit counts, not its frequency.
fn lower(first: &Clock, now: &Clock) -> Option<String> {
    let current = first.current_hz.filter(|_| first.fixed_hz().is_some());
    for (what, first, now) in [
        ("limited to", first.max_hz, now.max_hz),
        ("at", current, now.current_hz),
    ] {
        if let (Some(first), Some(now)) = (first, now)
            && is_lower(now, first)
        {
            return Some(format!("{what} {}, at the start {}", mhz(now), mhz(first)));
        }
    }
    None
}

fn clocks(board: &Board) -> Vec<&Clock> {
    let cpus = board.cpu_clusters.iter().map(|cluster| &cluster.clock);
    let others = [board.npu.clock.as_ref(), board.ddr.as_ref()];
    cpus.chain(others.into_iter().flatten()).collect()
}

/// The hottest zone, and its temperature, °C.
fn hottest(board: &Board) -> Option<(&ThermalZone, f64)> {
    let zones = board.thermal_zones.iter();
    zones
        .filter_map(|zone| Some((zone, zone.temperature_c?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::machine::board::fake::Fake;

    fn board(change: impl FnOnce(&mut Fake) -> &mut Fake) -> Board {
        let mut fake = Fake::rk3588();
        change(&mut fake);
        Board::read_below(fake.written().path())
    }

    fn at_c(celsius: i64) -> Board {
        board(|fake| fake.zone(1, "npu-thermal", celsius * 1000, &[]))
    }

    #[test]
    fn it_is_waited_until_temperature_and_clocks_are_back() {
        let start = board(|fake| fake);
        let throttled = board(|fake| fake.put("sys/class/devfreq/dmc/max_freq", "528000000"));
        let slow = board(|fake| fake.put("sys/class/devfreq/dmc/cur_freq", "1560000000"));
        let mut seen: VecDeque<Board> = [at_c(70), at_c(48), throttled, slow, at_c(47)].into();
        let mut reasons = Vec::new();
        let outcome = wait(
            &start,
            &mut || seen.pop_front().expect("no further look"),
            &mut || Next::Look,
            &mut |why| reasons.push(why.to_owned()),
        );
        assert_eq!(outcome, Ok(None));
        assert_eq!(
            reasons,
            [
                "npu-thermal at 70.0 °C, at the start 45.0 °C",
                "npu-thermal at 48.0 °C, at the start 45.0 °C",
                "dmc limited to 528 MHz, at the start 2112 MHz",
                "dmc at 1560 MHz, at the start 2112 MHz",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_any_more_is_not_settled() {
        let start = board(|fake| fake);
        let cold = board(|fake| fake.remove("sys/class/thermal"));
        let why = "the temperature can no longer be read";
        assert_eq!(away(&start, &cold).as_deref(), Some(why));
        let without_ddr = board(|fake| fake.remove("sys/class/devfreq/dmc"));
        let why = "dmc can no longer be read";
        assert_eq!(away(&start, &without_ddr).as_deref(), Some(why));
    }

    #[test]
    fn a_clock_that_follows_the_load_is_not_waited_for() {
        let governor = "sys/class/devfreq/dmc/governor";
        let start = board(|fake| fake.put(governor, "dmc_ondemand"));
        let now = board(|fake| {
            fake.put(governor, "dmc_ondemand")
                .put("sys/class/devfreq/dmc/cur_freq", "528000000")
        });
        assert_eq!(away(&start, &now), None);
    }

    #[test]
    fn the_wait_ends_by_its_bound_and_by_the_user() {
        let start = board(|fake| fake);
        let of = |next: fn() -> Next| wait(&start, &mut || at_c(70), &mut || next(), &mut |_| {});
        let why = "npu-thermal at 70.0 °C, at the start 45.0 °C";
        assert_eq!(of(|| Next::Over), Ok(Some(why.to_owned())));
        assert_eq!(of(|| Next::Stop), Err(Stopped));
    }

    #[test]
    fn without_a_temperature_it_is_said_once_and_not_waited() {
        let start = board(|fake| fake.remove("sys/class/thermal"));
        let mut settler = Settler::new(&start, Duration::from_mins(5));
        let mut settle = || settler.settle(&mut |_| panic!("nothing is waited for"));
        assert!(settle().is_ok_and(|note| note.is_some_and(|note| note.contains("no temperature"))));
        assert_eq!(settle(), Ok(None));
        assert_eq!(settler.waited(), Duration::ZERO);
    }
}
