//! Waits for threads. Every wait has a limit.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::signals;

/// Interval between two checks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(20);
/// Length of the last check. After a stop (Ctrl-Z) past the deadline, the thread that has the result may not have woken
/// up yet.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// The sender is gone.
    Gone,
    /// The deadline passed.
    TooLong,
    /// The user asked to stop.
    Stopped,
}

/// Receives from another thread within `patience`. A result that is already there is taken, however late this thread
/// checks.
pub(crate) fn received<T>(from: &Receiver<T>, patience: Duration) -> Result<T, Silence> {
    let start = Instant::now();
    loop {
        let left = patience.saturating_sub(start.elapsed());
        let look = if left.is_zero() { LAST_LOOK } else { left.min(TICK) };
        match from.recv_timeout(look) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Disconnected) => return Err(Silence::Gone),
            Err(RecvTimeoutError::Timeout) if signals::is_stopped() => return Err(Silence::Stopped),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(Silence::TooLong),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// The result of a thread, if it ends within `patience`. Otherwise, and after a panic, the thread is abandoned.
pub(crate) fn joined<T>(thread: JoinHandle<T>, patience: Duration) -> Option<T> {
    let start = Instant::now();
    while !thread.is_finished() {
        if start.elapsed() >= patience {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    thread.join().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_wait_ends_by_what_comes_by_its_time_and_by_the_senders_end() {
        let (sender, receiver) = channel();
        sender.send(1).expect("it is received");
        assert_eq!(received(&receiver, Duration::ZERO), Ok(1));
        assert_eq!(
            received(&receiver, Duration::from_millis(1)),
            Err(Silence::TooLong)
        );
        drop(sender);
        assert_eq!(received(&receiver, Duration::from_hours(1)), Err(Silence::Gone));
    }

    #[test]
    fn what_comes_a_moment_after_the_deadline_is_taken() {
        let (sender, receiver) = channel();
        // Like the reader of a pipe that wakes up after this process was stopped past its deadline.
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            sender.send(1)
        });
        assert_eq!(received(&receiver, Duration::ZERO), Ok(1));
    }

    #[test]
    fn a_thread_that_does_not_end_is_left() {
        assert_eq!(joined(std::thread::spawn(|| 1), Duration::from_mins(1)), Some(1));
        let (sender, receiver) = channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv().is_ok());
        assert_eq!(joined(thread, Duration::from_millis(20)), None);
        drop(sender);
    }
}
