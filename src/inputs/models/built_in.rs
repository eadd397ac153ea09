//! Built-in models: pseudo-random weights in the shapes of real ones, for the host runtime.

use std::path::{Path, PathBuf};

use super::folder::{entries, from_file};
use super::model::{BUILT_IN, Model, RANDOM_WEIGHTS};
use crate::base::error::{Error, Result};
use crate::base::suggest;

/// The built-in model `name`: pseudo-random weights in the shape of a real model, generated once and kept in `cache`.
///
/// # Errors
/// [`Error::Model`] if there is no such model, [`Error::Io`] if it cannot be written.
pub fn built_in(name: &str, cache: &Path) -> Result<Model> {
    let Some(path) = built_in_path(name, cache) else {
        let names: Vec<String> = built_in_names().map(|name| format!("{BUILT_IN}{name}")).collect();
        let there = if names.is_empty() {
            "; they are for the host runtime".into()
        } else {
            suggest::among(&format!("{BUILT_IN}{name}"), &names)
        };
        return Err(Error::Model(format!("no built-in model called {name:?}{there}")));
    };
    if !path.is_file() {
        make(name, &path)?;
    }
    from_file(&path)
}

/// Removes the built-in models of all versions of rkllm-bench from `cache` and returns their size in bytes.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_built_in(cache: &Path) -> Result<u64> {
    let mut bytes = 0;
    for made in made_in(cache)? {
        if made.is_dir() {
            for model in entries(&made)? {
                bytes += model.metadata().map_or(0, |meta| meta.len());
            }
            std::fs::remove_dir_all(&made).map_err(Error::io(&made))?;
        } else {
            bytes += made.metadata().map_or(0, |meta| meta.len());
            std::fs::remove_file(&made).map_err(Error::io(&made))?;
        }
    }
    Ok(bytes)
}

/// The files of rkllm-bench in `cache`: a folder `r<number>` for each revision of the built-in models, and files from
/// before there were revisions. Nothing else is touched.
fn made_in(cache: &Path) -> Result<Vec<PathBuf>> {
    if !cache.exists() {
        return Ok(Vec::new());
    }
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let revision = name
            .strip_prefix('r')
            .is_some_and(|number| number.parse::<u32>().is_ok());
        (revision && path.is_dir()) || name.ends_with(&format!("{RANDOM_WEIGHTS}.gguf"))
    };
    Ok(entries(cache)?.into_iter().filter(ours).collect())
}

#[cfg(feature = "host")]
mod shapes {
    //! The built-in models of the host runtime.

    use std::path::{Path, PathBuf};

    use rkllmrt::builtin::{REVISION, Shape, write};

    use crate::base::error::{Error, Result};

    /// Their names, smallest first.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        Shape::ALL.iter().map(|shape| shape.name)
    }

    /// The path of a model in `cache`, which may not exist; absent if there is no model of that name.
    pub fn built_in_path(name: &str, cache: &Path) -> Option<PathBuf> {
        let file = format!("{name}{}.gguf", super::RANDOM_WEIGHTS);
        built_in_names()
            .any(|known| known == name)
            .then(|| cache.join(format!("r{REVISION}")).join(file))
    }

    /// Built-in models of other revisions are useless; a failure to remove them is ignored.
    fn remove_older(path: &Path) {
        let Some((revision, cache)) = path
            .parent()
            .and_then(|revision| Some((revision, revision.parent()?)))
        else {
            return;
        };
        for other in super::made_in(cache).unwrap_or_default() {
            if other.is_file() {
                let _ = std::fs::remove_file(other);
            } else if other != revision {
                let _ = std::fs::remove_dir_all(other);
            }
        }
    }

    pub(super) fn make(name: &str, path: &Path) -> Result<()> {
        match Shape::ALL.iter().find(|shape| shape.name == name) {
            Some(shape) => {
                write(shape, path).map_err(Error::io(path))?;
                remove_older(path);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[cfg(not(feature = "host"))]
mod shapes {
    //! An NPU runtime has no built-in models.

    use std::path::{Path, PathBuf};

    use crate::base::error::Result;

    /// None.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        std::iter::empty()
    }

    /// None.
    pub fn built_in_path(_: &str, _: &Path) -> Option<PathBuf> {
        None
    }

    #[expect(clippy::unnecessary_wraps, reason = "it can fail with the host runtime")]
    pub(super) fn make(_: &str, _: &Path) -> Result<()> {
        Ok(())
    }
}

use shapes::make;
pub use shapes::{built_in_names, built_in_path};
