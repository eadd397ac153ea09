//! Prompt suites: JSON files with the prompts to run. `docs/prompts.md` describes the format for authors,
//! `docs/prompts.schema.json` for editors.

pub(crate) mod check;
mod fault;
mod file;
mod shapes;
mod starts;
mod suite;
mod table;
mod values;

use std::path::Path;

use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::suggest;

pub use check::Check;
pub use suite::{Prompt, Suite};
pub use table::Sweep;

/// Suites that come with the crate, by name. Their files are in `prompts/`.
const BUILT_IN: [(&str, &str); 4] = [
    ("quick", include_str!("../../../prompts/quick.json")),
    ("performance", include_str!("../../../prompts/performance.json")),
    ("quality", include_str!("../../../prompts/quality.json")),
    ("cache", include_str!("../../../prompts/cache.json")),
];

/// Prefix of the name of a suite that a server ran, so that identifiers show it.
pub const OF_SERVER: &str = "server-";

impl Suite {
    /// The names of the suites that come with rkllm-bench. Each has a bench target of that name.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).chain(["table"])
    }

    /// The suite `name`: one that comes with the crate, else a JSON file, relative to `base`.
    ///
    /// # Errors
    /// [`Error::Suite`] with the fault, its place, and how to fix it.
    pub fn find(name: &str, base: &Path) -> Result<Self> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return file::parse(text.as_bytes(), name).map_err(refuse(format!("built-in suite {name}")));
        }
        if name == "table" {
            return Ok(Self::table(&Sweep::default()));
        }
        Self::from_file(&base.join(name), name)
    }

    /// Makes every prompt ask for `max_new_tokens`, whatever the file says.
    pub fn set_max_new_tokens(&mut self, max_new_tokens: u32) {
        for prompt in &mut self.prompts {
            prompt.max_new_tokens = Some(max_new_tokens);
        }
    }

    /// The suite in the JSON file at `path`. A file in the old format can hold two suites. `"quality"` as `wanted`
    /// selects its `quality_tests`, anything else its `performance_tests`. If it holds only one, that one is used.
    ///
    /// # Errors
    /// [`Error::Suite`] with the fault, its place, and how to fix it.
    pub fn from_file(path: &Path, wanted: &str) -> Result<Self> {
        if matches!(path.try_exists(), Ok(false)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(refuse(path.shown().to_string())(missing(&name)));
        }
        file::read(path)
            .and_then(|bytes| file::parse(&bytes, wanted))
            .map_err(refuse(path.shown().to_string()))
    }
}

/// An [`Error::Suite`] about `origin`, for `map_err`.
fn refuse(origin: String) -> impl FnOnce(String) -> Error {
    move |reason| Error::Suite { origin, reason }
}

/// The message for a `name` that is neither built in nor a file.
fn missing(name: &str) -> String {
    let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
    let known: Vec<&str> = Suite::names().collect();
    format!(
        "no such file, and no suite that comes with rkllm-bench{}",
        suggest::among(&stem, &known)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Input, Sampling};

    fn built_in(name: &str) -> Suite {
        Suite::find(name, Path::new("")).expect(name)
    }

    #[test]
    fn the_built_in_suites_have_the_prompts_they_promise() {
        let rows = [
            ("quick", 3, true),
            ("performance", 5, true),
            ("quality", 5, false),
            ("cache", 6, true),
        ];
        assert_eq!(rows.map(|(name, ..)| name), BUILT_IN.map(|(name, _)| name));
        for (name, prompts, ignore_eos) in rows {
            let suite = built_in(name);
            assert_eq!(suite.name, name);
            assert_eq!(
                (suite.prompts.len(), suite.ignore_eos),
                (prompts, ignore_eos),
                "{name}"
            );
            assert!(
                suite
                    .prompts
                    .iter()
                    .all(|prompt| prompt.sampling == Sampling::GREEDY && prompt.depth == 0),
                "{name}"
            );
        }
    }

    #[test]
    fn the_quality_suite_asks_for_what_can_be_checked() {
        let expected = [
            ("story", 700, "between 300 and 500 words"),
            ("plan", 700, "## "),
            ("code", 512, "`longest_common_prefix`"),
            ("json", 400, "\"ingredients\""),
            ("essay", 1600, "between 800 and 1200 words"),
        ];
        let suite = built_in("quality");
        assert_eq!(suite.prompts.len(), expected.len());
        for (prompt, (id, limit, asked)) in suite.prompts.iter().zip(expected) {
            assert_eq!((prompt.id.as_str(), prompt.max_new_tokens), (id, Some(limit)));
            assert!(
                matches!(&prompt.input, Input::Text(text) if text.contains(asked)),
                "{id}: {:?}",
                prompt.input
            );
        }
    }

    #[test]
    fn the_quality_suite_checks_what_it_asks() {
        let asked = built_in("quality").prompts.into_iter().map(|prompt| {
            let Input::Text(text) = prompt.input else {
                panic!("{}: no text", prompt.id)
            };
            (text, prompt.checks)
        });
        for (text, checks) in asked {
            assert!(checks.contains(&Check::NoRepetition {}), "{text}");
            let mentions = |part: &str| assert!(text.contains(part), "{part} is not in: {text}");
            for check in checks {
                match check {
                    Check::Words { min: Some(min), max } => {
                        mentions(&format!("between {min} and {}", max.expect("both")));
                    }
                    Check::Words { min: None, max } => {
                        mentions(&format!("under {} words", max.expect("one") + 1));
                    }
                    Check::Sections { headings, .. } => mentions(&headings.join("\n")),
                    Check::PythonFunction { name, parameters, .. } => {
                        mentions(&name);
                        parameters
                            .iter()
                            .flatten()
                            .for_each(|parameter| mentions(parameter));
                    }
                    Check::Text { contains, .. } => contains.iter().for_each(|part| mentions(part)),
                    Check::Json { schema, .. } => schema["required"]
                        .as_array()
                        .expect("keys")
                        .iter()
                        .for_each(|key| mentions(&key.to_string())),
                    Check::NoRepetition {} => {}
                }
            }
        }
    }

    #[test]
    fn the_sha_256_is_that_of_the_file() {
        use sha2::{Digest as _, Sha256};
        for (name, text) in BUILT_IN {
            assert_eq!(built_in(name).sha256, hex::encode(Sha256::digest(text)));
        }
    }

    #[test]
    fn a_missing_file_names_the_closest_built_in_suite() {
        let rows = [
            ("performence", Some("performance")),
            ("qick", Some("quick")),
            ("prompts/quality.jsn", Some("quality")),
            ("mine.json", None),
        ];
        for (name, closest) in rows {
            let error = Suite::find(name, Path::new("/nowhere"))
                .expect_err(name)
                .to_string();
            assert!(
                error.starts_with(&format!("/nowhere/{name}: no such file")),
                "{error}"
            );
            assert!(
                error.ends_with("quick, performance, quality, cache, table"),
                "{error}"
            );
            let meant = error.split_once("did you mean ").map(|(_, rest)| rest);
            match closest {
                Some(closest) => assert!(
                    meant.is_some_and(|rest| rest.starts_with(&format!("{closest}?"))),
                    "{error}"
                ),
                None => assert_eq!(meant, None, "{error}"),
            }
        }
    }
}
