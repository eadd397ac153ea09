//! Files that stay open and are read repeatedly from their beginning.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The current beginning of a file; absent if it cannot be read or is not text.
pub(super) fn again<'a>(file: &File, buffer: &'a mut [u8]) -> Option<&'a str> {
    let length = file.read_at(buffer, 0).ok()?;
    std::str::from_utf8(buffer.get(..length)?).ok()
}

/// Clock ticks in the kernel's files as ns.
pub(super) fn ns(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}
