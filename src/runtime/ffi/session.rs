//! A loaded model.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::resume_unwind;
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

#[cfg(all(test, miri))]
mod miri;

use super::deadline::with_deadline;
use super::recording::{PanicPayload, on_event};
use super::status::check;
use super::{Params, Recording, sys};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::inference::{Abilities, Sampling};
use crate::runtime::ffi::library;

/// Input of a run.
#[derive(Debug, Clone, Copy)]
pub enum RunInput<'a> {
    /// Text; the runtime wraps it in the model's chat template.
    Text(&'a str),
    /// Token ids, used unchanged.
    Tokens(&'a [i32]),
}

/// The request for a run.
#[derive(Debug, Clone, Copy)]
pub struct RunRequest<'a> {
    /// The prompt.
    pub input: RunInput<'a>,
    /// Limit of new tokens. Before 1.3.0 a runtime ignores it and uses that of the load.
    pub max_new_tokens: i32,
    /// How tokens are chosen. Absent: as set at load. Before 1.3.0 a runtime ignores it.
    pub sampling: Option<Sampling>,
    /// Whether prompt and answer stay in the KV cache for the next run (from 1.2.0).
    pub keep_history: bool,
    /// File to which the prompt's KV cache is saved, for [`Session::load_prompt_cache`]; absent: none.
    pub save_prompt_cache: Option<&'a Path>,
    /// After this time the run is aborted.
    pub deadline: Duration,
}

impl<'a> RunRequest<'a> {
    /// A run with the sampling of the load and a deadline of five minutes, which keeps no history.
    pub fn new(input: RunInput<'a>, max_new_tokens: i32) -> Self {
        Self {
            input,
            max_new_tokens,
            sampling: None,
            keep_history: false,
            save_prompt_cache: None,
            deadline: Duration::from_mins(5),
        }
    }
}

/// Times of the call and the return of a run, `CLOCK_MONOTONIC` nanoseconds.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// Right before the call.
    pub call_ns: u64,
    /// Right after the return.
    pub return_ns: u64,
    /// Whether the deadline passed and the run was aborted.
    pub aborted: bool,
    /// The runtime's refusal, if there was one.
    pub refusal: Option<String>,
}

/// A loaded model. Freed once, by [`Session::close`] or on drop.
///
/// Neither `Send` nor `Sync`: the runtime serves one run at a time and calls back on the calling thread.
#[derive(Debug)]
pub struct Session {
    raw: NonNull<sys::rkb_session>,
    abilities: Abilities,
}

/// The session's pointer, for the only call that may come from another thread.
#[derive(Clone, Copy)]
struct AbortHandle(NonNull<sys::rkb_session>);

// SAFETY: it is used only for `rkb_abort`, which the guard allows during a run. The watchdog that holds it is joined
// before the session can be closed.
unsafe impl Send for AbortHandle {}

impl AbortHandle {
    fn abort(self) {
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open while a run borrows it, and the watchdog ends within that run.
        unsafe { sys::rkb_abort(self.0.as_ptr(), &raw mut why) };
    }
}

impl Session {
    /// Loads the model.
    ///
    /// # Errors
    /// The errors of [`library::verify`], [`Error::BadParameter`] for a path with a NUL byte, [`Error::Runtime`]
    /// when the runtime refuses.
    pub fn open(params: &Params) -> Result<Self> {
        library::verify(None)?;
        let path = c_path(&params.model_path)?;
        let raw_params = params.to_raw(&path);
        let mut session = std::ptr::null_mut();
        let mut why = sys::rkb_failure::default();
        // SAFETY: the parameters and their path outlive the call. Out-parameters are writable. The library was
        // verified, so struct layouts agree.
        let status = unsafe { sys::rkb_open(&raw const raw_params, &raw mut session, &raw mut why) };
        check("rkllm_init", status, &why)?;
        let raw = NonNull::new(session).ok_or_else(|| Error::Runtime {
            call: "rkllm_init",
            reason: "no session came back".into(),
        })?;
        Ok(Self {
            raw,
            abilities: Abilities::of_header(),
        })
    }

