//! The runtime's log. The runtime prints it to stdout, including its version line.

use crate::base::number::Long as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::runtime::ffi;

/// Number of log lines that a failure keeps.
pub(crate) const LAST_LINES: usize = 8;
/// Number of bytes at the end of a log that are searched for these lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// Runs `body` and returns what Rust and C printed to stdout meanwhile.
///
/// In a worker, stdout already is the worker's log file, and stays so, because a crash must not lose these lines. In
/// other processes, stdout is redirected to a temporary file meanwhile, which keeps the lines out of the program's
/// own output.
pub(crate) fn with_stdout_seen<T>(body: impl FnOnce() -> T) -> io::Result<(T, String)> {
    ffi::flush_stdio();
    if let Some(log) = stdout_file()? {
        let start = log.metadata()?.len();
        let value = body();
        ffi::flush_stdio();
        return Ok((value, read_from(&log, start)?));
    }
    let file = tempfile::tempfile()?;
    let original = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(&file)?;
    let value = body();
    ffi::flush_stdio();
    rustix::stdio::dup2_stdout(&original)?;
    Ok((value, read_from(&file, 0)?))
}

/// Stdout, if it is the log file of a worker, which is a regular file without a name.
fn stdout_file() -> io::Result<Option<File>> {
    let stat = rustix::fs::fstat(rustix::stdio::stdout())?;
    let is_log = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_nlink == 0;
    if is_log {
        File::open("/proc/self/fd/1").map(Some)
    } else {
        Ok(None)
    }
}

fn read_from(file: &File, start: u64) -> io::Result<String> {
    bytes_from(file, start).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn bytes_from(file: &File, start: u64) -> io::Result<Vec<u8>> {
    let end = file.metadata()?.len();
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// The warnings in a text. Those of Rockchip's runtime and of the host runtime start with `W rkllm:`, those of the
/// NPU layer with `W RKNN:`.
pub(crate) fn warnings_in(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with("W "));
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// The warnings in a log from `start` on, and the end of its last complete line.
pub(crate) fn warnings_from(log: &File, start: u64) -> (Vec<String>, u64) {
    let bytes = bytes_from(log, start).unwrap_or_default();
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let text = String::from_utf8_lossy(&bytes[..whole]);
    (warnings_in(&text), start + whole.long())
}

/// The last lines of a log for an error message, at most `most`.
pub(crate) fn last_lines(log: &File, most: usize) -> Vec<String> {
    let end = log.metadata().map_or(0, |meta| meta.len());
    let text = read_from(log, end.saturating_sub(TAIL_BYTES)).unwrap_or_default();
    tail(&text, most)
}

/// The last lines of a text that are not blank, at most `most`.
pub(crate) fn tail(text: &str, most: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(most)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines_that_say_something() {
        let lines: Vec<String> = (0..20).map(|line| format!("line {line}\n\n")).collect();
        let text = lines.concat();
        let lines = tail(&text, LAST_LINES);
        assert_eq!(lines.len(), LAST_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("line 19"));
        assert!(tail("", LAST_LINES).is_empty());
    }

    #[test]
    fn warnings_are_read_line_by_line_as_the_log_grows() {
        use std::io::Write as _;

        let mut log = tempfile::tempfile().expect("a file");
        log.write_all(b"I rkllm: loaded\nW rkllm: one \xff\nW rkl")
            .expect("written");
        let (warnings, end) = warnings_from(&log, 0);
        assert_eq!(warnings, ["W rkllm: one \u{fffd}"]);
        log.write_all(b"lm: two\nE rkllm: no\n").expect("written");
        let (warnings, end) = warnings_from(&log, end);
        assert_eq!(warnings, ["W rkllm: two"]);
        assert_eq!(warnings_from(&log, end).0, [""; 0]);
    }
}
