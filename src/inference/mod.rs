//! What one call of the model is asked and what it gave: plain data, without a clock and without a runtime.

mod cache_start;
mod ends;
mod first_chunk;
mod outcome;
mod phases;
mod pieces;
mod request;
mod runtime;
mod sampling;
mod server;
mod stream;
mod tokens;

pub use cache_start::{COLD, CacheSetUp, CacheStart, PrefixSource};
pub use ends::End;
pub use outcome::{Inference, RuntimeStats};
pub use phases::Phases;
pub use pieces::Pieces;
pub use request::{Input, Request, token_ids};
pub use runtime::{
    Abilities, Failure, FailureKind, Library, LoadSpec, Loaded, Pairing, Runtime, RuntimeIdentity, Trial,
    VersionLine,
};
pub use sampling::Sampling;
pub use server::{Api, ServerIdentity};
pub(crate) use stream::is_same_model;
pub use stream::{CountRule, Stream, TokenCount, Unread, Usage, is_word_count};
pub use tokens::{Finish, TokenEvent};
