//! The server that produced the figures.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::abilities::Abilities;

/// The endpoint that text is sent to. Token ids always go to the completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `/v1/chat/completions`: the server applies its chat template.
    #[default]
    Chat,
    /// `/v1/completions`: the text is sent unchanged.
    Completions,
}

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
        })
    }
}

/// The server that produced the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerIdentity {
    /// Its address.
    pub url: String,
    /// Its name in the header `Server`; absent if it sends none.
    pub software: Option<String>,
    /// The endpoint for text.
    pub api: Api,
    /// Whether it runs on the machine that measured. If not, the board in the record is that of the client.
    pub is_local: bool,
    /// What was observed: whether a repeated prompt is computed again, or its beginning was varied because that was not
    /// observable.
    pub abilities: Abilities,
}

impl std::fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let software = self.software.as_deref().unwrap_or("unknown software");
        write!(f, "server: {software} at {}, {}", self.url, self.api)?;
        if !self.is_local {
            f.write_str("; the recorded board is that of the client")?;
        }
        Ok(())
    }
}
