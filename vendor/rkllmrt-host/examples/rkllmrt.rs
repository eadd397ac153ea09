//! The host runtime as `librkllmrt.so`, for clients in other languages: the C functions of the crate are its exports.

pub use rkllmrt::*;
