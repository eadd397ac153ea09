//! Finds the models to run.

mod built_in;
mod files;
mod folder;
mod model;
mod names;

use std::path::Path;

use self::folder::{entries, for_other_runtime, from_file, in_folder};
use self::names::name_of;
use crate::base::IS_HOST;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::paths;
use crate::base::suggest;

pub use built_in::{built_in, built_in_names, built_in_path, remove_built_in};
pub(crate) use files::Identity;
pub use files::{files_of, measure};
pub use folder::{Found, Skipped, extension};
pub use model::{BUILT_IN, Model};
pub(crate) use names::distinct;
pub use names::{named_on_server, of_server, on_server};

/// Default folder for models, relative to the folder of the bench's package.
pub const DEFAULT_DIR: &str = "models";

/// The models to run. `place` is a model file or a folder with models, by default [`DEFAULT_DIR`] below `base`.
/// `wanted` are names among them or built-in ones (`builtin:tiny`); empty means all in `place`.
///
/// Without any selection and without a model, that is the tiny built-in model, if the runtime can run it.
///
/// # Errors
/// [`Error::Model`] if a place, file or name does not exist, cannot be run or has the name of another one,
/// [`Error::Io`] if something cannot be read or written.
pub fn select(place: Option<&Path>, base: &Path, wanted: &[String]) -> Result<Vec<Model>> {
    select_with_skipped(place, base, wanted).map(|found| found.models)
}

/// The same, with the skipped files.
///
/// # Errors
/// As for [`select`].
pub fn select_with_skipped(place: Option<&Path>, base: &Path, wanted: &[String]) -> Result<Found> {
    let (built_in_names, names): (Vec<_>, Vec<_>) = wanted
        .iter()
        .map(String::as_str)
        .partition(|name| name.starts_with(BUILT_IN));
    let mut found = Found::default();
    for name in &built_in_names {
        found
            .models
            .push(built_in(&name[BUILT_IN.len()..], &paths::cache_dir())?);
    }
    let folder = base.join(place.unwrap_or(DEFAULT_DIR.as_ref()));
    if let Some(first) = names.first() {
        if place.is_none() && !folder.exists() {
            return Err(unknown(first, &Found::default(), &folder));
        }
        found.models.extend(find(&folder, &names)?);
    } else if built_in_names.is_empty() {
        let nothing_said = place.is_none();
        if !nothing_said || folder.exists() {
            found = whole(&folder)?;
        }
        if found.models.is_empty() {
            found.models.push(if nothing_said && IS_HOST {
                built_in("tiny", &paths::cache_dir())?
            } else {
                return Err(no_model_in(&folder, &found.skipped));
            });
        }
    }
    found.models = distinct(found.models)?;
    Ok(found)
}

fn no_model_in(folder: &Path, skipped: &[Skipped]) -> Error {
    let foreign = foreign_in(folder);
    let mut also: Vec<String> = skipped.iter().map(ToString::to_string).collect();
    if !foreign.is_empty() {
        also.push(format!(
            "{} {}",
            foreign.join(", "),
            for_other_runtime(foreign.len())
        ));
    }
    let also: Vec<String> = also.into_iter().map(|reason| format!("; {reason}")).collect();
    let also = also.concat();
    Error::Model(format!(
        "no .{} model in {}{also}: put one there, or name its file or folder with --models",
        extension(),
        folder.shown(),
    ))
}

/// Model files in `folder` that the linked runtime cannot load.
fn foreign_in(folder: &Path) -> Vec<String> {
    let other = if IS_HOST { "rkllm" } else { "gguf" };
    let files = entries(folder).unwrap_or_default().into_iter();
    files
        .filter(|path| path.extension().is_some_and(|ending| ending == other))
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

/// The models in `place`, a model file or a folder with models, restricted to those called `wanted`, if any.
///
/// In a folder, a model is a file, the shards of one, or a folder of its own that holds one and gives it its name. The
/// models are sorted by name.
///
/// # Errors
/// [`Error::Model`] if a place, file or name does not exist or cannot be run, [`Error::Io`] if it cannot be read.
pub fn find(place: &Path, wanted: &[&str]) -> Result<Vec<Model>> {
    if wanted.is_empty() {
        return whole(place).map(|found| found.models);
    }
    let mut found = look_into(place)?;
    for name in wanted {
        if !found.models.iter().any(|model| model.name == *name) {
            return Err(unknown(name, &found, place));
        }
    }
    found.models.retain(|model| wanted.contains(&model.name.as_str()));
    Ok(found.models)
}

/// All models in `place`, none of which may be incomplete.
fn whole(place: &Path) -> Result<Found> {
    let found = look_into(place)?;
    match found.skipped.iter().find(|skipped| skipped.is_fault) {
        Some(fault) => Err(Error::Model(fault.to_string())),
        None => Ok(found),
    }
}

/// The models and skipped files in `place`, a model file or a folder with models.
///
/// # Errors
/// [`Error::Model`] if the place does not exist or is a file that cannot be run, [`Error::Io`] if it cannot be read.
pub fn look_into(place: &Path) -> Result<Found> {
    let mut found = if place.is_dir() {
        in_folder(place)?
    } else if place.exists() {
        Found {
            models: vec![from_file(place)?],
            skipped: Vec::new(),
        }
    } else {
        return Err(Error::Model(format!(
            "{}: no such file or folder (--models)",
            place.shown()
        )));
    };
    found.models.sort_by(|a, b| a.name.cmp(&b.name));
    found.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn unknown(name: &str, found: &Found, place: &Path) -> Error {
    let is_named = |skipped: &&Skipped| {
        let stem = skipped.path.file_stem().unwrap_or_default();
        stem == name || name_of(stem) == name
    };
    if let Some(skipped) = found.skipped.iter().find(is_named) {
        return Error::Model(skipped.to_string());
    }
    let mut names: Vec<String> = found.models.iter().map(|model| model.name.clone()).collect();
    names.extend(built_in_names().map(|name| format!("{BUILT_IN}{name}")));
    Error::Model(format!(
        "no model called {name:?} in {}{}",
        place.shown(),
        suggest::among(name, &names)
    ))
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
        touch(&dir.path().join("alpha").join(file("weights")));
        touch(&dir.path().join("readme.txt"));
        std::fs::create_dir(dir.path().join("empty")).expect("made");
        let names: Vec<_> = find(dir.path(), &[])
            .expect("found")
            .into_iter()
            .map(|model| model.name)
            .collect();
        assert_eq!(names, ["alpha", "zeta"]);
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

    #[test]
    fn two_ways_to_one_name_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        touch(&dir.path().join(file("m")));
        touch(&dir.path().join("m").join(file("weights")));
        let error = select(Some(dir.path()), Path::new(""), &[])
            .expect_err("twins")
            .to_string();
        assert!(
            error.contains(&file("m")) && error.contains(&file("weights")) && error.contains("called m"),
            "{error}"
        );
    }

    #[test]
    fn a_path_that_is_no_utf_8_is_refused_with_the_path() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;

        let dir = tempfile::tempdir().expect("a directory");
        let name = [b"m\xff.", extension().as_bytes()].concat();
        let path = dir.path().join(OsStr::from_bytes(&name));
        touch(&path);
        for place in [dir.path(), &path] {
            let error = find(place, &[]).expect_err("no UTF-8").to_string();
            assert!(error.contains("m\u{fffd}.") && error.contains("UTF-8"), "{error}");
        }
    }
}
