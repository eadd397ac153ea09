//! Names of models in identifiers, and so in the folder names of criterion. Names are unique: criterion would compare
//! two models with one name, and the record of both would be unreadable.

use std::ffi::OsStr;
use std::path::Path;

use super::model::Model;
use crate::base::error::{Error, Result};
use crate::base::foreign::{self, Shown as _};
use crate::base::paths::{folder_name, is_plain};

/// Longest name of a model in an identifier, bytes. With a suite's name it fits the 64 bytes of a folder name of
/// criterion.
pub(super) const MAX_NAME: usize = 48;

/// A name that is valid in an identifier; see [`folder_name`].
pub(super) fn name_of(raw: &OsStr) -> String {
    folder_name(raw, MAX_NAME, is_plain)
}

/// A model of a server, by the name that the server uses. If that is a path or has an owner, the last part becomes the
/// name.
pub fn of_server(name: &str) -> Model {
    let last = Path::new(name).file_name().unwrap_or(name.as_ref());
    let is_file = [".gguf", ".rkllm"].iter().any(|ending| name.ends_with(ending));
    let stem = Path::new(last).file_stem().filter(|_| is_file);
    Model {
        name: name_of(stem.unwrap_or(last)),
        path: name.into(),
        random_weights: false,
    }
}

/// The models that a server lists. If two have the same last part, both keep their full names.
pub fn on_server(listed: &[String]) -> Vec<Model> {
    let models: Vec<Model> = listed.iter().map(|name| of_server(name)).collect();
    let is_alone = |model: &Model| {
        let same = |other: &&Model| other.name == model.name && other.path != model.path;
        !models.iter().any(|other| same(&other))
    };
    models
        .iter()
        .map(|model| Model {
            name: if is_alone(model) {
                model.name.clone()
            } else {
                name_of(model.path.as_os_str())
            },
            ..model.clone()
        })
        .collect()
}

/// The model called `name` among those that a server lists. A model that it does not list is requested by that name.
///
/// # Errors
/// [`Error::Model`] if several have that name.
pub fn named_on_server(name: &str, listed: &[String]) -> Result<Model> {
    let models = on_server(listed);
    let is_it = |model: &&Model| model.name == name || model.path == Path::new(name);
    if let Some(model) = models.iter().find(is_it) {
        return Ok(model.clone());
    }
    let short: Vec<&str> = listed
        .iter()
        .filter(|id| of_server(id).name == name)
        .map(String::as_str)
        .collect();
    match short.as_slice() {
        [] => Ok(of_server(name)),
        several => Err(Error::Model(format!(
            "{} is the name of several models of the server: name one of {}",
            name.shown(),
            foreign::list(several)
        ))),
    }
}

/// The models without duplicates.
///
/// # Errors
/// [`Error::Model`] if two different ones have one name.
pub(crate) fn distinct(models: Vec<Model>) -> Result<Vec<Model>> {
    let mut kept: Vec<Model> = Vec::new();
    for model in models {
        match kept.iter().find(|known| known.name == model.name) {
            Some(known) if known.path == model.path => {}
            Some(known) => {
                return Err(Error::Model(format!(
                    "{} and {} would both be called {}, and criterion would compare one with the other: rename one, or \
                     select one of them with --models",
                    known.path.shown(),
                    model.path.shown(),
                    model.name
                )));
            }
            None => kept.push(model),
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    fn named(raw: &[u8]) -> String {
        name_of(OsStr::from_bytes(raw))
    }

    #[test]
    fn what_is_fit_stays_as_it_is() {
        for name in [
            "SmolLM2-135M-Instruct.Q4_1",
            "a",
            "a-b",
            "x..",
            &"x".repeat(MAX_NAME),
        ] {
            assert_eq!(named(name.as_bytes()), name);
        }
    }

    /// Names that once collided: by the replacement of invalid characters, by length, by bytes that are not UTF-8.
    #[test]
    fn names_that_lost_something_stay_apart() {
        let long = |tail: &str| format!("{}{tail}", "x".repeat(80)).into_bytes();
        let raw: [&[u8]; 15] = [
            b"a b",
            b"a-b",
            b"a--b",
            b"a  b",
            b"a+b",
            "a\u{e4}b".as_bytes(),
            "\u{6a21}\u{578b}".as_bytes(),
            "\u{6a21}\u{7248}".as_bytes(),
            b"a\xffb",
            b"a\xfeb",
            b".",
            b"..",
            b"",
            &long("a"),
            &long("b"),
        ];
        let names: Vec<String> = raw.iter().map(|raw| named(raw)).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name} twice in {names:?}");
            assert!((1..=MAX_NAME).contains(&name.len()), "{name}");
            assert!(name.chars().any(|c| c.is_ascii_alphanumeric()), "{name}");
        }
        assert_eq!(names[1], "a-b", "what lost nothing");
        // SHA-256 of "a b", by another program: c8687a08aa5d6ed2...
        assert_eq!(names[0], "a-b-c8687a08aa5d");
        assert!(names[6].starts_with("name-"), "{}", names[6]);
    }

    #[test]
    fn models_of_a_server_with_one_name_are_named_in_full() {
        let listed = ["one/m", "two/m", "three/n", "/models/n2.gguf"].map(str::to_owned);
        let names: Vec<String> = on_server(&listed).into_iter().map(|model| model.name).collect();
        assert!(names[0].starts_with("one-m-"), "{names:?}");
        assert!(names[1].starts_with("two-m-"), "{names:?}");
        assert_eq!(names[2..], ["n", "n2"]);
        let path = |name: &str| named_on_server(name, &listed).expect("one").path;
        assert_eq!(path("two/m"), Path::new("two/m"));
        assert_eq!(path(&names[0]), Path::new("one/m"));
        assert_eq!(path("n"), Path::new("three/n"));
        assert_eq!(path("other"), Path::new("other"), "asked for as it is");
        let error = named_on_server("m", &listed).expect_err("two").to_string();
        assert!(error.contains("one/m, two/m"), "{error}");
        assert_eq!(
            on_server(&["m".into(), "m".into()])[1].name,
            "m",
            "one model, listed twice"
        );
    }

    #[test]
    fn twins_are_refused_and_doubles_are_one() {
        let model = |name: &str, path: &str| Model {
            name: name.into(),
            path: path.into(),
            random_weights: false,
        };
        let doubles = vec![model("a", "a.gguf"), model("b", "b.gguf"), model("a", "a.gguf")];
        assert_eq!(distinct(doubles).expect("two").len(), 2);
        let error = distinct(vec![model("a", "a.gguf"), model("a", "a/x.gguf")]).expect_err("twins");
        let text = error.to_string();
        assert!(text.contains("a.gguf") && text.contains("a/x.gguf"), "{text}");
    }
}
