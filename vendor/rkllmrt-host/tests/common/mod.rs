//! A client of the C API for the tests: it links the C symbols and has its types from the header, as any client would.
#![allow(dead_code, reason = "no test file uses all of it")]
#![allow(
    clippy::wildcard_imports,
    reason = "the names are the C API's, with its prefix"
)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect"
)]
#![allow(unsafe_code, reason = "the C API is what is tested")]

#[allow(
    missing_docs,
    missing_debug_implementations,
    non_camel_case_types,
    non_snake_case,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code, whose names are the C API's"
)]
pub(crate) mod header {
    // Links the runtime, whose symbols the declarations below are of.
    use rkllmrt as _;

    include!(concat!(env!("OUT_DIR"), "/header.rs"));
}

pub(crate) mod gguf;
pub(crate) mod plain;
pub(crate) mod stderr;

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{mem, ptr};

use rkllmrt::builtin::{self, Shape};

use header::*;

/// Small enough that a run takes no time, with a vocabulary in which a seventh of the tokens begin a longer UTF-8
/// character.
pub(crate) const SMALL: Shape = Shape {
    name: "small",
    n_vocab: 354,
    n_embd: 64,
    n_layer: 2,
    n_head: 2,
    n_head_kv: 1,
    n_ff: 128,
    context_length: 512,
    chat_template: None,
};

/// Writes a built-in model for this test process. Other processes may be at it too: the file is replaced whole.
pub(crate) fn model(shape: &Shape) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.gguf", shape.name));
    builtin::write(shape, &path).expect("the built-in model is written");
    path
}

pub(crate) fn small() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| model(&SMALL))
}

pub(crate) fn tiny() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| model(&Shape::TINY))
}

/// The window of `long_running`.
pub(crate) const WINDOW: i32 = 4096;

/// A client whose runs take seconds: they go on until the window is full.
pub(crate) fn long_running() -> Client {
    let mut param = greedy();
    param.max_context_len = WINDOW;
    param.max_new_tokens = 0;
    Client::load(tiny(), &param)
}

/// A prompt whose prefill takes seconds, with `long_running`.
pub(crate) fn long_prompt() -> Vec<i32> {
    (0..2000).map(|index| 300 + index % 3000).collect()
}

/// One callback.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) state: LLMCallState,
    pub(crate) token: i32,
    pub(crate) text: Option<String>,
    pub(crate) prefill_tokens: i32,
    pub(crate) prefill_ms: f32,
    pub(crate) generate_tokens: i32,
    pub(crate) generate_ms: f32,
    pub(crate) memory_mb: f32,
    pub(crate) hidden: Option<Rows>,
    pub(crate) logits: Option<Rows>,
}

/// Rows of floats that a callback showed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    pub(crate) values: Vec<f32>,
    pub(crate) width: usize,
}

impl Rows {
    /// `None` for no values at all, which must have no extent either.
    fn copied(values: *const f32, width: c_int, n_rows: c_int) -> Option<Self> {
        let (width, n_rows) = (usize::try_from(width).unwrap(), usize::try_from(n_rows).unwrap());
        if values.is_null() {
            assert_eq!((width, n_rows), (0, 0), "no values, no extent");
            return None;
        }
        // SAFETY: the runtime says how many there are, alive until the callback returns.
        let values = unsafe { std::slice::from_raw_parts(values, width * n_rows) }.to_vec();
        Some(Self { values, width })
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}

/// What the callback does with an event: the value is returned to the runtime.
pub(crate) type Reaction<'a> = Box<dyn FnMut(&Event) -> c_int + Send + 'a>;

/// The callbacks of a run, in order.
pub(crate) struct Recording<'a> {
    pub(crate) events: Vec<Event>,
    reaction: Reaction<'a>,
}

impl<'a> Recording<'a> {
    pub(crate) fn new(reaction: impl FnMut(&Event) -> c_int + Send + 'a) -> Self {
        Self {
            events: Vec::new(),
            reaction: Box::new(reaction),
        }
    }

    pub(crate) fn userdata(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }
}

