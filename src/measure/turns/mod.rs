//! Two bench processes that take turns, so that a drift of the machine affects both.
//!
//! Each process is connected to its own socket. It holds the turn from its start. Before each inference, it sends a
//! byte to give the turn back, and waits for a byte with the next turn. Everything between two inferences, including
//! loading and saving, belongs to its turn. Its end gives the turn back for good.

mod pair;
mod participant;
pub(crate) mod threads;

pub use pair::{Ended, run_in_turns};
pub(crate) use participant::Participant;

/// Environment variable of a bench process with the path of the Unix stream socket for its turns.
pub const VARIABLE: &str = "RKLLM_BENCH_TURNS";

/// From the bench process: it gives its turn back and waits for the next.
const YIELD: u8 = b'y';
/// To the bench process: it has the turn.
const GIVE: u8 = b'g';

/// The order of the turns. Each side goes first equally often, so that a steady drift cancels out.
const ORDER: [usize; 4] = [0, 1, 1, 0];
