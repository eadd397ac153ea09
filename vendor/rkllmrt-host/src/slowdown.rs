//! A runtime that is slower by a known share, to try a gate on: after each computation work is added in proportion to
//! the time that it took. Compiled in by the feature `slowdown` alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Says which share is added to what, such as `prefill=5%,decode=3%`.
const VARIABLE: &str = "RKLLMRT_HOST_SLOWDOWN";

/// Shares of the time of a computation that are added to it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Slowdown {
    prefill: f64,
    decode: f64,
}

impl Slowdown {
    /// What the environment asks for; nothing without it.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        Self::parse(&text).map_err(|error| format!("{VARIABLE}={text}: {error}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut slowdown = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let parsed = part.split_once('=').and_then(|(phase, share)| {
                let percent: f64 = share.strip_suffix('%')?.parse().ok()?;
                (0.0..=1000.0)
                    .contains(&percent)
                    .then_some((phase, percent / 100.0))
            });
            match parsed {
                Some(("prefill", share)) => slowdown.prefill = share,
                Some(("decode", share)) => slowdown.decode = share,
                _ => return Err("a list is meant such as prefill=5%,decode=3%".to_owned()),
            }
        }
        Ok(slowdown)
    }

    /// To be called when a prefill that began at `start` has been computed.
    pub(crate) fn after_prefill(self, start: Instant) {
        work(start.elapsed().mul_f64(self.prefill));
    }

    /// The same of one step of decode.
    pub(crate) fn after_decode(self, start: Instant) {
        work(start.elapsed().mul_f64(self.decode));
    }
}

/// Keeps the core busy with arithmetic for that long. A sleep would let it rest, and wake late.
fn work(time: Duration) {
    let start = Instant::now();
    let mut value = 1.0_f32;
    while start.elapsed() < time {
        for _ in 0..64 {
            value = black_box(value).mul_add(1.000_1, 0.1);
        }
    }
    black_box(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_phase() {
        let of = |prefill, decode| Ok(Slowdown { prefill, decode });
        assert_eq!(Slowdown::parse(""), of(0.0, 0.0));
        assert_eq!(Slowdown::parse("decode=3%"), of(0.0, 0.03));
        assert_eq!(Slowdown::parse("prefill=5%,decode=2.5%"), of(0.05, 0.025));
        for wrong in [
            "decode",
            "decode=3",
            "total=3%",
            "decode=-1%",
            "decode=NaN%",
            "none",
        ] {
            assert!(Slowdown::parse(wrong).is_err(), "{wrong}");
        }
    }
}
