//! A loaded model.

use std::any::Any;
use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{library, sys};
use crate::error::{Error, Result};

/// What the runtime's generation can do. What it cannot is reported as absent, never as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "a table of independent yes and no")]
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "no value of the fields is unsafe"
)]
pub struct Abilities {
    /// Performance statistics come with the end of a run (from 1.2.1).
    pub perf: bool,
    /// The KV cache can be cleared (from 1.2.0).
    pub clear_kv_cache: bool,
    /// The KV cache's size can be asked (from 1.2.1).
    pub kv_cache_size: bool,
    /// The chat template can be set (from 1.2.0).
    pub chat_template: bool,
    /// End tokens can be ignored (from 1.3.0).
    pub ignore_eos: bool,
    /// The cap on new tokens can be set for each run (from 1.3.0).
    pub new_tokens_per_run: bool,
    /// CPU cores can be chosen (from 1.2.0).
    pub cpu_choice: bool,
}

impl Abilities {
    /// Those of the header in use.
    pub fn of_header() -> Self {
        // SAFETY: takes nothing and returns the address of a static.
        let can = unsafe { sys::rkb_header_abilities() };
        // SAFETY: that static is initialised once and never changes.
        let can = unsafe { &*can };
        Self {
            perf: can.perf != 0,
            clear_kv_cache: can.clear_kv_cache != 0,
            kv_cache_size: can.kv_cache_size != 0,
            chat_template: can.chat_template != 0,
            ignore_eos: can.ignore_eos != 0,
            new_tokens_per_run: can.new_tokens_per_run != 0,
            cpu_choice: can.cpu_choice != 0,
        }
    }
}

/// What a model is loaded with. [`Params::new`] starts from the runtime's own defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// The model file.
    pub model_path: PathBuf,
    /// Context window in tokens; at most the limit baked into the model.
    pub max_context_len: i32,
    /// Cap on new tokens of a run.
    pub max_new_tokens: i32,
    /// Candidates kept for sampling; 1 is greedy.
    pub top_k: i32,
    /// Probability mass kept for sampling, 0 to 1.
    pub top_p: f32,
    /// Sampling temperature; above 0.
    pub temperature: f32,
    /// Penalty on repeated tokens; 1.0 is none.
    pub repeat_penalty: f32,
    /// Penalty by frequency, -2.0 to 2.0; 0.0 is none.
    pub frequency_penalty: f32,
    /// Penalty by presence, -2.0 to 2.0; 0.0 is none.
    pub presence_penalty: f32,
    /// Whether special tokens are delivered without text.
    pub skip_special_token: bool,
    /// Whether a run goes on past an end token. No effect before 1.3.0.
    pub ignore_eos: bool,
    /// Whether embedding rows are fetched from storage instead of memory. No effect before 1.2.0.
    pub embed_flash: bool,
    /// CPU cores that work; 0 leaves it to the runtime. No effect before 1.2.0.
    pub cpu_count: u8,
    /// Which cores: bit n is CPU n; 0 leaves it to the runtime. No effect before 1.2.0.
    pub cpu_mask: u32,
    /// First NPU memory domain to load into.
    pub base_domain_id: i32,
}

impl Params {
    /// The defaults of `rkllm_createDefaultParam` for the model at `model_path`.
    ///
    /// # Errors
    /// Whatever [`library::verify`] finds, and [`Error::Runtime`].
    pub fn new(model_path: &Path) -> Result<Self> {
        library::verify(None)?;
        let mut raw = sys::rkb_params::default();
        let mut why = sys::rkb_failure::default();
        // SAFETY: both out-parameters are writable; the library was verified, so struct layouts agree.
        let status = unsafe { sys::rkb_default_params(&raw mut raw, &raw mut why) };
        check("rkllm_createDefaultParam", status, &why)?;
        Ok(Self {
            model_path: model_path.to_owned(),
            max_context_len: raw.max_context_len,
            max_new_tokens: raw.max_new_tokens,
            top_k: raw.top_k,
            top_p: raw.top_p,
            temperature: raw.temperature,
            repeat_penalty: raw.repeat_penalty,
            frequency_penalty: raw.frequency_penalty,
            presence_penalty: raw.presence_penalty,
            skip_special_token: raw.skip_special_token != 0,
            ignore_eos: raw.ignore_eos != 0,
            embed_flash: raw.embed_flash != 0,
            cpu_count: raw.cpu_count,
            cpu_mask: raw.cpu_mask,
            base_domain_id: raw.base_domain_id,
        })
    }

    fn to_raw(&self, model_path: &CStr) -> sys::rkb_params {
        sys::rkb_params {
            model_path: model_path.as_ptr(),
            max_context_len: self.max_context_len,
            max_new_tokens: self.max_new_tokens,
            top_k: self.top_k,
            top_p: self.top_p,
            temperature: self.temperature,
            repeat_penalty: self.repeat_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            skip_special_token: self.skip_special_token.into(),
            ignore_eos: self.ignore_eos.into(),
            embed_flash: self.embed_flash.into(),
            cpu_count: self.cpu_count,
            cpu_mask: self.cpu_mask,
            base_domain_id: self.base_domain_id,
        }
    }
}

