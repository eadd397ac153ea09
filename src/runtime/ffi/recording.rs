//! Records what the callbacks of one run deliver. Memory is reserved before the run, so that callbacks allocate
//! nothing.

use crate::inference::{Finish, TokenEvent};
use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::sys;

/// The events of one run. Memory is reserved before the run, so that the callback allocates nothing.
#[derive(Debug, Default)]
pub struct Recording {
    /// Tokens in the order of their callbacks, up to the reserved number.
    pub tokens: Vec<TokenEvent>,
    /// Bytes of all texts.
    pub text: Vec<u8>,
    /// Number of tokens without room. Their times are lost, so such a run is not a sample.
    pub overflow: u32,
    /// Number of tokens whose text begins within a character, because the runtime did not wait for all of its bytes.
    pub split_characters: u32,
    /// Number of callbacks on a different thread than the call.
    pub other_thread: u32,
    /// Stamp of the FINISH callback.
    pub finish_ns: Option<u64>,
    /// The runtime's statistics from the FINISH callback.
    pub stats: Option<sys::rkb_stats>,
    error: bool,
    listener: Option<Listener>,
    pub(super) panic: Option<PanicPayload>,
}

type OnToken = dyn FnMut(TokenEvent, &[u8]) + Send;
struct Listener(Box<OnToken>);
pub(super) struct PanicPayload(pub(super) Box<dyn Any + Send>);

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

/// Bytes of text reserved for each token. Longer text is cut off, without effect on the tokens' times.
const TEXT_BYTES_PER_TOKEN: usize = 64;
/// Tokens reserved beyond those requested, for the end token and for a runtime that counts differently.
const SPARE_TOKENS: usize = 16;

impl Recording {
    /// Reserves memory for `max_new_tokens` tokens and their text.
    pub fn with_room_for(max_new_tokens: usize) -> Self {
        let tokens = max_new_tokens + SPARE_TOKENS;
        Self {
            tokens: room(
                tokens,
                TokenEvent {
                    at_ns: u64::MAX,
                    id: -1,
                },
            ),
            text: room(tokens * TEXT_BYTES_PER_TOKEN, u8::MAX),
            ..Self::default()
        }
    }

    /// Calls `listener` with each token and its text during the run, for programs that show an answer while it is
    /// generated.
    ///
    /// The listener runs inside the runtime's callback, so it delays the next token; do not use it for measurements.
    /// The callback may come on a thread of the runtime, so the listener must be `Send`.
    ///
    /// ```
    /// use rkllm_bench::ffi::Recording;
    ///
    /// let (sender, tokens) = std::sync::mpsc::channel();
    /// let mut recording = Recording::with_room_for(16);
    /// recording.on_token(move |token, _| sender.send(token.id).unwrap_or_default());
    /// ```
    ///
    /// ```compile_fail
    /// # use rkllm_bench::ffi::Recording;
    /// let count = std::rc::Rc::new(std::cell::Cell::new(0));
    /// let mut recording = Recording::with_room_for(16);
    /// recording.on_token(move |_, _| count.set(count.get() + 1));
    /// ```
    pub fn on_token(&mut self, listener: impl FnMut(TokenEvent, &[u8]) + Send + 'static) {
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
        self.other_thread += u32::from(event.other_thread);
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
                self.split_characters += u32::from(text.first().is_some_and(|byte| is_continuation(*byte)));
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

/// An empty vector with a capacity of `count`, whose memory was written to. The kernel assigns memory at the first
/// write, which must not happen in a callback. `value` must not be 0, because an allocator can supply zeroed memory
/// without writing.
fn room<T: Clone>(count: usize, value: T) -> Vec<T> {
    let mut room = vec![value; count];
    room.clear();
    room
}

/// Whether a byte continues a character of UTF-8.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Called by the guard for each event of a run.
pub(super) extern "C" fn on_event(context: *mut c_void, event: *const sys::rkb_event) {
    // SAFETY: `Session::call` passed the recording as context. It is borrowed for the whole run, and the guard makes
    // one call at a time.
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
    // A panic must not unwind into C. The recording keeps it until the runtime has returned.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| recording.take(event, text))) {
        recording.panic = Some(PanicPayload(payload));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::number::Long as _;

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
        for at in 0..room.long() + 3 {
            recording.take(
                &event(sys::RKLLM_RUN_NORMAL, at, 1),
                &[b'x'; TEXT_BYTES_PER_TOKEN * 2],
            );
        }
        assert_eq!((recording.tokens.len(), recording.overflow), (room, 3));
        assert_eq!(recording.tokens.capacity(), room);
    }

    #[test]
    fn a_character_in_two_pieces_is_joined_and_counted() {
        let mut recording = Recording::with_room_for(4);
        let ends: [&[u8]; 3] = [b"caf\xc3", b"\xa9 ", b"noir"];
        for text in ends {
            recording.take(&event(sys::RKLLM_RUN_NORMAL, 1, 1), text);
        }
        assert_eq!(recording.text, "café noir".as_bytes());
        assert_eq!(recording.split_characters, 1);
    }

    #[test]
    fn an_error_outweighs_a_finish() {
        let mut recording = Recording::with_room_for(1);
        recording.take(&event(sys::RKLLM_RUN_FINISH, 5, 0), b"");
        assert_eq!(recording.finish(), Finish::Finished);
        recording.take(&event(sys::RKLLM_RUN_ERROR, 6, 0), b"");
        assert_eq!(recording.finish(), Finish::Error);
    }
}
