//! Finds the models to run.

use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::ffi::library::IS_HOST;
use crate::{board, paths, suggest};

/// Where models are looked for unless the user says otherwise, relative to the folder of the bench's package.
pub const DEFAULT_DIR: &str = "models";

/// Longest name of a model in an identifier, bytes: with a suite's name behind it, it fits the 64 bytes of a name of a
/// folder of criterion's.
const MAX_NAME: usize = 48;

/// What `--model` begins with for a model that comes with the host runtime.
pub const BUILT_IN: &str = "builtin:";

/// What the names of built-in models end in, wherever an identifier is shown.
const RANDOM_WEIGHTS: &str = "-random-weights";

/// A model to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name, part of each identifier.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether its weights are pseudo-random.
    pub random_weights: bool,
}

/// Ending of the files that the linked runtime loads.
pub fn extension() -> &'static str {
    if IS_HOST { "gguf" } else { "rkllm" }
}

/// The models that a run is for. `place` is a model file or a folder that holds some, [`DEFAULT_DIR`] below `base`
/// when absent; `wanted` are names among them or built-in ones (`builtin:tiny`), all in `place` when empty.
///
/// With nothing said and no model at hand, that is the tiny built-in one, where the runtime can run it.
///
/// # Errors
/// [`Error::Model`] when a place, file or name is not there, [`Error::Io`] when something cannot be read or made.
pub fn select(place: Option<&Path>, base: &Path, wanted: &[String]) -> Result<Vec<Model>> {
    let (built_in_names, names): (Vec<_>, Vec<_>) = wanted
        .iter()
        .map(String::as_str)
        .partition(|name| name.starts_with(BUILT_IN));
    let mut models = Vec::new();
    for name in &built_in_names {
        models.push(built_in(&name[BUILT_IN.len()..], &paths::cache_dir())?);
    }
    let folder = base.join(place.unwrap_or(DEFAULT_DIR.as_ref()));
    if let Some(first) = names.first() {
        if place.is_none() && !folder.exists() {
            return Err(unknown(first, &[], &folder));
        }
        models.extend(find(&folder, &names)?);
    } else if built_in_names.is_empty() {
        let nothing_said = place.is_none();
        if !nothing_said || folder.exists() {
            models = find(&folder, &[])?;
        }
        if models.is_empty() {
            models.push(if nothing_said && IS_HOST {
                built_in("tiny", &paths::cache_dir())?
            } else {
                return Err(no_model_in(&folder));
            });
        }
    }
    Ok(models)
}

fn no_model_in(folder: &Path) -> Error {
    let foreign = foreign_in(folder);
    let also = if foreign.is_empty() {
        String::new()
    } else {
        format!("; {} {}", foreign.join(", "), for_other_runtime(foreign.len()))
    };
    Error::Model(format!(
        "no .{} model in {}{also}: put one there, or name its file or folder with --models",
        extension(),
        folder.display(),
    ))
}

fn for_other_runtime(count: usize) -> String {
    let (is, other) = (
        if count == 1 { "is" } else { "are" },
        if IS_HOST {
            "an NPU runtime (build with --no-default-features and RKLLM_SDK)"
        } else {
            "the host runtime (build without --no-default-features and RKLLM_SDK)"
        },
    );
    format!("{is} for {other}")
}

