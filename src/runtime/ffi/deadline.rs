//! A watchdog for blocking calls.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Runs `body`. If it takes longer than `deadline`, `on_deadline` runs meanwhile in another thread. Also returns
/// whether that happened.
pub(super) fn with_deadline<T>(
    deadline: Duration,
    on_deadline: impl FnOnce() + Send,
    body: impl FnOnce() -> T,
) -> (T, bool) {
    struct Done<'a>(&'a Mutex<bool>, &'a Condvar);
    impl Drop for Done<'_> {
        // On drop, so that the watchdog also ends if `body` panics.
        fn drop(&mut self) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.1.notify_one();
        }
    }
    let (done, signal) = (Mutex::new(false), Condvar::new());
    std::thread::scope(|scope| {
        let watchdog = scope.spawn(|| {
            let guard = done.lock().unwrap_or_else(PoisonError::into_inner);
            let (guard, timeout) = signal
                .wait_timeout_while(guard, deadline, |done| !*done)
                .unwrap_or_else(PoisonError::into_inner);
            let late = timeout.timed_out() && !*guard;
            if late {
                // Under the lock, so that the next run cannot start before the abort is over.
                on_deadline();
            }
            late
        });
        let value = {
            let _done = Done(&done, &signal);
            body()
        };
        // This waits at most until `deadline`, and for the abort.
        (value, watchdog.join().unwrap_or(false))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_deadline_fires_only_when_it_passes() {
        let fired = AtomicBool::new(false);
        let (value, late) = with_deadline(
            Duration::from_hours(1),
            || fired.store(true, Ordering::SeqCst),
            || 1,
        );
        assert_eq!((value, late, fired.load(Ordering::SeqCst)), (1, false, false));

        let (sender, receiver) = mpsc::channel();
        let (value, late) = with_deadline(
            Duration::ZERO,
            move || sender.send(2).expect("the body waits for it"),
            || receiver.recv().expect("sent by the watchdog"),
        );
        assert_eq!((value, late), (2, true));
    }
}
