//! The memory use of this process.

use crate::machine::board::text::kilobytes;

/// Peak resident set of this process so far, bytes (`VmHWM`).
pub fn peak_rss_bytes() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_peak() {
        assert!(peak_rss_bytes().is_some_and(|bytes| bytes > 100 * 1024));
    }
}
