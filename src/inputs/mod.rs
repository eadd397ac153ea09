//! What a user gives: prompt suites and model files; and how a command is written back to the user.

pub(crate) mod hint;
pub mod model_name;
pub mod models;
pub mod prompts;
