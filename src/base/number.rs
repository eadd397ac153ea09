//! Conversions between numbers. The crate has no `as` (`clippy::as_conversions`) except here. Numbers from servers,
//! files, the kernel or users can have any value, and `as` silently changes one that does not fit.

/// A count or a size as a float. From 2^53 on it is rounded to the nearest float, which no displayed figure shows.
pub(crate) trait Float {
    fn float(self) -> f64;
}

impl Float for u64 {
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "rounds, as the name of the trait says"
    )]
    fn float(self) -> f64 {
        self as f64
    }
}

impl Float for usize {
    fn float(self) -> f64 {
        self.long().float()
    }
}

/// Nanoseconds in a second.
pub(crate) const NS_PER_S: f64 = 1e9;
/// Nanoseconds in a millisecond.
pub(crate) const NS_PER_MS: f64 = 1e6;
/// Bytes in a megabyte.
pub(crate) const BYTES_PER_MB: f64 = 1e6;

/// Nanoseconds as milliseconds.
pub(crate) fn ms(ns: u64) -> f64 {
    ns.float() / NS_PER_MS
}

/// A `usize` as a `u64`.
pub(crate) trait Long {
    fn long(self) -> u64;
}

impl Long for usize {
    fn long(self) -> u64 {
        // It fits on every supported machine.
        u64::try_from(self).unwrap_or(u64::MAX)
    }
}

/// A `u32` as a `usize`.
pub(crate) trait Size {
    fn size(self) -> usize;
}

impl Size for u32 {
    fn size(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }
}

/// The whole part of a float; absent if it is negative, NaN or too large for a `u64`.
pub(crate) fn whole(value: f64) -> Option<u64> {
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    (0.0..TOO_LARGE).contains(&value).then_some(value as u64)
}

/// The same as a `usize`.
pub(crate) fn count(value: f64) -> Option<usize> {
    usize::try_from(whole(value)?).ok()
}

/// The nearest `f32`; absent if it is out of range.
pub(crate) fn single(value: f64) -> Option<f32> {
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "what is beyond an f32 becomes infinite, which is checked"
    )]
    let single = value as f32;
    single.is_finite().then_some(single)
}

/// 2^64, the smallest float that does not fit into a `u64`.
const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_absent() {
        for (value, expected) in [(0.0, 0), (0.9, 0), (1e15, 1_000_000_000_000_000), (-0.0, 0)] {
            assert_eq!(whole(value), Some(expected));
        }
        for value in [
            -1.0,
            -1e-9,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            TOO_LARGE,
            1e25,
        ] {
            assert_eq!((whole(value), count(value)), (None, None), "{value}");
        }
        assert_eq!(whole(TOO_LARGE.next_down()), Some(u64::MAX - 2047));
        assert_eq!(single(0.5), Some(0.5));
        for value in [1e39, f64::NAN, f64::INFINITY] {
            assert_eq!(single(value), None);
        }
    }
}
