//! Prompt suites: JSON files with the texts that are run.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Suites that come with the crate, by name. Their files are in `prompts/`.
const BUILT_IN: [(&str, &str); 2] = [
    ("quick", include_str!("../prompts/quick.json")),
    ("performance", include_str!("../prompts/performance.json")),
];

/// A suite, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name, part of each identifier.
    pub name: String,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
    /// New tokens asked of each prompt unless the user says otherwise.
    pub max_new_tokens: Option<u32>,
    /// Its prompts, in order.
    pub prompts: Vec<Prompt>,
}

/// One prompt of a suite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Prompt {
    /// Short and unique within the suite: part of each identifier.
    pub id: String,
    /// Readable name.
    pub name: String,
    /// The text that the model reads, inside its chat template.
    pub prompt: String,
}

#[derive(Deserialize)]
struct SuiteFile {
    name: String,
    #[serde(default)]
    max_new_tokens: Option<u32>,
    tests: Vec<Prompt>,
}

impl Suite {
    /// The suite `name`: one that comes with the crate, else a JSON file, relative to `base`.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Suite`] with what is wrong in the file.
    pub fn find(name: &str, base: &Path) -> Result<Self> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return Self::parse(text, &format!("built-in suite {name}"));
        }
        let path: PathBuf = base.join(name);
        if !path.is_file() {
            let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(Error::Suite {
                origin: path.display().to_string(),
                reason: format!(
                    "no such file, and the suites that come with rkllm-bench are {}",
                    known.join(", ")
                ),
            });
        }
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, origin: &str) -> Result<Self> {
        let refuse = |reason: String| Error::Suite {
            origin: origin.to_owned(),
            reason,
        };
        let file: SuiteFile = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if file.tests.is_empty() {
            return Err(refuse(
                "/tests is empty: a suite needs at least one prompt".into(),
            ));
        }
        for (index, prompt) in file.tests.iter().enumerate() {
            if prompt.id.is_empty() || prompt.prompt.trim().is_empty() {
                return Err(refuse(format!(
                    "/tests/{index}: `id` and `prompt` must not be empty"
                )));
            }
            if prompt.prompt.contains('\0') {
                return Err(refuse(format!(
                    "/tests/{index}/prompt holds a NUL character, which C cannot pass on"
                )));
            }
            if let Some(first) = file.tests[..index]
                .iter()
                .position(|earlier| earlier.id == prompt.id)
            {
                return Err(refuse(format!(
                    "/tests/{index}/id: {:?} is the id of /tests/{first} already; identifiers must differ",
                    prompt.id
                )));
            }
        }
        let sha256 = hex::encode(Sha256::digest(text.as_bytes()));
        Ok(Self {
            name: file.name,
            sha256,
            max_new_tokens: file.max_new_tokens,
            prompts: file.tests,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_suites_have_the_prompts_they_promise() {
        let count = |name| Suite::find(name, Path::new("")).map(|suite| suite.prompts.len());
        assert_eq!(count("quick").expect("quick"), 3);
        assert_eq!(count("performance").expect("performance"), 5);
    }

    #[test]
    fn faults_are_named_by_place() {
        let rows = [
            (r#"{"name": "s", "tests": []}"#, "/tests is empty"),
            (
                r#"{"name": "s", "tests": [{"id": "a", "name": "A", "prompt": " "}]}"#,
                "/tests/0",
            ),
            (
                r#"{"name": "s", "tests": [{"id": "a", "name": "A"}]}"#,
                "missing field `prompt`",
            ),
            (
                r#"{"name": "s", "tests": [{"id": "a", "name": "A", "prompt": "x"}, {"id": "a", "name": "B", "prompt": "y"}]}"#,
                "/tests/1/id",
            ),
            (
                r#"{"name": "s", "tests": [{"id": "a", "name": "A", "prompt": "x\u0000y"}]}"#,
                "NUL",
            ),
            ("not json", "line 1"),
        ];
        for (text, expected) in rows {
            let error = Suite::parse(text, "here").expect_err(text).to_string();
            assert!(error.contains(expected) && error.starts_with("here"), "{error}");
        }
    }

    #[test]
    fn an_unknown_suite_says_which_there_are() {
        let error = Suite::find("slow", Path::new("/nowhere"))
            .expect_err("unknown")
            .to_string();
        assert!(
            error.contains("quick") && error.contains("/nowhere/slow"),
            "{error}"
        );
    }
}
