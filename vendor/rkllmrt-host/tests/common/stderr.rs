//! What the runtime writes to stderr.

use std::ffi::c_int;
use std::io::{Read, Seek};
use std::sync::{Mutex, PoisonError};

/// What `body` returns, and the lines that were written to stderr meanwhile. One at a time: stderr is the process's.
pub(crate) fn stderr_of<T>(body: impl FnOnce() -> T) -> (T, Vec<String>) {
    static STDERR: Mutex<()> = Mutex::new(());
    let _alone = STDERR.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file = tempfile::tempfile().expect("a temporary file");
    let saved = rustix::io::dup(rustix::stdio::stderr()).expect("stderr is duplicated");
    rustix::stdio::dup2_stderr(&file).expect("stderr goes to the file");
    let value = body();
    rustix::stdio::dup2_stderr(&saved).expect("stderr is back");
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .expect("the file is read");
    (value, text.lines().map(str::to_owned).collect())
}

/// A call that fails with exactly one line, which holds all of `words`.
#[track_caller]
pub(crate) fn refused(call: impl FnOnce() -> c_int, words: &[&str]) {
    let (status, lines) = stderr_of(call);
    assert_ne!(status, 0, "{words:?}");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("E rkllm: "), "{}", lines[0]);
    for word in words {
        assert!(lines[0].contains(word), "{word:?} in {}", lines[0]);
    }
}
