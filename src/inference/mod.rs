//! The request and the outcome of one call of the model: plain data, without a clock and without a runtime.

mod abilities;
mod cache_start;
mod ends;
mod first_chunk;
mod input;
mod outcome;
mod phases;
mod pieces;
mod request;
mod runtime;
mod sampling;
mod server;
mod stream;
mod token_count;
mod tokens;

pub use abilities::Abilities;
pub use cache_start::{COLD, CacheSetUp, CacheStart, PrefixSource};
pub use ends::End;
pub use input::{Input, token_ids};
pub use outcome::{Inference, RuntimeStats};
pub use phases::Phases;
pub use pieces::Pieces;
pub use request::Request;
pub use runtime::{
    Failure, FailureKind, Library, LoadSpec, Loaded, Pairing, Runtime, RuntimeIdentity, Trial, VersionLine,
};
pub use sampling::Sampling;
pub use server::{Api, ServerIdentity};
pub(crate) use stream::is_same_model;
pub use stream::{Stream, Unread, Usage};
pub use token_count::{CountRule, TokenCount, is_word_count};
pub use tokens::{Finish, TokenEvent};
