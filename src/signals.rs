//! Ctrl-C and SIGTERM: the first asks the run to stop and save, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use once_cell::sync::OnceCell;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static STOP: OnceCell<Stop> = OnceCell::new();

/// Whether, and by which signal, the run was asked to stop.
#[derive(Debug, Clone, Default)]
struct Stop {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

/// Begins to listen. Without this call signals keep their usual effect.
///
/// # Errors
/// When the system refuses the handlers.
pub(crate) fn listen() -> std::io::Result<()> {
    STOP.get_or_try_init(|| {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM] {
            let code = 128 + signal;
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop.asked))?;
            signal_hook::flag::register(signal, Arc::clone(&stop.asked))?;
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.signal), number)?;
        }
        Ok(stop)
    })
    .map(|_| ())
}

/// The signal that asked the run to stop, if one did.
pub(crate) fn stop_signal() -> Option<u8> {
    let stop = STOP.get()?;
    let signal = stop.signal.load(Ordering::SeqCst);
    if stop.asked.load(Ordering::SeqCst) {
        u8::try_from(signal).ok()
    } else {
        None
    }
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
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal).unwrap_or_default();
        signal_hook::flag::register_usize(signal, Arc::clone(&caught.0), number)?;
    }
    Ok(caught)
}
