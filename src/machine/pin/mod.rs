//! Holds the clocks of a board at the frequencies that Rockchip's figures stand for, and gives back what it found.
//!
//! What is to be written is a [`plan`](plan::plan), a pure function of what the files show. Before each write the state file
//! learns what is there, so that a crash at any moment can be undone by whoever finds it; after all of them every value is
//! read again, since the kernel rounds, and refuses in silence.

pub(crate) mod apply;
pub(crate) mod command;
pub(crate) mod knob;
pub(crate) mod plan;
pub(crate) mod restore;
pub(crate) mod state;

#[cfg(test)]
mod tests;
