//! Which server made the figures.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::abilities::Abilities;

/// Which of a server's pages text is sent to. Token ids always go to the completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `/v1/chat/completions`: the server puts its chat template around the text.
    #[default]
    Chat,
    /// `/v1/completions`: the text as it is.
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

/// Which server made the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerIdentity {
    /// Its address.
    pub url: String,
    /// What it calls itself in the header `Server`; absent where it sends none.
    pub software: Option<String>,
    /// Where text went.
    pub api: Api,
    /// Whether it is on the machine that measured. If not, the record's board is the client's.
    pub is_local: bool,
    /// Whether a repeated prompt is seen to be computed again, or its beginning was varied since that could not be seen.
    pub abilities: Abilities,
}

impl std::fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let software = self.software.as_deref().unwrap_or("of unknown make");
        write!(f, "server: {software} at {}, {}", self.url, self.api)?;
        if !self.is_local {
            f.write_str("; the board is that of the client")?;
        }
        Ok(())
    }
}
