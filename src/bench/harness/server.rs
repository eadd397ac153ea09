//! The bench target `server`: the same suites over HTTP.

use std::path::Path;

use super::suite::suite_of;
use crate::base::error::{Error, Result};
use crate::base::suggest;
use crate::bench::options::{Mode, Options};
use crate::inputs::models::{self, Model};
use crate::measure::run::Run;
use crate::runtime::engine::server::{Models, Server, Target};

/// The requested runs: one, or one for each number of clients.
pub(super) fn set_up(options: &Options, target: Target, base: &Path) -> Result<Vec<Run>> {
    refuse_what_is_the_servers(options)?;
    let parameters = options.parameters()?;
    let suite = suite_of(options, &options.server.suite, base)?;
    let run = Run {
        parameters,
        ..Run::new(suite, models_of(options, &target)?)
    };
    if options.server.concurrency.is_empty() {
        return Ok(vec![run.of_server(target, None)]);
    }
    let levels = options.server.concurrency.iter();
    Ok(levels
        .map(|clients| run.clone().of_server(target.clone(), Some(*clients)))
        .collect())
}

/// Rejects options that only the server's own process could apply, because a record must not claim them.
fn refuse_what_is_the_servers(options: &Options) -> Result<()> {
    let given = [
        ("--models", options.run.models.is_some()),
        ("--threads", options.run.threads.is_some()),
        ("--cpu-mask", options.run.cpu_mask.is_some()),
        ("--embed-flash", options.run.embed_flash.is_some()),
        ("--base-domain-id", options.run.base_domain_id.is_some()),
        ("--in-process", options.run.in_process),
    ];
    if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
        return Err(Error::BadParameter(format!(
            "{flag} (or its variable) with --url: that is the server's own; set it where the server is started"
        )));
    }
    if options.mode() == Mode::Profile {
        return Err(Error::BadParameter(
            "--profile-time with --url: the server's process cannot be profiled from here; profile the suite's own target"
                .into(),
        ));
    }
    if !options.server.concurrency.is_empty() && options.run.settle.is_some() {
        return Err(Error::BadParameter(
            "--settle with --concurrency: the clients' runs follow each other at once; leave one of the two out".into(),
        ));
    }
    Ok(())
}

/// The requested models, else the one that is loaded, else the only one.
fn models_of(options: &Options, target: &Target) -> Result<Vec<Model>> {
    let listed = Server::new(target.clone())?.models();
    if !options.run.model.is_empty() {
        // A server may answer requests for a model by name without listing its models.
        let listed = listed.unwrap_or_default();
        let names = options.run.model.iter();
        return names
            .map(|name| models::named_on_server(name, &listed.available))
            .collect::<Result<_>>()
            .and_then(models::distinct);
    }
    let Models { available, loaded } = listed.map_err(|failure| Error::Server(failure.to_string()))?;
    let loaded = loaded.unwrap_or_default();
    let names = match (options.server.all_models, loaded.as_slice(), available.as_slice()) {
        (true, [_, ..], []) | (false, [_], _) => loaded,
        (true, _, [_, ..]) | (false, _, [_]) => available,
        (_, _, []) => {
            return Err(Error::Model(format!(
                "the server at {} names no models: name one with --model",
                target.address
            )));
        }
        (false, _, several) => {
            return Err(Error::Model(format!(
                "the server at {} has {} models: name one with --model, or run all with --all-models{}",
                target.address,
                several.len(),
                suggest::among("", several)
            )));
        }
    };
    models::distinct(models::on_server(&names))
}
