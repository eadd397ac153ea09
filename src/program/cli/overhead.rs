//! `rkllm-bench overhead`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::base::console::{self, print, say};
use crate::base::error::Result;
use crate::base::exit;
use crate::base::foreign::Shown as _;
use crate::base::lock;
use crate::base::paths;
use crate::base::signals;
use crate::inference::Api;
use crate::inputs::models;
use crate::inputs::prompts::{Suite, Sweep};
use crate::measure::run::{Run, default_threads};
use crate::program::overhead;
use crate::record::{Faults, Status};
use crate::report::{overhead as report, terminal};
use crate::runtime::engine::server::{Address, Server, Target};

/// Measure what an API server adds to its runtime: the same prompts directly and over HTTP, in turns
///
/// This program loads its own runtime beside the server's. Only one of the two works at a time. The server must run
/// on this machine, and both models must fit into its memory.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the text of --help, which has no markup")]
pub(super) struct Arguments {
    /// Address of the server, such as http://127.0.0.1:8080; set RKLLM_BENCH_API_KEY if the server needs a key
    #[arg(long, value_name = "URL", env = "RKLLM_BENCH_URL")]
    url: Address,
    /// The model, by the name of its file
    #[arg(long, value_name = "NAME")]
    model: String,
    /// The server's name of the model [default: the same]
    #[arg(long, value_name = "NAME")]
    server_model: Option<String>,
    /// A model file, or a folder of models
    #[arg(long, value_name = "DIR|FILE", env = "RKLLM_BENCH_MODELS")]
    models: Option<PathBuf>,
    /// Suite of prompts: quick, performance, quality, table, or a JSON file
    #[arg(long, value_name = "NAME|FILE", default_value = "quick")]
    suite: String,
    /// Pairs of each prompt, at least 2
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(2..))]
    pairs: usize,
    /// New tokens of each inference [default: of the prompt, else of the suite, else 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    max_new_tokens: Option<u32>,
    /// Context window in tokens
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(32..))]
    max_context: u32,
    /// CPU threads of the runtime; set it to the number that the server uses
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=127))]
    threads: Option<u8>,
    /// API of the server that receives text
    #[arg(long, value_name = "API", value_enum, default_value_t)]
    api: Api,
    /// Do not load or unload models on the server
    #[arg(long)]
    no_load: bool,
    /// Write JSON instead of text
    #[arg(long)]
    json: bool,
    /// Folder for both run records [default: rkllm-bench/runs in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    signals::listen()?;
    let [direct, server] = runs(arguments)?;
    if !arguments.url.is_local() {
        say(format_args!(
            "{} is not an address of this machine; on another machine, the difference includes that between the \
             machines",
            arguments.url
        ));
    }
    let _locks = lock::take_all(Duration::ZERO)?;
    let folder = arguments.output.clone().unwrap_or_else(paths::runs_dir);
    let [(direct, of_direct), (server, of_server)] = overhead::measure([&direct, &server], &folder)?;
    if direct.status == Status::Changed {
        say(terminal::faults(&direct));
        say(format_args!("record: {}", of_direct.shown()));
        return Ok(ExitCode::from(exit::FAILED));
    }
    let found = crate::analysis::overhead::overhead(&direct, &server);
    print(&if arguments.json {
        report::json(&found)
    } else {
        report::text(&found, console::width())
    });
    say(format_args!(
        "records: {}, {}",
        of_direct.shown(),
        of_server.shown()
    ));
    let mut code = ExitCode::SUCCESS;
    for record in [&direct, &server] {
        let faults = record.faults();
        if faults != Faults::default() {
            say(terminal::faults(record));
        }
        if faults.are_fatal() {
            code = ExitCode::from(exit::FAILED);
        }
    }
    Ok(code)
}

fn runs(arguments: &Arguments) -> Result<[Run; 2]> {
    let suite = match arguments.suite.as_str() {
        "table" => Suite::table(&Sweep::default()),
        name => Suite::find(name, ".".as_ref())?,
    };
    let names = std::slice::from_ref(&arguments.model);
    let models = models::select(arguments.models.as_deref(), ".".as_ref(), names)?;
    let mut direct = Run::new(suite, models);
    if let Some(tokens) = arguments.max_new_tokens {
        direct.suite.set_max_new_tokens(tokens);
    }
    let parameters = &mut direct.parameters;
    parameters.samples = arguments.pairs;
    parameters.max_context = arguments.max_context;
    parameters.threads = arguments.threads.or_else(default_threads);
    parameters.in_process = false;
    let target = Target {
        address: arguments.url.clone(),
        api: arguments.api,
        manages_models: !arguments.no_load,
    };
    let listed = Server::new(target.clone())?
        .models()
        .unwrap_or_default()
        .available;
    let name = arguments.server_model.as_ref().unwrap_or(&arguments.model);
    let server = Run {
        models: vec![models::named_on_server(name, &listed)?],
        ..direct.clone()
    };
    Ok([direct, server.of_server(target, None)])
}
