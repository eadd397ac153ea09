//! The options of the bench target `server`.

use clap::Args;

use crate::base::error::{Error, Result};
use crate::inference::Api;
use crate::runtime::engine::server::{Address, Target};

/// Longest name of a suite in a server's identifiers, bytes. Prefix and phase use the rest of criterion's 64.
const MOST_OF_A_NAME: usize = 56;

const OF_SERVER: &str = "rkllm-bench, target server (cargo bench --bench server)";

/// The server, its models, and the number of clients.
#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "the text of --help, which has no markup")]
#[command(next_help_heading = OF_SERVER)]
pub(crate) struct ServerOptions {
    /// Address of an OpenAI-style server, such as http://board:8080; put a key into the variable RKLLM_BENCH_API_KEY
    #[arg(long, value_name = "URL", env = "RKLLM_BENCH_URL")]
    pub(crate) url: Option<String>,
    /// Suite of prompts: quick, performance, quality, table
    #[arg(long, value_name = "NAME", env = "RKLLM_BENCH_SUITE", default_value = "quick")]
    pub(crate) suite: String,
    /// Endpoint for text; token ids, as in the suite table, always go to the completions endpoint
    #[arg(
        long,
        value_name = "API",
        env = "RKLLM_BENCH_API",
        value_enum,
        default_value_t
    )]
    pub(crate) api: Api,
    /// Run all models of the server, one after the other
    #[arg(long, env = "RKLLM_BENCH_ALL_MODELS", value_parser = clap::builder::FalseyValueParser::new(),
          conflicts_with = "model")]
    pub(crate) all_models: bool,
    /// Load and unload no models, even if the server can
    #[arg(long, env = "RKLLM_BENCH_NO_LOAD", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_load: bool,
    /// Numbers of clients that each send one request after the other (a closed loop); each number is a separate run
    #[arg(long, value_name = "N,N,…", env = "RKLLM_BENCH_CONCURRENCY", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) concurrency: Vec<u16>,
}

impl ServerOptions {
    /// The requested server; absent without an address.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a malformed address, or for a suite whose name does not fit into an identifier.
    pub(crate) fn target(&self) -> Result<Option<Target>> {
        let Some(url) = &self.url else { return Ok(None) };
        let address: Address = url
            .parse()
            .map_err(|why| Error::BadParameter(format!("--url: {why}")))?;
        let longest = MOST_OF_A_NAME - crate::inputs::prompts::OF_SERVER.len() - "-c1024".len();
        if self.suite.len() > longest {
            return Err(Error::BadParameter(format!(
                "--suite: a name of more than {longest} bytes has no room in an identifier"
            )));
        }
        Ok(Some(Target {
            address,
            api: self.api,
            manages_models: !self.no_load,
        }))
    }
}
