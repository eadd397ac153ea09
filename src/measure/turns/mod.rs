//! Two bench processes that measure in turns, so that a drift of the machine falls on both.
//!
//! Each process is connected to a socket of its own. It holds the turn from its start, gives it back before each
//! inference with one byte and waits for one that gives it the turn again. What it does between two inferences, loading
//! and saving included, is in its own turn; its end gives the turn back for good.

mod pair;
mod participant;
pub(crate) mod threads;

pub use pair::{Ended, run_in_turns};
pub(crate) use participant::Participant;

/// Environment variable of a bench process: path of the Unix stream socket by which it takes turns.
pub const VARIABLE: &str = "RKLLM_BENCH_TURNS";

/// From the bench process: it waits for its next turn.
const YIELD: u8 = b'y';
/// To the bench process: its turn.
const GIVE: u8 = b'g';

/// Whose turn it is: each of the two goes first as often as the other, and a steady drift cancels out.
const ORDER: [usize; 4] = [0, 1, 1, 0];
