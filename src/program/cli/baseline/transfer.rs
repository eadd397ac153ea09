//! Baselines out of the target folder and into it, for a repository or for another machine.

use std::path::{Path, PathBuf};

use super::save::{save_new, summary};
use crate::base::atomic::{self, Existing};
use crate::base::console::{deliver, print};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::record::baseline::{Baseline, Store};

/// Write a baseline to a file, to keep it in a repository or take it to another machine
///
/// Cargo's target folder goes with `cargo clean`.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// A baseline, or a file of one, told by a '/' in it or by its ending .json
    name: String,
    /// The file; '-' is stdout
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Replace the file, where it exists
    #[arg(long)]
    force: bool,
}

/// Take a baseline from a file that `export` wrote; it is checked wholly first
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The file
    file: PathBuf,
    /// Name to give it [default: the one it has]
    #[arg(long)]
    name: Option<String>,
    /// Replace the baseline of that name, where it exists
    #[arg(long)]
    replace: bool,
}

pub(super) fn export(store: &Store, arguments: &Export) -> Result<()> {
    let baseline = Baseline::load(&store.find(&arguments.name)?)?;
    let file = arguments.file.as_path();
    if file == Path::new("-") {
        let mut bytes = serde_json::to_vec(&baseline).map_err(|error| Error::io("stdout")(error.into()))?;
        bytes.push(b'\n');
        deliver(&bytes);
        return Ok(());
    }
    let existing = if arguments.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    match atomic::write_json(file, &baseline, existing) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => Err(
            Error::BadParameter(format!("{}: exists already: --force replaces it", file.shown())),
        ),
        outcome => outcome,
    }
}

pub(super) fn import(store: &Store, arguments: &Import) -> Result<()> {
    let mut baseline = Baseline::load(&arguments.file)?;
    if let Some(name) = &arguments.name {
        baseline.name.clone_from(name);
    }
    let path = store.path(&baseline.name)?;
    let _lock = store.lock()?;
    if arguments.replace {
        baseline.save(&path)?;
    } else {
        save_new(
            store,
            &baseline,
            "--replace replaces it, --name gives this one another",
        )?;
    }
    print(&summary(&baseline, &path));
    Ok(())
}
