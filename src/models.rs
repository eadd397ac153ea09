//! Finds the models to run.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::ffi::library::IS_HOST;

/// Where models are looked for unless the user says otherwise, relative to the folder of the bench's package.
pub const DEFAULT_DIR: &str = "models";

/// Longest name of a model in an identifier, bytes: criterion cuts names of folders off at 64, and two that were cut
/// to the same would be compared with each other.
const MAX_NAME: usize = 64;

/// Name of the built-in model. It says what the weights are wherever an identifier is shown.
const TINY: &str = "tiny-random-weights";

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

/// The models in `place`, a model file or a folder that holds some, restricted to the one called `only`.
///
/// In a folder a model is a file, or a folder of its own that holds one file and whose name is the model's. The
/// models are in order of their names.
///
/// # Errors
/// [`Error::Model`] when there is no such place, file or name, [`Error::Io`] when it cannot be read.
pub fn find(place: &Path, only: Option<&str>) -> Result<Vec<Model>> {
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
    match only {
        None => Ok(models),
        Some(only) => pick(models, only, place),
    }
}

fn pick(models: Vec<Model>, only: &str, place: &Path) -> Result<Vec<Model>> {
    let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
    let found: Vec<Model> = models.into_iter().filter(|model| model.name == only).collect();
    if found.is_empty() {
        let there = if names.is_empty() {
            "there is none".into()
        } else {
            format!("there are {}", names.join(", "))
        };
        return Err(Error::Model(format!(
            "no model called {only:?} in {}: {there}",
            place.display()
        )));
    }
    Ok(found)
}

fn from_file(path: &Path) -> Result<Model> {
    if !is_model(path) {
        let other = if IS_HOST {
            "an NPU runtime (--no-default-features with an SDK)"
        } else {
            "the host runtime"
        };
        return Err(Error::Model(format!(
            "{}: this program runs .{} files; other models are for {other}",
            path.display(),
            extension()
        )));
    }
    let name = name_of(path.file_stem());
    let random_weights = name == TINY;
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
    path.is_file() && path.extension().is_some_and(|ending| ending == extension())
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

/// Size in bytes and SHA-256, hexadecimal, of a model's file.
///
/// # Errors
/// [`Error::Io`].
pub fn measure(path: &Path) -> Result<(u64, String)> {
    let digest = || -> io::Result<(u64, String)> {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
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

/// The built-in model for machines that have none: pseudo-random weights, made once and kept in `cache`.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
#[cfg(feature = "host")]
pub fn built_in_tiny(cache: &Path) -> Result<Model> {
    let path = cache.join(format!("{TINY}.gguf"));
    if !path.is_file() {
        std::fs::create_dir_all(cache).map_err(Error::io(cache))?;
        rkllmrt::builtin::write(&rkllmrt::builtin::Shape::TINY, &path).map_err(Error::io(&path))?;
    }
    from_file(&path)
}

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
        let names: Vec<_> = find(dir.path(), None)
            .expect("found")
            .into_iter()
            .map(|model| model.name)
            .collect();
        assert_eq!(names, ["alpha-model", "zeta"]);
        assert_eq!(find(dir.path(), Some("zeta")).expect("found").len(), 1);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        touch(&dir.path().join(file("zeta")));
        let error = find(dir.path(), Some("eta")).expect_err("unknown").to_string();
        assert!(error.contains("\"eta\"") && error.contains("zeta"), "{error}");
        let error = find(&dir.path().join("nowhere"), None)
            .expect_err("missing")
            .to_string();
        assert!(error.contains("nowhere"), "{error}");
        touch(&dir.path().join("model.bin"));
        let error = find(&dir.path().join("model.bin"), None)
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
            find(dir.path(), None)
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
}
