//! Ctrl-C, SIGTERM and SIGHUP: a signal asks the run to stop and to save, and works in every phase.
//!
//! Code that waits checks [`stop_signal`] and ends on its own, with the record saved. Other code does not check:
//! reading a model file, writing a report to a slow disk or to a pipe without a reader, a runtime in this process. So
//! [`listen`] starts a thread. If the program has not ended shortly after the signal, that thread prints the
//! [`LastWords`] and ends it.
//!
//! A signal that was ignored when the program started (`nohup`, a background command of a script) stays ignored.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::base::console;
use crate::base::error::{Error, Result};

/// Exit code of a program that a signal stopped: this plus the signal's number.
pub(crate) const SIGNAL: u8 = 128;
/// How long a program may run after a stop signal before it is ended.
const GRACE: Duration = Duration::from_millis(700);
/// Interval between two checks of a wait.
const TICK: Duration = Duration::from_millis(20);
/// How long the last words may take: they save the record, and an SD card may be slow.
const SAVING: Duration = Duration::from_secs(10);
/// How long printing a message may take. A pipe without a reader takes no bytes.
const SAYING: Duration = Duration::from_millis(500);
/// Time after which a second signal counts: `timeout` and process groups send the same signal twice at once.
const AGAIN: Duration = Duration::from_millis(300);
/// How much later than its child this process may receive a signal that was sent to both.
const SOON: Duration = Duration::from_millis(500);

static STOP: OnceCell<Stop> = OnceCell::new();
/// Milliseconds granted on top of [`GRACE`] to something that was asked to end.
static GRANTED_MS: AtomicU64 = AtomicU64::new(0);
static LAST_WORDS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// Whether the run was asked to stop, and by which signal.
#[derive(Debug, Clone, Default)]
struct Stop {
    signal: Arc<AtomicUsize>,
    /// Whether the last words are being printed. A further signal then ends the program at once.
    is_late: Arc<AtomicBool>,
}

/// Starts to listen for signals. Without this call signals keep their default effect.
///
/// # Errors
/// [`Error::Worker`] if the system refuses the handlers.
pub(crate) fn listen() -> Result<()> {
    STOP.get_or_try_init(start)
        .map(|_| ())
        .map_err(|error| Error::Worker(format!("no signal handlers: {error}")))
}

fn start() -> std::io::Result<Stop> {
    let stop = Stop::default();
    let heeded = heeded();
    for signal in heeded.iter().copied() {
        let code = i32::from(SIGNAL) + signal;
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop.is_late))?;
        let number = usize::try_from(signal).unwrap_or_default();
        signal_hook::flag::register_usize(signal, Arc::clone(&stop.signal), number)?;
    }
    let mut signals = Signals::new(heeded)?;
    let own = stop.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            // Blocks until a signal arrives.
            if signals.forever().next().is_some() {
                end_late(&own, &mut signals);
            }
        })?;
    Ok(stop)
}

/// The stop signals, except those that the parent of this program had ignored.
fn heeded() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    let asks = [SIGINT, SIGTERM, SIGHUP].into_iter();
    asks.filter(|signal| ignored & (1 << (signal - 1)) == 0).collect()
}

/// The mask of ignored signals in the text of a `/proc/<pid>/status`.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

/// The signal that asked the run to stop, if any.
pub(crate) fn stop_signal() -> Option<u8> {
    let signal = STOP.get()?.signal.load(Ordering::SeqCst);
    u8::try_from(signal).ok().filter(|signal| *signal != 0)
}

/// Whether the run was asked to stop.
pub(crate) fn is_stopped() -> bool {
    stop_signal().is_some()
}

/// Whether this process received the signal that ended a child too, for example because a service manager stops all
/// processes of a unit. Waits a moment for it.
pub(crate) fn is_shared(signal: Option<i32>) -> bool {
    let asks = signal.is_some_and(|signal| [SIGINT, SIGTERM, SIGHUP].contains(&signal));
    let end = Instant::now() + SOON;
    while asks && STOP.get().is_some() && !is_stopped() && Instant::now() < end {
        std::thread::sleep(TICK);
    }
    asks && is_stopped()
}

/// Extends the grace period by `time`: the program waits for something that was asked to end too.
pub(crate) fn grant(time: Duration) {
    let granted = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    GRANTED_MS.fetch_max(granted, Ordering::SeqCst);
}

/// What a program that does not end in time saves, and the message that it prints. Drop it when it is no longer needed.
#[derive(Debug)]
#[must_use = "dropped words are not printed"]
pub(crate) struct LastWords(usize);

struct Entry {
    id: usize,
    words: Box<dyn FnOnce() -> String + Send>,
}

impl LastWords {
    /// `words` runs on another thread, in parallel with the code of this one.
    pub(crate) fn new(words: impl FnOnce() -> String + Send + 'static) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let words = Box::new(words);
        LAST_WORDS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Entry { id, words });
        Self(id)
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        LAST_WORDS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|entry| entry.id != self.0);
    }
}

/// Ends the program if it does not end in time.
fn end_late(stop: &Stop, signals: &mut Signals) {
    let start = Instant::now();
    while start.elapsed() < GRACE + Duration::from_millis(GRANTED_MS.load(Ordering::SeqCst)) {
        std::thread::sleep(TICK);
        // A user who sends a second signal does not want to wait.
        if signals.pending().next().is_some() && start.elapsed() > AGAIN {
            break;
        }
    }
    stop.is_late.store(true, Ordering::SeqCst);
    let signal = stop.signal.load(Ordering::SeqCst);
    // On separate threads: a disk or the reader of stderr may block.
    let text = within(SAVING, last_words).unwrap_or_else(|| {
        format!(
            "\nstopped; the latest data were not saved within {} s",
            SAVING.as_secs()
        )
    });
    within(SAYING, move || console::say(text));
    let code = i32::from(SIGNAL) + i32::try_from(signal).unwrap_or_default();
    // Without destructors: other threads, including those of the runtime, are still at work.
    low_level::exit(code);
}

fn last_words() -> String {
    let mut entries = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if entries.is_empty() {
        return "\nstopped".into();
    }
    let texts: Vec<String> = entries.drain(..).map(|entry| (entry.words)()).collect();
    // Keep the lock: an owner that ends now must not print its words again.
    std::mem::forget(entries);
    texts.join("\n")
}

/// The result of `work`, if it ends in time.
fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, result) = channel();
    std::thread::Builder::new()
        .spawn(move || sender.send(work()))
        .ok()?;
    result.recv_timeout(time).ok()
}

/// The latest stop signal that was not handled yet. While this value exists, stop signals do not end the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caught(Arc<AtomicUsize>);

impl Caught {
    /// Takes the signal.
    pub(crate) fn take(&self) -> Option<i32> {
        let signal = self.0.swap(0, Ordering::SeqCst);
        i32::try_from(signal).ok().filter(|signal| *signal != 0)
    }
}

/// Catches Ctrl-C, SIGTERM and SIGHUP for a program that must undo changes before it ends.
///
/// # Errors
/// The error of the system that refuses the handlers.
pub(crate) fn catch() -> std::io::Result<Caught> {
    let caught = Caught::default();
    for signal in heeded() {
        let number = usize::try_from(signal).unwrap_or_default();
        signal_hook::flag::register_usize(signal, Arc::clone(&caught.0), number)?;
    }
    Ok(caught)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tx\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), 1 << (SIGHUP - 1) | 1 << 12);
        assert_eq!(ignored("SigIgn:\tnonsense\n"), 0);
        assert_eq!(ignored(""), 0);
    }
}
