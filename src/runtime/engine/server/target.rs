//! The server that a run measures.

use super::http::Address;
use crate::inference::Api;

/// Which server is to run the models, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub address: Address,
    /// Where text goes.
    pub api: Api,
    /// Whether models are loaded and unloaded, where the server can do that.
    pub manages_models: bool,
}
