//! The server that a run measures.

use super::http::Address;
use crate::inference::Api;

/// The server that runs the models, and how to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its address.
    pub address: Address,
    /// The API that receives text.
    pub api: Api,
    /// Whether to load and unload models, if the server can do that.
    pub manages_models: bool,
}
