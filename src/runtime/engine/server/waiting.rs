//! Blocking calls in threads of their own, so that the user can stop a run while one is under way.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::base::signals;
use crate::inference::Failure;

/// How often a wait looks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(20);
/// How long a connection may take to come free after an answer.
const TIDYING: Duration = Duration::from_millis(200);

/// Waits, unless the user asks to stop.
pub(super) fn wait(time: Duration) -> Result<(), Failure> {
    if signals::is_stopped() {
        return Err(Failure::stopped());
    }
    std::thread::sleep(time);
    Ok(())
}

/// Does what blocks in a thread of its own, so that the user can stop the run meanwhile. The thread then ends by its deadline.
pub(super) fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    received(&started(move |give| give(work()))?)
}

/// As [`apart`], but what is given is only the first half of the work: the rest is waited for, for a moment.
pub(super) fn tidied<T: Send + 'static>(
    work: impl FnOnce(Box<dyn FnOnce(T)>) + Send + 'static,
) -> Result<T, Failure> {
    let results = started(work)?;
    let outcome = received(&results)?;
    // Nothing more is sent: the sender's end is what is waited for.
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
                let _ = sender.send(result); // nobody may wait for it any more
            }));
            drop(ended);
        })
        .map_err(|error| Failure::refused(format!("no thread for a request: {error}")))?;
    Ok(results)
}

/// Without a deadline of its own: each request has one, connecting and reading included, and the thread ends by it.
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