/// What a run reads.
#[derive(Debug, Clone, Copy)]
pub enum RunInput<'a> {
    /// Text; the runtime wraps it in the model's chat template.
    Text(&'a str),
    /// Token ids, taken as they are.
    Tokens(&'a [i32]),
}

/// One token as the callback delivered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEvent {
    /// `CLOCK_MONOTONIC` nanoseconds, taken first thing in the callback.
    pub at_ns: u64,
    /// The runtime's id of the token.
    pub id: i32,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The runtime said that it finished.
    Finished,
    /// The runtime reported an error by callback.
    Error,
    /// Neither came.
    Lost,
}

/// Room for the events of one run, reserved before it so that the callback allocates nothing.
#[derive(Debug, Default)]
pub struct Recording {
    /// Tokens in the order of their callbacks, at most as many as reserved.
    pub tokens: Vec<TokenEvent>,
    /// Bytes of all texts.
    pub text: Vec<u8>,
    /// Callbacks with a token that found no room. Their times are lost, so a run with any is no sample.
    pub overflow: u32,
    /// Stamp of the FINISH callback.
    pub finish_ns: Option<u64>,
    /// The runtime's statistics from the FINISH callback.
    pub stats: Option<sys::rkb_stats>,
    error: bool,
    listener: Option<Listener>,
    panic: Option<PanicPayload>,
}

type OnToken = dyn FnMut(TokenEvent, &[u8]);
struct Listener(Box<OnToken>);
struct PanicPayload(Box<dyn Any + Send>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

impl std::fmt::Debug for PanicPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PanicPayload")
    }
}

/// Bytes of text reserved for each token. Longer texts are cut off; the tokens' times are not affected.
const TEXT_BYTES_PER_TOKEN: usize = 64;
/// Tokens reserved beyond those asked for: the end token, and a runtime that counts otherwise.
const SPARE_TOKENS: usize = 16;

impl Recording {
    /// Room for `max_new_tokens` tokens and their text.
    pub fn with_room_for(max_new_tokens: usize) -> Self {
        let tokens = max_new_tokens + SPARE_TOKENS;
        Self {
            tokens: Vec::with_capacity(tokens),
            text: Vec::with_capacity(tokens * TEXT_BYTES_PER_TOKEN),
            ..Self::default()
        }
    }

    /// Has `listener` called with each token and its text while the run goes on, for programs that show an answer as
    /// it comes. It runs inside the runtime's callback, so its time delays the next token: not for measuring.
    pub fn on_token(&mut self, listener: impl FnMut(TokenEvent, &[u8]) + 'static) {
        self.listener = Some(Listener(Box::new(listener)));
    }

    /// How the run ended.
    pub fn finish(&self) -> Finish {
        match (self.error, self.finish_ns) {
            (true, _) => Finish::Error,
            (false, Some(_)) => Finish::Finished,
            (false, None) => Finish::Lost,
        }
    }