/// Model files in `folder` that the linked runtime does not load.
fn foreign_in(folder: &Path) -> Vec<String> {
    let other = if IS_HOST { "rkllm" } else { "gguf" };
    let files = entries(folder).unwrap_or_default().into_iter();
    files
        .filter(|path| path.extension().is_some_and(|ending| ending == other))
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

/// The models in `place`, a model file or a folder that holds some, restricted to those called `wanted`, if any are.
///
/// In a folder a model is a file, or a folder of its own that holds one file and whose name is the model's. The
/// models are in order of their names.
///
/// # Errors
/// [`Error::Model`] when there is no such place, file or name, [`Error::Io`] when it cannot be read.
pub fn find(place: &Path, wanted: &[&str]) -> Result<Vec<Model>> {
    let mut models = if place.is_dir() {
        in_folder(place)?
    } else if place.exists() {
        vec![from_file(place)?]
    } else {
        return Err(Error::Model(format!(
            "{}: no such file or folder (--models)",
            place.display()
        )));
    };
    models.sort_by(|a, b| a.name.cmp(&b.name));
    for name in wanted {
        if !models.iter().any(|model| model.name == *name) {
            return Err(unknown(name, &models, place));
        }
    }
    if !wanted.is_empty() {
        models.retain(|model| wanted.contains(&model.name.as_str()));
    }
    Ok(models)
}

fn unknown(name: &str, models: &[Model], place: &Path) -> Error {
    let mut names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
    names.extend(built_in_names().map(|name| format!("{BUILT_IN}{name}")));
    Error::Model(format!(
        "no model called {name:?} in {}{}",
        place.display(),
        suggest::among(name, &names)
    ))
}

fn from_file(path: &Path) -> Result<Model> {
    if !is_model(path) {
        let ending = path.extension().unwrap_or_default();
        let other = if ending == "rkllm" || ending == "gguf" {
            format!("; .{} models {}", ending.display(), for_other_runtime(2))
        } else {
            String::new()
        };
        return Err(Error::Model(format!(
            "{}: the runtime of this program loads .{} files{other}",
            path.display(),
            extension()
        )));
    }
    let name = name_of(path.file_stem());
    let random_weights = name.ends_with(RANDOM_WEIGHTS);
    Ok(Model {
        name,
        path: path.to_owned(),
        random_weights,
    })
}

fn in_folder(folder: &Path) -> Result<Vec<Model>> {
    let mut models = Vec::new();
    for path in entries(folder)? {
        if is_model(&path) {
            models.push(from_file(&path)?);
        } else if path.is_dir() {
            let inside: Vec<PathBuf> = entries(&path)?
                .into_iter()
                .filter(|path| is_model(path))
                .collect();
            match inside.as_slice() {
                [] => {}
                [one] => models.push(Model {
                    name: name_of(path.file_name()),
                    ..from_file(one)?
                }),
                many => {
                    return Err(Error::Model(format!(
                        "{} holds {} .{} files, and its name can be that of one model only: give each its own folder",
                        path.display(),
                        many.len(),
                        extension()
                    )));
                }
            }
        }
    }
    Ok(models)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(Error::io(folder))
}

fn is_model(path: &Path) -> bool {
    // A link that leads nowhere is to be told of when it is read, not skipped.
    !path.is_dir() && path.extension().is_some_and(|ending| ending == extension())
}

/// A name that is fit for an identifier: letters, digits, `.`, `_` and `-`; a long one keeps its head and gets a
/// digest of the whole for a tail.
fn name_of(raw: Option<&std::ffi::OsStr>) -> String {
    let raw = raw.unwrap_or_default().to_string_lossy();
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = raw.chars().map(fit).collect();
    if name.len() <= MAX_NAME {
        return name;
    }
    let digest = Sha256::digest(name.as_bytes());
    let tail = hex::encode(&digest[..4]);
    format!("{}-{tail}", &name[..MAX_NAME - tail.len() - 1])
}

/// A model that a server runs, by the server's name for it. Of one that is a path, or has an owner before it, the last part is
/// the name.
pub fn of_server(name: &str) -> Model {
    let last = Path::new(name).file_name().unwrap_or(name.as_ref());
    let is_file = [".gguf", ".rkllm"].iter().any(|ending| name.ends_with(ending));
    let stem = Path::new(last).file_stem().filter(|_| is_file);
    Model {
        name: name_of(stem.or(Some(last))),
        path: name.into(),
        random_weights: false,
    }
}

/// The model that is called `name` among those that a server lists by its own names; one that it does not list is asked for
/// by that name.
pub fn named_on_server(name: &str, listed: &[String]) -> Model {
    let mut models = listed.iter().map(|id| of_server(id));
    models
        .find(|model| model.name == name)
        .unwrap_or_else(|| of_server(name))
}

/// Size in bytes and SHA-256, hexadecimal, of a model's file.
///
/// # Errors
/// [`Error::Io`].
pub fn measure(path: &Path) -> Result<(u64, String)> {
    let digest = || -> io::Result<(u64, String)> {
        let mut reader = BufReader::with_capacity(1 << 20, board::files::open(path)?);
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            bytes += count as u64;
        }
        Ok((bytes, hex::encode(hash.finalize())))
    };
    digest().map_err(Error::io(path))
}

