//! The client's result callback.

use std::ffi::{c_int, c_void};
use std::ptr;

use crate::client_call::{self, ResultFunction};
use crate::header::{
    LLMCallState, RKLLM_RUN_ERROR, RKLLM_RUN_FINISH, RKLLM_RUN_NORMAL, RKLLM_RUN_WAITING, RKLLMPerfStat,
    RKLLMResult, RKLLMResultLastHiddenLayer, RKLLMResultLogits,
};
use crate::llama::{Output, Token};
use crate::text::Text;

/// The id in a result that is about no token.
const NO_TOKEN: Token = -1;

/// What the callback asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    GoOn,
    Pause,
    /// It threw: there is no more to be said to it.
    Thrown,
}

/// The callback with the user data of one run. The result it is shown lives here, so that a token costs no more than
/// the call.
#[derive(Debug)]
pub(crate) struct Delivery {
    function: ResultFunction,
    userdata: *mut c_void,
    /// The first exception that it threw.
    thrown: Option<String>,
    /// Whether the client's call has returned, so that a callback is the only way to its ear.
    call_has_returned: bool,
    result: RKLLMResult,
}

// SAFETY: the user data is passed back and never looked at. That the callback may come from a thread of the runtime
// is what a client agrees to by rkllm_run_async.
unsafe impl Send for Delivery {}

impl Delivery {
    pub(crate) fn new(function: ResultFunction, userdata: *mut c_void) -> Self {
        Self {
            function,
            userdata,
            thrown: None,
            call_has_returned: false,
            result: empty_result(),
        }
    }

    /// The same for a run on a thread of the runtime.
    pub(crate) fn after_the_call(self) -> Self {
        Self {
            call_has_returned: true,
            ..self
        }
    }

    pub(crate) fn call_has_returned(&self) -> bool {
        self.call_has_returned
    }

    /// One token: with its text, or `None` while the last character is cut.
    pub(crate) fn token(&mut self, token: Token, text: Option<Text<'_>>) -> Reply {
        self.result.token_id = token;
        self.result.text = text.map_or(ptr::null(), |text| text.as_ptr());
        let reply = self.call(if text.is_some() {
            RKLLM_RUN_NORMAL
        } else {
            RKLLM_RUN_WAITING
        });
        self.result.text = ptr::null();
        // 2 asks for the early release of buffers that generation does not have; other values have no meaning.
        match reply {
            Some(1) => Reply::Pause,
            Some(_) => Reply::GoOn,
            None => Reply::Thrown,
        }
    }

    /// A callback with no output yet.
    pub(crate) fn nothing(&mut self) {
        self.result = empty_result();
        self.call(RKLLM_RUN_NORMAL);
    }

    /// What a model gave for tokens: rows of `width`, which the client may look at until its callback returns.
    pub(crate) fn outputs(&mut self, output: Output, rows: &[f32], width: usize) {
        let int = |value| c_int::try_from(value).unwrap_or(c_int::MAX);
        let (values, width, num_tokens) = (rows.as_ptr(), int(width), int(rows.len() / width));
        self.result = empty_result();
        match output {
            Output::Hidden => {
                self.result.last_hidden_layer = RKLLMResultLastHiddenLayer {
                    hidden_states: values,
                    embd_size: width,
                    num_tokens,
                };
            }
            Output::Logits => {
                self.result.logits = RKLLMResultLogits {
                    logits: values,
                    vocab_size: width,
                    num_tokens,
                };
            }
        }
        self.call(RKLLM_RUN_NORMAL);
        self.result = empty_result();
    }

    pub(crate) fn finish(&mut self, perf: RKLLMPerfStat) {
        self.result = RKLLMResult {
            perf,
            ..empty_result()
        };
        self.call(RKLLM_RUN_FINISH);
    }

    pub(crate) fn error(&mut self) {
        self.result = empty_result();
        self.call(RKLLM_RUN_ERROR);
    }

    /// The exception that the callback threw, if it did.
    pub(crate) fn thrown(&mut self) -> Option<String> {
        self.thrown.take()
    }

    fn call(&mut self, state: LLMCallState) -> Option<c_int> {
        // SAFETY: the client vouched for function and user data at init and run; the result is valid until it
        // returns.
        let reply = unsafe { client_call::result(self.function, &raw mut self.result, self.userdata, state) };
        match reply {
            Ok(reply) => Some(reply),
            Err(thrown) => {
                self.thrown.get_or_insert(thrown);
                None
            }
        }
    }
}

fn empty_result() -> RKLLMResult {
    RKLLMResult {
        text: ptr::null(),
        token_id: NO_TOKEN,
        last_hidden_layer: RKLLMResultLastHiddenLayer {
            hidden_states: ptr::null(),
            embd_size: 0,
            num_tokens: 0,
        },
        logits: RKLLMResultLogits {
            logits: ptr::null(),
            vocab_size: 0,
            num_tokens: 0,
        },
        perf: RKLLMPerfStat {
            prefill_time_ms: 0.0,
            prefill_tokens: 0,
            generate_time_ms: 0.0,
            generate_tokens: 0,
            memory_usage_mb: 0.0,
        },
    }
}
