//! Values in the text of the kernel's files.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// Most CPUs that a kernel can be built for (`NR_CPUS` of x86-64, which has the most).
const MOST_CPUS: usize = 8192;
/// Highest plausible frequency, Hz: beyond any existing clock.
const MOST_HZ: u64 = 20_000_000_000;

/// The value of a field in a file of `name: value` lines.
pub(super) fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The value of a field in kB, in bytes.
pub(in crate::machine) fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = field(text, name)?;
    value
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// `hz`, if a clock can have that frequency.
pub(crate) fn plausible_hz(hz: u64) -> Option<u64> {
    (1..=MOST_HZ).contains(&hz).then_some(hz)
}

/// A path from a file, made relative to the root: neither absolute nor upwards.
pub(super) fn relative(path: &str) -> PathBuf {
    Path::new(path)
        .components()
        .filter(|component| matches!(component, Component::Normal(_)))
        .collect()
}

/// The CPUs in a list such as `0-3,6` or `0 1 2 3`, ascending; absent for anything else.
pub(super) fn cpu_list(text: &str) -> Option<Vec<u16>> {
    let mut is_listed = vec![false; MOST_CPUS];
    for part in text.split([',', ' ', '\n']).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        is_listed.get_mut(first..=last)?.fill(true);
    }
    let cpus: Vec<u16> = (0..)
        .zip(is_listed)
        .filter_map(|(cpu, is_listed)| is_listed.then_some(cpu))
        .collect();
    (!cpus.is_empty()).then_some(cpus)
}

/// CPUs in the list format of the kernel: `0-3,6`.
pub(crate) fn ranges(cpus: &[u16]) -> String {
    let mut text = String::new();
    let mut rest = cpus;
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .zip(*first..)
            .take_while(|(cpu, next)| **cpu == *next)
            .count();
        let last = rest[run - 1];
        let comma = if text.is_empty() { "" } else { "," };
        let _ = match run {
            1 => write!(text, "{comma}{first}"),
            _ => write!(text, "{comma}{first}-{last}"),
        };
        rest = &rest[run..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 10 kB\nBig: 18446744073709551615 kB\n";
        assert_eq!(kilobytes(text, "VmHWM"), Some(2048 * 1024));
        assert_eq!(kilobytes(text, "VmSwap"), None);
        assert_eq!(kilobytes(text, "Big"), None);
        assert_eq!(
            field("model name\t: A CPU: fast\n", "model name").as_deref(),
            Some("A CPU: fast")
        );
    }

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpu_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cpu_list("4 5 4"), Some(vec![4, 5]));
        for garbage in ["", "x", "0-99999999999", "0-8192", "3-", "3-1", "-", "1;2"] {
            assert_eq!(cpu_list(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn a_range_that_is_listed_again_and_again_takes_no_more_memory() {
        let text = "0-8191,".repeat(9000);
        let mut cpus = None;
        let seen = allocation_counter::measure(|| cpus = cpu_list(&text));
        assert_eq!(cpus.map(|cpus| cpus.len()), Some(8192));
        assert!(seen.bytes_max < 100_000, "{} bytes", seen.bytes_max);
    }

    #[test]
    fn a_path_from_a_file_stays_below_the_root() {
        assert_eq!(relative("/a/../../etc/./b"), Path::new("a/etc/b"));
    }
}