/// The built-in model `name`: pseudo-random weights in the shape of a real model, made once and kept in `cache`.
///
/// # Errors
/// [`Error::Model`] when there is none of that name, [`Error::Io`] when it cannot be written.
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

/// Removes all built-in models, of whatever version of rkllm-bench, from `cache` and gives their size in bytes.
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

/// What rkllm-bench has put into `cache`: a folder `r<number>` for each revision of the built-in models, and files of
/// the time before there were revisions. Nothing else there is touched.
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

    use crate::error::{Error, Result};

    /// Their names, smallest first.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        Shape::ALL.iter().map(|shape| shape.name)
    }

    /// Where one is kept in `cache`, whether it is there or not; absent when there is none of that name.
    pub fn built_in_path(name: &str, cache: &Path) -> Option<PathBuf> {
        let file = format!("{name}{}.gguf", super::RANDOM_WEIGHTS);
        built_in_names()
            .any(|known| known == name)
            .then(|| cache.join(format!("r{REVISION}")).join(file))
    }

    /// Built-in models of other revisions are of no use any more; that they stay is no error.
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

    use crate::error::Result;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, b"x").expect("written");
    }

    fn file(name: &str) -> String {
        format!("{name}.{}", extension())
    }

    #[test]
    fn files_and_folders_are_models_in_order_of_their_names() {
        let dir = tempfile::tempdir().expect("a directory");
        touch(&dir.path().join(file("zeta")));
        touch(&dir.path().join("alpha model").join(file("weights")));
        touch(&dir.path().join("readme.txt"));
        std::fs::create_dir(dir.path().join("empty")).expect("made");
        let names: Vec<_> = find(dir.path(), &[])
            .expect("found")
            .into_iter()
            .map(|model| model.name)
            .collect();
        assert_eq!(names, ["alpha-model", "zeta"]);
        assert_eq!(find(dir.path(), &["zeta"]).expect("found").len(), 1);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        touch(&dir.path().join(file("zeta")));
        let error = find(dir.path(), &["eta"]).expect_err("unknown").to_string();
        assert!(
            error.contains("\"eta\"") && error.contains("did you mean zeta"),
            "{error}"
        );
        let error = find(&dir.path().join("nowhere"), &[])
            .expect_err("missing")
            .to_string();
        assert!(error.contains("nowhere"), "{error}");
        touch(&dir.path().join("model.bin"));
        let error = find(&dir.path().join("model.bin"), &[])
            .expect_err("foreign")
            .to_string();
        assert!(error.contains(extension()), "{error}");
    }

    #[test]
    fn two_models_in_one_folder_are_ambiguous() {
        let dir = tempfile::tempdir().expect("a directory");
        touch(&dir.path().join("both").join(file("a")));
        touch(&dir.path().join("both").join(file("b")));
        assert!(
            find(dir.path(), &[])
                .expect_err("ambiguous")
                .to_string()
                .contains("both")
        );
    }

    #[test]
    fn long_names_stay_different() {
        let name = |tail: &str| name_of(Some(format!("{}{tail}", "x".repeat(80)).as_ref()));
        assert_eq!(name("a").len(), MAX_NAME);
        assert_ne!(name("a"), name("b"));
    }

    #[test]
    fn size_and_digest() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("abc");
        std::fs::write(&path, b"abc").expect("written");
        let (bytes, sha256) = measure(&path).expect("read");
        assert_eq!(bytes, 3);
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_pipe_in_a_models_place_is_refused_unopened() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(file("pipe"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("made");
        let text = measure(&path).expect_err("nothing to read").to_string();
        assert!(
            text.contains(&*path.to_string_lossy()) && text.contains("pipe"),
            "{text}"
        );
    }
}
