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

/// What a run reads.
#[derive(Debug, Clone, Copy)]
pub enum RunInput<'a> {
    /// Text; the runtime wraps it in the model's chat template.
    Text(&'a str),
    /// Token ids, taken as they are.
    Tokens(&'a [i32]),
}

/// One run to make.
#[derive(Debug, Clone, Copy)]
pub struct RunRequest<'a> {
    /// The prompt.
    pub input: RunInput<'a>,
    /// Cap on new tokens where the runtime can set it for a run (from 1.3.0), else that of the load holds.
    pub max_new_tokens: i32,
    /// How tokens are chosen where the runtime can set it for a run (from 1.3.0), else as at load; absent: as at load.
    pub sampling: Option<Sampling>,
    /// Whether prompt and answer stay in the KV cache for the next run (from 1.2.0).
    pub keep_history: bool,
    /// File for what the KV cache holds of the prompt, to be restored by [`Session::load_prompt_cache`]; absent: none.
    pub save_prompt_cache: Option<&'a Path>,
    /// How long it may take before it is aborted.
    pub deadline: Duration,
}

impl<'a> RunRequest<'a> {
    /// A run with the load's sampling that leaves nothing behind and has five minutes to end.
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

/// When a run was called and when it came back, `CLOCK_MONOTONIC` nanoseconds.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// Right before the call.
    pub call_ns: u64,
    /// Right after the return.
    pub return_ns: u64,
    /// Whether the deadline passed and the run was aborted.
    pub aborted: bool,
    /// The runtime's refusal, when the call gave one.
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

/// The session's pointer for the one call that may come from another thread.
#[derive(Clone, Copy)]
struct AbortHandle(NonNull<sys::rkb_session>);

// SAFETY: only `rkb_abort` is called through it, which the guard allows beside a run, and the watchdog that holds it
// is joined before the session can be closed.
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
    /// Whatever [`library::verify`] finds, [`Error::BadParameter`] for a path with a NUL byte, [`Error::Runtime`]
    /// when the runtime refuses.
    pub fn open(params: &Params) -> Result<Self> {
        library::verify(None)?;
        let path = c_path(&params.model_path)?;
        let raw_params = params.to_raw(&path);
        let mut session = std::ptr::null_mut();
        let mut why = sys::rkb_failure::default();
        // SAFETY: the parameters and the path they point to outlive the call; out-parameters are writable; the
        // library was verified, so struct layouts agree.
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

    /// What this runtime can do.
    pub fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Makes `run` and records every token into `recording`. Blocks until the runtime returns; past the deadline it
    /// is asked to abort, which it may take its time to do (about 1.4 s were seen in prefill on a board).
    ///
    /// # Errors
    /// [`Error::BadParameter`] for text or a path with a NUL byte or no tokens; [`Error::Runtime`] when an exception left the
    /// runtime. A refusal of the runtime is in the outcome, beside what was recorded until then.
    ///
    /// # Panics
    /// With the panic of a callback, after the runtime has returned.
    pub fn run(&mut self, run: &RunRequest<'_>, recording: &mut Recording) -> Result<RunOutcome> {
        let (text, tokens) = match run.input {
            RunInput::Text(text) => (
                Some(
                    CString::new(text)
                        .map_err(|_| Error::BadParameter("the prompt holds a NUL character".into()))?,
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
        // SAFETY: request, recording and out-parameters outlive the call, and the guard calls the handler only
        // within it, one call at a time; the session is open because only `close` and `drop` end it.
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
        // SAFETY: the session is open and no run is under way, since a run borrows it.
        let status = unsafe { sys::rkb_clear_kv_cache(self.raw.as_ptr(), &raw mut why) };
        check("rkllm_clear_kv_cache", status, &why)
    }

    /// Positions held in the KV cache.
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

    /// Has later runs begin with what the file holds, where their prompts do, until it is released. A second one takes the
    /// first one's place.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a NUL byte in the path, [`Error::Absent`] where the library has no such call,
    /// [`Error::Runtime`], as for a file that is missing, damaged or of another model.
    pub fn load_prompt_cache(&mut self, path: &Path) -> Result<()> {
        let path = c_path(path)?;
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open, no run is under way, since a run borrows it, and the path outlives the call.
        let status = unsafe { sys::rkb_load_prompt_cache(self.raw.as_ptr(), path.as_ptr(), &raw mut why) };
        check("rkllm_load_prompt_cache", status, &why)
    }

    /// Ends what [`Session::load_prompt_cache`] began.
    ///
    /// # Errors
    /// [`Error::Absent`] where the library has no such call, [`Error::Runtime`].
    pub fn release_prompt_cache(&mut self) -> Result<()> {
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open and no run is under way, since a run borrows it.
        let status = unsafe { sys::rkb_release_prompt_cache(self.raw.as_ptr(), &raw mut why) };
        check("rkllm_release_prompt_cache", status, &why)
    }

    /// Replaces the model's chat template; three empty strings switch wrapping off. Empties the KV cache too.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a NUL character, [`Error::Absent`] before 1.2.0, [`Error::Runtime`].
    pub fn set_chat_template(&mut self, system_prompt: &str, prefix: &str, postfix: &str) -> Result<()> {
        let part = |text: &str| {
            CString::new(text)
                .map_err(|_| Error::BadParameter("the chat template holds a NUL character".into()))
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

    /// Asks the runtime to abort whatever it still does. Harmless when nothing runs.
    ///
    /// # Errors
    /// [`Error::Runtime`].
    pub fn abort(&mut self) -> Result<()> {
        let mut why = sys::rkb_failure::default();
        // SAFETY: the session is open.
        let status = unsafe { sys::rkb_abort(self.raw.as_ptr(), &raw mut why) };
        check("rkllm_abort", status, &why)
    }

    /// Callbacks that came after their run had returned; dropped, but a runtime that does this is not to be trusted.
    pub fn late_callbacks(&self) -> u64 {
        // SAFETY: the session's control block is never freed.
        unsafe { sys::rkb_late_callbacks(self.raw.as_ptr()) }
    }

    /// Frees the model and says how that went; dropping does the same in silence.
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
        // Nobody is left to tell; `close` is for those who want to know.
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