    /// The abilities of this runtime.
    pub fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Makes `run` and records every token in `recording`. Blocks until the runtime returns. After the deadline, the
    /// runtime is asked to abort, which may take time (about 1.4 s in prefill on a board).
    ///
    /// # Errors
    /// [`Error::BadParameter`] for text or a path with a NUL byte, or for no tokens. [`Error::Runtime`] if the
    /// runtime threw an exception. A refusal of the runtime is in the outcome, and the tokens before it are in
    /// `recording`.
    ///
    /// # Panics
    /// If a callback panicked. The panic continues after the runtime has returned.
    pub fn run(&mut self, run: &RunRequest<'_>, recording: &mut Recording) -> Result<RunOutcome> {
        let (text, tokens) = match run.input {
            RunInput::Text(text) => (
                Some(
                    CString::new(text)
                        .map_err(|_| Error::BadParameter("the prompt contains a NUL character".into()))?,
                ),
                None,
            ),
            RunInput::Tokens([]) => return Err(Error::BadParameter("the prompt has no tokens".into())),
            RunInput::Tokens(tokens) => (None, Some(tokens)),
        };
        let sampling = run.sampling.map(Sampling::to_raw);
        let cache_file = run.save_prompt_cache.map(c_path).transpose()?;
        let request = sys::rkb_run_request {
            text: text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr()),
            tokens: tokens.map_or(std::ptr::null(), <[i32]>::as_ptr),
            n_tokens: tokens.map_or(0, <[i32]>::len),
            max_new_tokens: run.max_new_tokens,
            sampling: sampling.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
            keep_history: run.keep_history.into(),
            save_prompt_cache: cache_file.as_ref().map_or(std::ptr::null(), |path| path.as_ptr()),
        };
        let abort = AbortHandle(self.raw);
        let (result, aborted) = with_deadline(
            run.deadline,
            move || abort.abort(),
            || self.call(&request, recording),
        );
        if let Some(PanicPayload(payload)) = recording.panic.take() {
            resume_unwind(payload);
        }
        let (outcome, refusal) = result?;
        Ok(RunOutcome {
            call_ns: outcome.call_ns,
            return_ns: outcome.return_ns,
            aborted,
            refusal,
        })
    }

    fn call(
        &mut self,
        request: &sys::rkb_run_request,
        recording: &mut Recording,
    ) -> Result<(sys::rkb_run_outcome, Option<String>)> {
        let mut outcome = sys::rkb_run_outcome::default();
        let mut why = sys::rkb_failure::default();
        let context: *mut Recording = recording;
        // SAFETY: request, recording and out-parameters outlive the call. The guard calls the handler only within it,
        // one call at a time. The session is open because only `close` and `drop` end it.
        let status = unsafe {
            sys::rkb_run(
                self.raw.as_ptr(),
                request,
                Some(on_event),
                context.cast(),
                &raw mut outcome,
                &raw mut why,
            )
        };
        match check("rkllm_run", status, &why) {
            Ok(()) => Ok((outcome, None)),
            Err(Error::Runtime { reason, .. }) if status == sys::RKB_RUNTIME_FAILED.cast_signed() => {
                Ok((outcome, Some(reason)))
            }
            Err(error) => Err(error),
        }
    }

    /// Empties the KV cache, so that the next run computes its whole prompt.
    ///
    /// # Errors
    /// [`Error::Absent`] before 1.2.0, [`Error::Runtime`].
    pub fn clear_kv_cache(&mut self) -> Result<()> {
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open and no run is in progress, because a run borrows it.
        let status = unsafe { sys::rkb_clear_kv_cache(self.raw.as_ptr(), &raw mut why) };
        check("rkllm_clear_kv_cache", status, &why)
    }

    /// Number of positions in the KV cache.
    ///
    /// # Errors
    /// [`Error::Absent`] before 1.2.1, [`Error::Runtime`].
    pub fn kv_cache_size(&self) -> Result<i32> {
        let mut size = 0;
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open, out-parameters are writable.
        let status = unsafe { sys::rkb_kv_cache_size(self.raw.as_ptr(), &raw mut size, &raw mut why) };
        check("rkllm_get_kv_cache_size", status, &why)?;
        Ok(size)
    }

    /// Loads the prompt cache in a file. Later runs whose prompts start with its tokens use it until it is released.
    /// A second prompt cache replaces the first.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a NUL byte in the path, [`Error::Absent`] if the library has no such call,
    /// [`Error::Runtime`], as for a file that is missing, damaged or of another model.
    pub fn load_prompt_cache(&mut self, path: &Path) -> Result<()> {
        let path = c_path(path)?;
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open, no run is in progress, because a run borrows it, and the path outlives the call.
        let status = unsafe { sys::rkb_load_prompt_cache(self.raw.as_ptr(), path.as_ptr(), &raw mut why) };
        check("rkllm_load_prompt_cache", status, &why)
    }

    /// Releases the prompt cache of [`Session::load_prompt_cache`].
    ///
    /// # Errors
    /// [`Error::Absent`] if the library has no such call, [`Error::Runtime`].
    pub fn release_prompt_cache(&mut self) -> Result<()> {
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open and no run is in progress, because a run borrows it.
        let status = unsafe { sys::rkb_release_prompt_cache(self.raw.as_ptr(), &raw mut why) };
        check("rkllm_release_prompt_cache", status, &why)
    }

    /// Replaces the model's chat template. Three empty strings turn templates off. Also empties the KV cache.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a NUL character, [`Error::Absent`] before 1.2.0, [`Error::Runtime`].
    pub fn set_chat_template(&mut self, system_prompt: &str, prefix: &str, postfix: &str) -> Result<()> {
        let part = |text: &str| {
            CString::new(text)
                .map_err(|_| Error::BadParameter("the chat template contains a NUL character".into()))
        };
        let (system_prompt, prefix, postfix) = (part(system_prompt)?, part(prefix)?, part(postfix)?);
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open and the strings outlive the call.
        let status = unsafe {
            sys::rkb_set_chat_template(
                self.raw.as_ptr(),
                system_prompt.as_ptr(),
                prefix.as_ptr(),
                postfix.as_ptr(),
                &raw mut why,
            )
        };
        check("rkllm_set_chat_template", status, &why)
    }

    /// Asks the runtime to abort a run. Harmless if there is none.
    ///
    /// # Errors
    /// [`Error::Runtime`].
    pub fn abort(&mut self) -> Result<()> {
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open.
        let status = unsafe { sys::rkb_abort(self.raw.as_ptr(), &raw mut why) };
        check("rkllm_abort", status, &why)
    }

    /// Number of callbacks after the return of their run. They are dropped, but a runtime with any is not reliable.
    pub fn late_callbacks(&self) -> u64 {
        // SAFETY: the session's control block is never freed.
        unsafe { sys::rkb_late_callbacks(self.raw.as_ptr()) }
    }

    /// Frees the model and returns whether that failed. Dropping the session ignores a failure.
    ///
    /// # Errors
    /// [`Error::Runtime`].
    pub fn close(self) -> Result<()> {
        let session = std::mem::ManuallyDrop::new(self);
        free(session.raw)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // `close` reports the failure, drop cannot.
        let _ = free(self.raw);
    }
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::BadParameter(format!("{}: NUL byte in a path", path.shown())))
}

fn free(raw: NonNull<sys::rkb_session>) -> Result<()> {
    let mut why = sys::rkb_failure::default();
    // SAFETY: called once for each session, by `close` or `drop`; a second call would find it closed.
    let status = unsafe { sys::rkb_close(raw.as_ptr(), &raw mut why) };
    check("rkllm_destroy", status, &why)
}