    fn take(&mut self, event: &sys::rkb_event, text: &[u8]) {
        match event.state.cast_unsigned() {
            sys::RKLLM_RUN_NORMAL | sys::RKLLM_RUN_WAITING => {
                if self.tokens.len() == self.tokens.capacity() {
                    self.overflow += 1;
                    return;
                }
                let token = TokenEvent {
                    at_ns: event.at_ns,
                    id: event.token_id,
                };
                self.tokens.push(token);
                let room = self.text.capacity() - self.text.len();
                self.text.extend_from_slice(&text[..text.len().min(room)]);
                if let Some(Listener(listener)) = &mut self.listener {
                    listener(token, text);
                }
            }
            sys::RKLLM_RUN_FINISH => {
                self.finish_ns = Some(event.at_ns);
                // SAFETY: the guard passes NULL or a valid pointer that lives until this handler returns.
                self.stats = unsafe { event.stats.as_ref() }.copied();
            }
            sys::RKLLM_RUN_ERROR => self.error = true,
            _ => {} // a state of another generation: no token
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
        let path = CString::new(params.model_path.as_os_str().as_bytes()).map_err(|_| {
            Error::BadParameter(format!("{}: NUL byte in a path", params.model_path.display()))
        })?;
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

    /// Runs `input` and records every token into `recording`. Blocks until the runtime returns; past `deadline` it
    /// is asked to abort, which it may take its time to do (about 1.4 s were seen in prefill on a board).
    ///
    /// `max_new_tokens` caps this run where the runtime can (from 1.3.0), else the cap given at load holds.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for text with a NUL byte or no tokens; [`Error::Runtime`] when an exception left the
    /// runtime. A refusal of the runtime is in the outcome, beside what was recorded until then.
    ///
    /// # Panics
    /// With the panic of a callback, after the runtime has returned.
    pub fn run(
        &mut self,
        input: RunInput<'_>,
        max_new_tokens: i32,
        deadline: Duration,
        recording: &mut Recording,
    ) -> Result<RunOutcome> {
        let (text, tokens) = match input {
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
        let request = sys::rkb_run_request {
            text: text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr()),
            tokens: tokens.map_or(std::ptr::null(), <[i32]>::as_ptr),
            n_tokens: tokens.map_or(0, <[i32]>::len),
            max_new_tokens,
            keep_history: 0,
        };
        let abort = AbortHandle(self.raw);
        let (result, aborted) =
            with_deadline(deadline, move || abort.abort(), || self.call(&request, recording));
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

fn free(raw: NonNull<sys::rkb_session>) -> Result<()> {
    let mut why = sys::rkb_failure::default();
    // SAFETY: called once for each session, by `close` or `drop`; a second call would find it closed.
    let status = unsafe { sys::rkb_close(raw.as_ptr(), &raw mut why) };
    check("rkllm_destroy", status, &why)
}

/// Called by the guard for each event of a run.
extern "C" fn on_event(context: *mut c_void, event: *const sys::rkb_event) {
    // SAFETY: `Session::call` passed the recording as context; it is borrowed for the whole run, and the guard
    // makes one call at a time.
    let Some(recording) = (unsafe { context.cast::<Recording>().as_mut() }) else {
        return;
    };
    // SAFETY: the guard passes a valid event that lives until this returns.
    let Some(event) = (unsafe { event.as_ref() }) else {
        return;
    };
    if recording.panic.is_some() {
        return;
    }
    let text = if event.text.is_null() {
        &[][..]
    } else {
        // SAFETY: the guard passes `text_len` readable bytes with a text that is not NULL.
        unsafe { std::slice::from_raw_parts(event.text.cast::<u8>(), event.text_len) }
    };
    // A panic must not unwind into C: it waits in the recording until the runtime has returned.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| recording.take(event, text))) {
        recording.panic = Some(PanicPayload(payload));
    }
}

fn check(call: &'static str, status: i32, why: &sys::rkb_failure) -> Result<()> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: `fail` in the guard always terminates the message within its array.
    let message = unsafe { CStr::from_ptr(why.message.as_ptr()) }.to_string_lossy();
    match status.cast_unsigned() {
        sys::RKB_RUNTIME_FAILED if message.is_empty() => Err(Error::Runtime {
            call,
            reason: format!("the runtime returned {}", why.code),
        }),
        sys::RKB_EXCEPTION => Err(Error::Runtime {
            call,
            reason: format!("C++ exception: {message}"),
        }),
        sys::RKB_ABSENT => Err(Error::Absent {
            call,
            generation: library::header_generation().to_owned(),
        }),
        _ => Err(Error::Runtime {
            call,
            reason: message.into_owned(),
        }),
    }
}

/// Runs `body`; when it takes longer than `deadline`, `on_deadline` runs beside it. Also says whether it did.
fn with_deadline<T>(
    deadline: Duration,
    on_deadline: impl FnOnce() + Send,
    body: impl FnOnce() -> T,
) -> (T, bool) {
    struct Done<'a>(&'a Mutex<bool>, &'a Condvar);
    impl Drop for Done<'_> {
        // On drop, so that the watchdog ends also when `body` panics.
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
                // Under the lock: a run that has just ended cannot be followed by another before the abort is over.
                on_deadline();
            }
            late
        });
        let value = {
            let _done = Done(&done, &signal);
            body()
        };
        (value, watchdog.join().unwrap_or(false))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn event(state: u32, at_ns: u64, token_id: i32) -> sys::rkb_event {
        sys::rkb_event {
            at_ns,
            state: state.cast_signed(),
            token_id,
            ..sys::rkb_event::default()
        }
    }

    #[test]
    fn waiting_counts_as_a_token_and_unknown_states_do_not() {
        let mut recording = Recording::with_room_for(4);
        recording.take(&event(sys::RKLLM_RUN_WAITING, 10, 7), b"");
        recording.take(&event(sys::RKLLM_RUN_NORMAL, 20, 8), "é".as_bytes());
        recording.take(&event(4, 30, 9), b"x");
        assert_eq!(
            recording.tokens,
            [TokenEvent { at_ns: 10, id: 7 }, TokenEvent { at_ns: 20, id: 8 }]
        );
        assert_eq!(recording.text, "é".as_bytes());
        assert_eq!(recording.finish(), Finish::Lost);
    }

    #[test]
    fn a_token_without_room_is_counted_and_nothing_grows() {
        let mut recording = Recording::with_room_for(0);
        let room = recording.tokens.capacity();
        for at in 0..room as u64 + 3 {
            recording.take(
                &event(sys::RKLLM_RUN_NORMAL, at, 1),
                &[b'x'; TEXT_BYTES_PER_TOKEN * 2],
            );
        }
        assert_eq!((recording.tokens.len(), recording.overflow), (room, 3));
        assert_eq!(recording.tokens.capacity(), room);
    }

    #[test]
    fn an_error_outweighs_a_finish() {
        let mut recording = Recording::with_room_for(1);
        recording.take(&event(sys::RKLLM_RUN_FINISH, 5, 0), b"");
        assert_eq!(recording.finish(), Finish::Finished);
        recording.take(&event(sys::RKLLM_RUN_ERROR, 6, 0), b"");
        assert_eq!(recording.finish(), Finish::Error);
    }

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
