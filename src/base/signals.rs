//! Ctrl-C, SIGTERM and SIGHUP: a signal asks the run to stop and to save, and has an effect in every phase.
//!
//! Whatever waits looks at [`stop_signal`] and ends in its own way, with the record saved. What does not wait (a
//! model's file that is read, a report on a slow disk, a pipe that nobody reads, a runtime in this process) is not asked:
//! where the program has not ended a moment after the signal, a thread that [`listen`] started says the
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
/// How long a program that was asked to stop may take before it is ended.
const GRACE: Duration = Duration::from_millis(700);
/// How often a wait looks.
const TICK: Duration = Duration::from_millis(20);
/// How long the last words may take to be found: they save the record, and a card may be slow.
const SAVING: Duration = Duration::from_secs(10);
/// How long a message may take to be printed. A pipe that nobody reads takes none.
const SAYING: Duration = Duration::from_millis(500);
/// From when on a further signal is meant as one: `timeout` and process groups send the same one twice at once.
const AGAIN: Duration = Duration::from_millis(300);
/// How long the signal to this process may come after the one to its child, where both were meant.
const SOON: Duration = Duration::from_millis(500);

static STOP: OnceCell<Stop> = OnceCell::new();
/// Milliseconds that something that was asked to end may take on top of [`GRACE`].
static GRANTED_MS: AtomicU64 = AtomicU64::new(0);
static LAST_WORDS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// Whether, and by which signal, the run was asked to stop.
#[derive(Debug, Clone, Default)]
struct Stop {
    signal: Arc<AtomicUsize>,
    /// Whether the last words are being said, so that a further signal ends the program at once.
    is_late: Arc<AtomicBool>,
}

/// Begins to listen. Without this call signals keep their usual effect.
///
/// # Errors
/// [`Error::Worker`] when the system refuses the handlers.
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
            // Blocks for as long as the program runs, and wakes for a signal alone.
            if signals.forever().next().is_some() {
                end_late(&own, &mut signals);
            }
        })?;
    Ok(stop)
}

/// The signals that ask to stop, without those that whoever started this program had ignored.
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

/// The signal that asked the run to stop, if one did.
pub(crate) fn stop_signal() -> Option<u8> {
    let signal = STOP.get()?.signal.load(Ordering::SeqCst);
    u8::try_from(signal).ok().filter(|signal| *signal != 0)
}

/// Whether the run was asked to stop.
pub(crate) fn is_stopped() -> bool {
    stop_signal().is_some()
}

/// Whether a child that ended by `signal` got it together with this process, as where a service manager ends all
/// processes of a unit. The one to this process may come a moment later.
pub(crate) fn is_shared(signal: Option<i32>) -> bool {
    let asks = signal.is_some_and(|signal| [SIGINT, SIGTERM, SIGHUP].contains(&signal));
    let end = Instant::now() + SOON;
    while asks && STOP.get().is_some() && !is_stopped() && Instant::now() < end {
        std::thread::sleep(TICK);
    }
    asks && is_stopped()
}

/// Lets the program go on for `time` longer after a signal: it waits for something that was asked to end too.
pub(crate) fn grant(time: Duration) {
    let granted = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    GRANTED_MS.fetch_max(granted, Ordering::SeqCst);
}

/// What a program that does not end in time still saves, and then says. Dropped, it is not needed any more.
#[derive(Debug)]
#[must_use = "what is dropped is not said"]
pub(crate) struct LastWords(usize);

struct Entry {
    id: usize,
    words: Box<dyn FnOnce() -> String + Send>,
}

impl LastWords {
    /// To be made from another thread than this one, while this one does anything.
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

/// Ends the program where it does not end itself in its time.
fn end_late(stop: &Stop, signals: &mut Signals) {
    let start = Instant::now();
    while start.elapsed() < GRACE + Duration::from_millis(GRANTED_MS.load(Ordering::SeqCst)) {
        std::thread::sleep(TICK);
        // Whoever asks again does not want to wait for what was granted.
        if signals.pending().next().is_some() && start.elapsed() > AGAIN {
            break;
        }
    }
    stop.is_late.store(true, Ordering::SeqCst);
    let signal = stop.signal.load(Ordering::SeqCst);
    // In threads of their own: a disk may take no byte, and neither may whoever reads stderr.
    let text = within(SAVING, last_words)
        .unwrap_or_else(|| format!("\nstopped; the last was not saved within {} s", SAVING.as_secs()));
    within(SAYING, move || console::say(text));
    let code = i32::from(SIGNAL) + i32::try_from(signal).unwrap_or_default();
    // Without destructors: other threads are at work, those of the runtime too.
    low_level::exit(code);
}

fn last_words() -> String {
    let mut entries = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if entries.is_empty() {
        return "\nstopped".into();
    }
    let texts: Vec<String> = entries.drain(..).map(|entry| (entry.words)()).collect();
    // Whoever is about to take its words back has ended too late, and would say them once more.
    std::mem::forget(entries);
    texts.join("\n")
}

/// What `work` gives, if that is in its time.
fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, result) = channel();
    std::thread::Builder::new()
        .spawn(move || sender.send(work()))
        .ok()?;
    result.recv_timeout(time).ok()
}

/// The latest signal that asked to end and that nobody has answered yet. While this is there none of them ends the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caught(Arc<AtomicUsize>);

impl Caught {
    /// The signal, once.
    pub(crate) fn take(&self) -> Option<i32> {
        let signal = self.0.swap(0, Ordering::SeqCst);
        i32::try_from(signal).ok().filter(|signal| *signal != 0)
    }
}

/// Catches Ctrl-C, SIGTERM and a terminal's end, for a program that must undo what it did before it ends.
///
/// # Errors
/// When the system refuses the handlers.
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
