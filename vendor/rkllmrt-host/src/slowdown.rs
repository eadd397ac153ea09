//! Makes the runtime slower on purpose, by a known share of its own time: what finds slowdowns is tried on it.
//!
//! The time is spent in arithmetic and not in a sleep, as that of slower code would be: the CPU stays busy, and warm.

use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Says how much, for example `prefill=5%,decode=3%,stall=10/2000`.
const VARIABLE: &str = "RKLLMRT_HOST_SLOWDOWN";
/// Far beyond any use, and small enough that no duration overflows.
const MOST_PERCENT: f64 = 1000.0;

/// Decode steps of this process, with whatever model.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// What the variable asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Shares {
    /// Of the time of each prefill.
    prefill: f64,
    /// Of the time of each decode step.
    decode: f64,
    stall: Option<Stall>,
}

/// So many mean steps more at every so-manyth step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stall {
    steps: u32,
    every: NonZeroU64,
}

/// The slowdown of one loaded model.
#[derive(Debug, Default)]
pub(crate) struct Slowdown {
    shares: Shares,
    /// Time of its decode steps so far, what was added left out.
    decode: Duration,
    steps: u32,
}

impl Slowdown {
    /// What the environment asks for; without the variable nothing.
    pub(crate) fn of_environment() -> Result<Self, String> {
        let Some(value) = std::env::var_os(VARIABLE) else {
            return Ok(Self::default());
        };
        let value = value.to_string_lossy();
        let shares = parse(&value).map_err(|reason| {
            format!("{VARIABLE}={value}: {reason}; an example is prefill=5%,decode=3%,stall=10/2000")
        })?;
        crate::log::warning(format_args!("slower on purpose: {VARIABLE}={value}"));
        Ok(Self {
            shares,
            ..Self::default()
        })
    }

    /// Adds its share to a prefill that began at `start` and is over.
    pub(crate) fn after_prefill(&self, start: Instant) {
        spend(start.elapsed().mul_f64(self.shares.prefill));
    }

    /// Adds its share, and the stall where one is due, to a decode step that began at `start` and is over.
    pub(crate) fn after_step(&mut self, start: Instant) {
        let step = STEPS.fetch_add(1, Ordering::Relaxed) + 1;
        spend(self.owed(start.elapsed(), step));
    }

    /// What a decode step owes that took so long and is the process's `step`th, counted from 1.
    fn owed(&mut self, took: Duration, step: u64) -> Duration {
        self.decode += took;
        self.steps = self.steps.saturating_add(1);
        let stall = match self.shares.stall {
            Some(stall) if step.is_multiple_of(stall.every.get()) => self.decode / self.steps * stall.steps,
            _ => Duration::ZERO,
        };
        took.mul_f64(self.shares.decode) + stall
    }
}

fn parse(value: &str) -> Result<Shares, String> {
    let mut shares = Shares::default();
    let mut seen = Vec::new();
    for part in value.split(',') {
        let (name, amount) = part
            .split_once('=')
            .ok_or_else(|| format!("{part:?} is no name=amount"))?;
        if seen.contains(&name) {
            return Err(format!("{name} is there twice"));
        }
        seen.push(name);
        match name {
            "prefill" => shares.prefill = percent(amount)?,
            "decode" => shares.decode = percent(amount)?,
            "stall" => shares.stall = Some(stall(amount)?),
            _ => return Err(format!("{name:?} is not one of prefill, decode and stall")),
        }
    }
    Ok(shares)
}

fn percent(amount: &str) -> Result<f64, String> {
    let number = amount.strip_suffix('%').and_then(|number| number.parse().ok());
    match number {
        Some(percent) if (0.0..=MOST_PERCENT).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("{amount:?} is no percentage from 0% to {MOST_PERCENT}%")),
    }
}

fn stall(amount: &str) -> Result<Stall, String> {
    let numbers = amount.split_once('/').and_then(|(steps, every)| {
        Some(Stall {
            steps: u32::from(steps.parse::<u16>().ok()?),
            every: every.parse().ok()?,
        })
    });
    numbers
        .ok_or_else(|| format!("{amount:?} is no stall of K steps, up to 65535, at every Nth, written K/N"))
}

fn spend(owed: Duration) {
    let start = Instant::now();
    work(owed, || start.elapsed(), arithmetic);
}

/// Works chunk by chunk until `elapsed` says that what is owed has passed.
fn work(owed: Duration, mut elapsed: impl FnMut() -> Duration, mut chunk: impl FnMut()) {
    while elapsed() < owed {
        chunk();
    }
}

/// Below a microsecond: each multiplication waits for the one before.
fn arithmetic() {
    const MULTIPLICATIONS: u32 = 200;
    let mut number = black_box(1.0_f64);
    for _ in 0..MULTIPLICATIONS {
        number = number * 0.999 + 0.5;
    }
    black_box(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn slowdown(value: &str) -> Slowdown {
        Slowdown {
            shares: parse(value).expect("well formed"),
            ..Slowdown::default()
        }
    }

    #[test]
    fn shares_are_read_in_any_order() {
        let all = Shares {
            prefill: 0.05,
            decode: 0.025,
            stall: Some(Stall {
                steps: 10,
                every: NonZeroU64::new(2000).expect("not 0"),
            }),
        };
        assert_eq!(parse("stall=10/2000,prefill=5%,decode=2.5%"), Ok(all));
        let one = Shares {
            decode: 10.0,
            ..Shares::default()
        };
        assert_eq!(parse("decode=1000%"), Ok(one));
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (value, named) in [
            ("", "\"\""),
            ("5%", "5%"),
            ("prefil=5%", "prefil"),
            ("prefill=5", "\"5\""),
            ("prefill=-1%", "-1%"),
            ("prefill=NaN%", "NaN%"),
            ("decode=1001%", "1001%"),
            ("decode=1%,decode=2%", "twice"),
            ("decode=1%,", "\"\""),
            ("stall=10", "\"10\""),
            ("stall=10/0", "10/0"),
            ("stall=70000/2", "70000/2"),
        ] {
            let reason = parse(value).expect_err(value);
            assert!(reason.contains(named), "{value}: {reason}");
        }
    }

    #[test]
    fn a_step_owes_its_share_and_every_nth_a_stall_of_mean_steps() {
        let mut slowdown = slowdown("decode=50%,stall=10/4");
        assert_eq!(slowdown.owed(2 * MS, 3), MS);
        // The mean of 2 and 4 ms, ten times.
        assert_eq!(slowdown.owed(4 * MS, 4), 2 * MS + 30 * MS);
        assert_eq!(slowdown.owed(6 * MS, 5), 3 * MS);
        assert_eq!(slowdown.owed(4 * MS, 8), 2 * MS + 40 * MS);
    }

    #[test]
    fn without_shares_nothing_is_owed() {
        assert_eq!(Slowdown::default().owed(4 * MS, 4), Duration::ZERO);
    }

    #[test]
    fn work_goes_on_until_what_is_owed_has_passed() {
        let chunks = |owed| {
            let clock = std::cell::Cell::new(Duration::ZERO);
            let mut chunks = 0;
            work(
                owed,
                || clock.get(),
                || {
                    chunks += 1;
                    clock.set(clock.get() + 2 * MS);
                },
            );
            chunks
        };
        assert_eq!(
            (chunks(Duration::ZERO), chunks(MS), chunks(4 * MS), chunks(5 * MS)),
            (0, 1, 2, 3)
        );
    }
}
