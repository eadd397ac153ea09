//! Holds the clocks of a board at the frequencies of Rockchip's published figures, and restores what it found.
//!
//! The values to write are a [`plan`](plan::plan), a pure function of the files. Before each write, the state file
//! records the current value, so that a crash at any moment can be undone. After all writes every value is read back,
//! since the kernel rounds values and refuses some silently.

pub(crate) mod apply;
pub(crate) mod command;
pub(crate) mod knob;
pub(crate) mod plan;
pub(crate) mod restore;
pub(crate) mod state;

#[cfg(test)]
mod tests;
