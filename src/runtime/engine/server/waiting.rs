//! Runs blocking calls in separate threads, so that the user can stop a run meanwhile.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::base::signals;
use crate::inference::Failure;

/// How often a wait checks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(20);
/// How long to wait after an answer until the connection is free.
const TIDYING: Duration = Duration::from_millis(200);

/// Waits for `time`, unless the user asked to stop.
pub(super) fn wait(time: Duration) -> Result<(), Failure> {
    if signals::is_stopped() {
        return Err(Failure::stopped());
    }
    std::thread::sleep(time);
    Ok(())
}

/// Runs blocking `work` in a separate thread, so that the user can stop the run meanwhile. After a stop, the thread
/// ends at its deadline.
pub(super) fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    received(&started(move |give| give(work()))?)
}

/// As [`apart`], but `work` passes on its result before it ends. Waits a moment for its end too.
pub(super) fn tidied<T: Send + 'static>(
    work: impl FnOnce(Box<dyn FnOnce(T)>) + Send + 'static,
) -> Result<T, Failure> {
    let results = started(work)?;
    let outcome = received(&results)?;
    // No second result comes; this waits until the sender is dropped.
    let _ = results.recv_timeout(TIDYING);
    Ok(outcome)
}

fn started<T: Send + 'static>(
    work: impl FnOnce(Box<dyn FnOnce(T)>) + Send + 'static,
) -> Result<Receiver<T>, Failure> {
    let (sender, results) = channel();
    std::thread::Builder::new()
        .name("request".into())
        .spawn(move || {
            let ended = sender.clone();
            work(Box::new(move |result| {
                let _ = sender.send(result); // the receiver may be gone
            }));
            drop(ended);
        })
        .map_err(|error| Failure::refused(format!("no thread for a request: {error}")))?;
    Ok(results)
}

/// Waits for a result. Needs no deadline, because each request has one, which includes connecting and reading.
fn received<T>(results: &Receiver<T>) -> Result<T, Failure> {
    loop {
        match results.recv_timeout(TICK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) if signals::is_stopped() => {
                return Err(Failure::stopped());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::refused("the thread of a request ended without a result"));
            }
        }
    }
}
