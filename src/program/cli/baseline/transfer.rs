//! Exports baselines from the target folder and imports them, for a repository or another machine.

use std::path::{Path, PathBuf};

use super::save::{save_new, summary};
use crate::base::atomic::{self, Existing};
use crate::base::console::{deliver, print};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::record::baseline::{Baseline, Store};

/// Write a baseline to a file, to keep it in a repository or to take it to another machine
///
/// Baselines live in cargo's target folder, which `cargo clean` deletes.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Name of a baseline, or a file: an argument with a '/' or the ending .json is a file
    name: String,
    /// File to write; '-' is stdout
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

/// Read a baseline from a file that `export` wrote; an invalid file is refused
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// File to read
    file: PathBuf,
    /// Another name for the baseline [default: its name in the file]
    #[arg(long)]
    name: Option<String>,
    /// Replace an existing baseline of that name
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
            Error::BadParameter(format!("{} exists already: --force replaces it", file.shown())),
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
            "--replace replaces it, --name gives this one another name",
        )?;
    }
    print(&summary(&baseline, &path));
    Ok(())
}
