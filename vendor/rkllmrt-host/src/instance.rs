//! What a handle stands for: a session behind the rules of who may use it when.
//!
//! The gate says whether a run is under way. Whoever takes both locks takes the gate first; a run holds the session
//! for its whole time and the gate only at its two ends, so that every other call finds out at once that it must not
//! wait for the session.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use crate::callbacks::Callbacks;
use crate::client_call::{ResultFunction, Uncancelled};
use crate::delivery::Delivery;
use crate::input::Request;
use crate::log;
use crate::params::Settings;
use crate::session::Session;

const RUNNING: &str = "a run is under way on this handle";
const DESTROYED: &str = "the handle was destroyed";

#[derive(Debug)]
pub(crate) struct Instance {
    gate: Mutex<Gate>,
    /// Signalled when a run ends.
    idle: Condvar,
    /// Empty once destroyed.
    session: Mutex<Option<Session>>,
    /// Makes the run under way stop. Only set while there is one: an abort never hits the next.
    abort: Arc<AtomicBool>,
    callback: ResultFunction,
    default_userdata: UserData,
}

/// Passed back to the client and never looked at.
#[derive(Debug, Clone, Copy)]
struct UserData(*mut c_void);

// SAFETY: nothing here follows the pointer.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

#[derive(Debug)]
struct Gate {
    /// The thread of the run under way.
    runner: Option<ThreadId>,
    closed: bool,
    /// The thread of the last asynchronous run.
    worker: Option<JoinHandle<()>>,
}

impl Instance {
    pub(crate) fn open(
        settings: Settings,
        callback: ResultFunction,
        userdata: *mut c_void,
        callbacks: Callbacks,
    ) -> Result<Self, String> {
        let abort = Arc::new(AtomicBool::new(false));
        let session = Session::open(settings, callbacks, Arc::clone(&abort))?;
        Ok(Self {
            gate: Mutex::new(Gate {
                runner: None,
                closed: false,
                worker: None,
            }),
            idle: Condvar::new(),
            session: Mutex::new(Some(session)),
            abort,
            callback,
            default_userdata: UserData(userdata),
        })
    }

    /// Runs to the end on this thread. `read` gives the request, told how wide the model's embeddings are; it is not
    /// asked when a paused run goes on.
    pub(crate) fn run(
        &self,
        read: impl FnOnce(usize) -> Result<Request, String>,
        userdata: *mut c_void,
    ) -> Result<(), String> {
        let mut gate = self.enter()?;
        let request = self.read_unless_paused(read)?;
        gate.runner = Some(thread::current().id());
        drop(gate);
        self.run_to_the_end(request.as_ref(), self.delivery(userdata))
    }

    /// The same on a thread of its own, from which the callback comes.
    pub(crate) fn run_async(
        self: &Arc<Self>,
        read: impl FnOnce(usize) -> Result<Request, String>,
        userdata: *mut c_void,
    ) -> Result<(), String> {
        let mut gate = self.enter()?;
        let request = self.read_unless_paused(read)?;
        if let Some(earlier) = gate.worker.take() {
            // It has ended its run, so it is past everything but its return.
            let _ = earlier.join();
        }
        let (instance, delivery) = (Arc::clone(self), self.delivery(userdata).after_the_call());
        let worker = thread::Builder::new()
            .name("rkllm-run".to_owned())
            .spawn(move || {
                let _uncancelled = Uncancelled::here();
                let run = AssertUnwindSafe(|| instance.run_to_the_end(request.as_ref(), delivery));
                match catch_unwind(run) {
                    Ok(Ok(())) => {}
                    Ok(Err(message)) => log::error(message),
                    Err(_) => log::error("rkllm_run_async: internal error"),
                }
            })
            .map_err(|error| format!("no thread for an asynchronous run: {error}"))?;
        gate.runner = Some(worker.thread().id());
        gate.worker = Some(worker);
        Ok(())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.gate().runner.is_some()
    }

    /// Stops the run under way, or ends a pause. Does nothing without either.
    pub(crate) fn abort(&self) -> Result<(), String> {
        let gate = self.gate();
        if gate.runner.is_some() {
            self.abort.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let mut session = self.session()?;
        session.as_mut().ok_or(DESTROYED)?.end_pause();
        Ok(())
    }

    /// Uses the session between runs.
    pub(crate) fn between_runs<T>(
        &self,
        body: impl FnOnce(&mut Session) -> Result<T, String>,
    ) -> Result<T, String> {
        let _gate = self.enter()?;
        let mut session = self.session()?;
        body(session.as_mut().ok_or(DESTROYED)?)
    }

    /// Stops the run under way, waits for it and frees the model.
    pub(crate) fn close(&self) -> Result<(), String> {
        let mut gate = self.gate();
        if gate.closed {
            return Err(DESTROYED.to_owned());
        }
        if gate.runner == Some(thread::current().id()) {
            return Err(
                "rkllm_destroy was called from the result callback: the run cannot wait for itself"
                    .to_owned(),
            );
        }
        gate.closed = true;
        if gate.runner.is_some() {
            self.abort.store(true, Ordering::Relaxed);
        }
        let mut gate = self
            .idle
            .wait_while(gate, |gate| gate.runner.is_some())
            .unwrap_or_else(PoisonError::into_inner);
        let worker = gate.worker.take();
        drop(gate);
        if let Some(worker) = worker {
            // A panic of that thread has been reported by it.
            let _ = worker.join();
        }
        drop(self.session.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    fn delivery(&self, userdata: *mut c_void) -> Delivery {
        let userdata = if userdata.is_null() {
            self.default_userdata.0
        } else {
            userdata
        };
        Delivery::new(self.callback, userdata)
    }

    /// The gate, when nothing runs.
    fn enter(&self) -> Result<MutexGuard<'_, Gate>, String> {
        let gate = self.gate();
        if gate.closed {
            Err(DESTROYED.to_owned())
        } else if gate.runner.is_some() {
            Err(RUNNING.to_owned())
        } else {
            Ok(gate)
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Nothing that holds the gate leaves it half changed.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self) -> Result<MutexGuard<'_, Option<Session>>, String> {
        self.session
            .lock()
            .map_err(|_| "an internal error of an earlier call left this handle unusable".to_owned())
    }

    /// With the gate held.
    fn read_unless_paused(
        &self,
        read: impl FnOnce(usize) -> Result<Request, String>,
    ) -> Result<Option<Request>, String> {
        let width = {
            let session = self.session()?;
            let session = session.as_ref().ok_or(DESTROYED)?;
            (!session.is_paused()).then(|| session.embedding_width())
        };
        width.map(read).transpose()
    }

    fn run_to_the_end(&self, request: Option<&Request>, mut delivery: Delivery) -> Result<(), String> {
        let _end = EndOfRun(self);
        let mut session = self.session()?;
        session.as_mut().ok_or(DESTROYED)?.run(request, &mut delivery)
    }
}

/// Opens the gate again, however the run ended.
struct EndOfRun<'a>(&'a Instance);

impl Drop for EndOfRun<'_> {
    fn drop(&mut self) {
        let Self(instance) = self;
        let mut gate = instance.gate();
        if instance.abort.swap(false, Ordering::Relaxed) {
            // The abort may have come when the callback had just paused the run: it ends the pause then.
            if let Ok(mut session) = instance.session()
                && let Some(session) = session.as_mut()
            {
                session.end_pause();
            }
        }
        gate.runner = None;
        instance.idle.notify_all();
    }
}
