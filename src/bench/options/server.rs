//! The options of the bench target `server`.

use clap::Args;

use crate::base::error::{Error, Result};
use crate::inference::Api;
use crate::runtime::engine::server::{Address, Target};

/// Longest name of a suite in a server's identifiers, bytes: with what says so and the phase, criterion's 64.
const MOST_OF_A_NAME: usize = 56;

const OF_SERVER: &str = "rkllm-bench, target server (cargo bench --bench server)";

/// Which server, what of it, and how many clients.
#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "the text of --help, which has no markup")]
#[command(next_help_heading = OF_SERVER)]
pub(crate) struct ServerOptions {
    /// Address of an OpenAI-style server, such as http://board:8080. A key goes into the variable RKLLM_BENCH_API_KEY
    #[arg(long, value_name = "URL", env = "RKLLM_BENCH_URL")]
    pub(crate) url: Option<String>,
    /// Suite of prompts: quick, performance, quality, table
    #[arg(long, value_name = "NAME", env = "RKLLM_BENCH_SUITE", default_value = "quick")]
    pub(crate) suite: String,
    /// Page that text is sent to; token ids, as in the suite table, always go to the completions
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
    /// Load and unload no model, even where the server can do that
    #[arg(long, env = "RKLLM_BENCH_NO_LOAD", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_load: bool,
    /// Numbers of clients that each send one request after the other (a closed loop); each number is a run of its own
    #[arg(long, value_name = "N,N,…", env = "RKLLM_BENCH_CONCURRENCY", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) concurrency: Vec<u16>,
}

impl ServerOptions {
    /// The server that was asked for; absent without an address.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for what is no address, or a suite whose name has no room in an identifier.
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
