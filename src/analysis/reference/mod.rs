//! Published figures beside those of a run.
//!
//! The figures are those of `benchmark.md` in Rockchip's rknn-llm, release 1.3.0 (docs/reference-figures.md says under
//! which conditions they were made). They have no spread and no number of runs: what differs from them is worth a look
//! and is no verdict.
//!
//! ```
//! use rkllm_bench::model_name::NameParts;
//! use rkllm_bench::reference::{Match, find};
//!
//! let parts = NameParts::of("Qwen2-0.5B-Instruct_w8a8_rk3588.rkllm");
//! let Match::Exact(row) = find("RK3588", &parts) else { panic!("published") };
//! assert_eq!(row.decode_tok_per_s, 41.58);
//! ```

mod checks;
mod find;
#[cfg(test)]
pub(crate) mod fixtures;
mod judge;
mod names;
mod table;

pub use checks::{Check, CheckState};
pub use find::{Match, Unmatched, find};
pub use judge::{Figure, Finding, Outcome, Quantity, Verdict, judge};
pub use table::{Row, SOURCE, rows};