pub(crate) unsafe extern "C" fn record(
    result: *mut RKLLMResult,
    userdata: *mut c_void,
    state: LLMCallState,
) -> c_int {
    // SAFETY: every test passes a recording that outlives the run, and nothing else touches it meanwhile.
    let recording = unsafe { &mut *userdata.cast::<Recording<'_>>() };
    // SAFETY: the runtime passes a result that lives until we return.
    let result = unsafe { &*result };
    let text = (!result.text.is_null()).then(|| {
        // SAFETY: not NULL, so a string that ends in NUL.
        let text = unsafe { CStr::from_ptr(result.text) };
        text.to_str().expect("text is UTF-8").to_owned()
    });
    let event = Event {
        state,
        token: result.token_id,
        text,
        prefill_tokens: result.perf.prefill_tokens,
        prefill_ms: result.perf.prefill_time_ms,
        generate_tokens: result.perf.generate_tokens,
        generate_ms: result.perf.generate_time_ms,
        memory_mb: result.perf.memory_usage_mb,
        hidden: Rows::copied(
            result.last_hidden_layer.hidden_states,
            result.last_hidden_layer.embd_size,
            result.last_hidden_layer.num_tokens,
        ),
        logits: Rows::copied(
            result.logits.logits,
            result.logits.vocab_size,
            result.logits.num_tokens,
        ),
    };
    let reply = (recording.reaction)(&event);
    recording.events.push(event);
    reply
}

/// Parameters that make runs repeat exactly: greedy, neutral penalties, one thread, end tokens ignored.
pub(crate) fn greedy() -> RKLLMParam {
    // SAFETY: no condition.
    let mut param = unsafe { rkllm_createDefaultParam() };
    param.max_context_len = 512;
    param.max_new_tokens = 16;
    param.top_k = 1;
    param.repeat_penalty = 1.0;
    param.ignore_eos_token = 1;
    param.extend_param.enabled_cpus_num = 1;
    param
}

/// `rkllm_init`, with nothing left out; the handle is what it wrote.
pub(crate) fn init(path: &Path, param: &RKLLMParam, userdata: *mut c_void) -> (c_int, LLMHandle) {
    let callback = RKLLMCallback {
        result_userdata: userdata,
        ..callbacks()
    };
    init_with(path, param, callback)
}

pub(crate) fn init_with(path: &Path, param: &RKLLMParam, mut callback: RKLLMCallback) -> (c_int, LLMHandle) {
    let path = CString::new(path.to_str().expect("the path is UTF-8")).expect("the path holds no NUL");
    let mut param = *param;
    param.model_path = path.as_ptr();
    let mut handle: LLMHandle = ptr::dangling_mut::<u8>().cast();
    // SAFETY: three valid pointers.
    let status = unsafe { rkllm_init(&raw mut handle, &raw mut param, &raw mut callback) };
    (status, handle)
}

pub(crate) fn callbacks() -> RKLLMCallback {
    // SAFETY: NULL and no function are valid in every field.
    let mut callbacks: RKLLMCallback = unsafe { mem::zeroed() };
    callbacks.result_callback = Some(record);
    callbacks
}

pub(crate) fn infer_param() -> RKLLMInferParam {
    // SAFETY: zero and NULL are valid in every field.
    unsafe { mem::zeroed() }
}

/// Token input; the ids must outlive it.
pub(crate) fn token_input(ids: &[i32]) -> RKLLMInput {
    // SAFETY: zero and NULL are valid in every field.
    let mut input: RKLLMInput = unsafe { mem::zeroed() };
    input.input_type = RKLLM_INPUT_TOKEN;
    input.__bindgen_anon_1.token_input = RKLLMTokenInput {
        input_ids: ids.as_ptr().cast_mut(),
        n_tokens: ids.len(),
    };
    input
}

/// Embeddings; the values must outlive it.
pub(crate) fn embed_input(values: &[f32], n_tokens: usize) -> RKLLMInput {
    // SAFETY: zero and NULL are valid in every field.
    let mut input: RKLLMInput = unsafe { mem::zeroed() };
    input.input_type = RKLLM_INPUT_EMBED;
    input.__bindgen_anon_1.embed_input = RKLLMEmbedInput {
        embed: values.as_ptr().cast_mut(),
        n_tokens,
    };
    input
}

/// Text input; the text must outlive it.
pub(crate) fn text_input(text: &CStr) -> RKLLMInput {
    // SAFETY: zero and NULL are valid in every field.
    let mut input: RKLLMInput = unsafe { mem::zeroed() };
    input.input_type = RKLLM_INPUT_PROMPT;
    input.__bindgen_anon_1.prompt_input = text.as_ptr();
    input
}

/// A loaded model, destroyed when dropped.
pub(crate) struct Client {
    pub(crate) handle: LLMHandle,
}

// SAFETY: a handle is a value; the runtime says which calls may come from other threads.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    #[track_caller]
    pub(crate) fn load(path: &Path, param: &RKLLMParam) -> Self {
        Self::load_with_userdata(path, param, ptr::null_mut())
    }

    #[track_caller]
    pub(crate) fn load_with(path: &Path, param: &RKLLMParam, callback: RKLLMCallback) -> Self {
        let (status, handle) = init_with(path, param, callback);
        assert_eq!(status, 0, "rkllm_init");
        Self { handle }
    }

    #[track_caller]
    pub(crate) fn load_with_userdata(path: &Path, param: &RKLLMParam, userdata: *mut c_void) -> Self {
        let (status, handle) = init(path, param, userdata);
        assert_eq!(status, 0, "rkllm_init");
        assert!(!handle.is_null());
        Self { handle }
    }

    pub(crate) fn small() -> Self {
        Self::load(small(), &greedy())
    }

    /// `rkllm_run`: its status and all callbacks.
    pub(crate) fn call(
        &self,
        input: &RKLLMInput,
        infer: &RKLLMInferParam,
        reaction: impl FnMut(&Event) -> c_int + Send,
    ) -> (c_int, Vec<Event>) {
        let mut recording = Recording::new(reaction);
        let status = self.call_with_userdata(input, infer, recording.userdata());
        (status, recording.events)
    }

    /// The user data is a recording's, or NULL where init was given one.
    pub(crate) fn call_with_userdata(
        &self,
        input: &RKLLMInput,
        infer: &RKLLMInferParam,
        userdata: *mut c_void,
    ) -> c_int {
        let (mut input, mut infer) = (*input, *infer);
        // SAFETY: valid pointers; the recording outlives the blocking call.
        unsafe { rkllm_run(self.handle, &raw mut input, &raw mut infer, userdata) }
    }

    /// A run of token ids that succeeds, without its FINISH.
    #[track_caller]
    pub(crate) fn run(&self, ids: &[i32], infer: &RKLLMInferParam) -> Run {
        Run::of(self.call(&token_input(ids), infer, |_| 0))
    }

    /// The same for text.
    #[track_caller]
    pub(crate) fn run_text(&self, text: &CStr, infer: &RKLLMInferParam) -> Run {
        Run::of(self.call(&text_input(text), infer, |_| 0))
    }

    pub(crate) fn abort(&self) -> c_int {
        // SAFETY: no condition.
        unsafe { rkllm_abort(self.handle) }
    }

    pub(crate) fn is_running(&self) -> c_int {
        // SAFETY: no condition.
        unsafe { rkllm_is_running(self.handle) }
    }

    pub(crate) fn clear(&self, keep_system_prompt: c_int) -> c_int {
        // SAFETY: NULL for both positions.
        unsafe { rkllm_clear_kv_cache(self.handle, keep_system_prompt, ptr::null_mut(), ptr::null_mut()) }
    }

    pub(crate) fn cached(&self) -> c_int {
        let mut size = -1;
        // SAFETY: room for one value.
        let status = unsafe { rkllm_get_kv_cache_size(self.handle, &raw mut size) };
        assert_eq!(status, 0, "rkllm_get_kv_cache_size");
        size
    }

    pub(crate) fn set_template(&self, system: &CStr, prefix: &CStr, postfix: &CStr) -> c_int {
        // SAFETY: three strings that end in NUL.
        unsafe { rkllm_set_chat_template(self.handle, system.as_ptr(), prefix.as_ptr(), postfix.as_ptr()) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: no condition.
        unsafe { rkllm_destroy(self.handle) };
    }
}

/// A run that ended by FINISH.
#[derive(Debug)]
pub(crate) struct Run {
    /// One for each token.
    pub(crate) tokens: Vec<Event>,
    pub(crate) finish: Event,
}

impl Run {
    #[track_caller]
    pub(crate) fn of((status, mut events): (c_int, Vec<Event>)) -> Self {
        assert_eq!(status, 0, "rkllm_run");
        let finish = events.pop().expect("a callback at least");
        assert_eq!(finish.state, RKLLM_RUN_FINISH, "the last callback");
        assert!(
            events
                .iter()
                .all(|event| matches!(event.state, RKLLM_RUN_NORMAL | RKLLM_RUN_WAITING))
        );
        Self {
            tokens: events,
            finish,
        }
    }

    pub(crate) fn ids(&self) -> Vec<i32> {
        self.tokens.iter().map(|event| event.token).collect()
    }

    pub(crate) fn text(&self) -> String {
        self.tokens
            .iter()
            .filter_map(|event| event.text.as_deref())
            .collect()
    }
}
