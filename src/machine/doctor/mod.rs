//! Checks whether a machine is fit for measuring: facts in, findings with their remedies out.
//!
//! A finding is a pure function of the board, the models and the runtime.

mod clocks;
mod facts;
mod item;
mod machine;
mod npu;

use crate::machine::board::{Board, Soc};

pub use facts::{ModelFacts, RuntimeFacts};
pub use item::{Fitness, Item, Verdict};

/// All findings, ordered by their effect on the figures.
pub fn examine(board: &Board, models: &[ModelFacts], runtime: RuntimeFacts) -> Vec<Item> {
    let mut items = vec![
        clocks::ddr(board),
        clocks::npu(board, runtime),
        clocks::cpu(board),
    ];
    items.extend(npu::items(board, models, runtime));
    items.extend(machine::items(board, models, runtime));
    items
}

/// The findings on one model's conversion for `soc`.
pub(crate) fn of_conversion(soc: Option<&Soc>, model: &ModelFacts) -> [Item; 3] {
    npu::of_conversion(soc, std::slice::from_ref(model))
}

#[cfg(test)]
mod tests;
