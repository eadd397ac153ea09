//! The checks of a prompt's answers as data. A suite's file and a run record are read by the same code.
//! [`checks`](crate::analysis::checks) applies them.

use jsonschema::{PatternOptions, Validator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};

use super::fault::{Checked, pointer, segment};
use super::values::whole;
use crate::base::json::{clip, given};
use crate::base::suggest;

/// One check of an answer. `docs/prompts.md` explains each kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "check", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// The length of the answer. At least one bound is given.
    Words {
        /// Fewest words; absent: any.
        #[serde(skip_serializing_if = "Option::is_none")]
        min: Option<u32>,
        /// Most words; absent: any.
        #[serde(skip_serializing_if = "Option::is_none")]
        max: Option<u32>,
    },
    /// A JSON document that matches a schema.
    Json {
        /// A self-contained JSON Schema, draft 2020-12.
        schema: Value,
        /// Whether the document must be the whole answer, without a code fence.
        bare: bool,
    },
    /// A Python function, in code that parses.
    PythonFunction {
        /// Its name.
        name: String,
        /// Its parameters in order, with the stars of `*args` and `**kwargs`; absent: any.
        #[serde(skip_serializing_if = "Option::is_none")]
        parameters: Option<Vec<String>>,
        /// Whether it must begin with a docstring.
        docstring: bool,
    },
    /// Markdown headings in this order.
    Sections {
        /// At least one heading: `## Goals` for a level and a text, `Goals` for the text at any level.
        headings: Vec<String>,
        /// Whether other headings are forbidden.
        only: bool,
    },
    /// Texts in the answer, case-sensitive. At least one field is given.
    Text {
        /// Its beginning; absent: any.
        #[serde(skip_serializing_if = "Option::is_none")]
        starts_with: Option<String>,
        /// Its end; absent: any.
        #[serde(skip_serializing_if = "Option::is_none")]
        ends_with: Option<String>,
        /// Anywhere in it, in any order.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        contains: Vec<String>,
    },
    /// No sequence of words that repeats again and again.
    NoRepetition {},
}

/// Each kind with its keys.
const KINDS: [(&str, &[&str]); 6] = [
    ("words", &["min", "max"]),
    ("json", &["schema", "bare"]),
    ("python_function", &["name", "parameters", "docstring"]),
    ("sections", &["headings", "only"]),
    ("text", &["starts_with", "ends_with", "contains"]),
    ("no_repetition", &[]),
];
/// Most words that a check can ask for: as many as new tokens.
const MOST_WORDS: i64 = 1_000_000;

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        check(Value::deserialize(deserializer)?, "")
            .map_err(|reason| D::Error::custom(reason.trim_start_matches(": ")))
    }
}

/// The checks of one test, all distinct.
pub(super) fn checks(documents: Vec<Value>, place: &str) -> Checked<Vec<Check>> {
    let mut checks = Vec::with_capacity(documents.len());
    for (index, document) in documents.into_iter().enumerate() {
        let check = check(document, &format!("{place}/{index}"))?;
        if let Some(first) = checks.iter().position(|other| *other == check) {
            return Err(format!(
                "{place}/{index}: the same check as {place}/{first}: remove one"
            ));
        }
        checks.push(check);
    }
    Ok(checks)
}

fn check(document: Value, place: &str) -> Checked<Check> {
    let Value::Object(mut object) = document else {
        return Err(format!(
            "{place}: {} is not a check: write an object with the key `check`",
            clip(&document.to_string())
        ));
    };
    let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    let kind = match object.remove("check") {
        Some(Value::String(kind)) => kind,
        Some(other) => {
            let other = clip(&other.to_string());
            return Err(format!(
                "{place}/check: {other} is not a string: name a kind of check"
            ));
        }
        None => {
            return Err(format!(
                "{place}: no `check`, the kind{}",
                suggest::among("", &known)
            ));
        }
    };
    let Some((_, keys)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return Err(format!(
            "{place}/check: no such kind of check{}",
            suggest::among(&kind, &known)
        ));
    };
    if let Some(key) = object.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(format!(
            "{place}/{}: not a key of the check `{kind}`{}",
            segment(key),
            suggest::among(key, keys)
        ));
    }
    match kind.as_str() {
        "words" => keys_of::<WordsKeys>(object, place)?.check(place),
        "json" => keys_of::<JsonKeys>(object, place)?.check(place),
        "python_function" => keys_of::<PythonKeys>(object, place)?.check(place),
        "sections" => keys_of::<SectionsKeys>(object, place)?.check(place),
        "text" => keys_of::<TextKeys>(object, place)?.check(place),
        _ => Ok(Check::NoRepetition {}),
    }
}

/// A check's parameters as a struct.
fn keys_of<T: DeserializeOwned>(object: Map<String, Value>, place: &str) -> Checked<T> {
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let why = clip(&error.inner().to_string());
        format!("{place}{}: {why}", pointer(error.path()))
    })
}

#[derive(Deserialize)]
struct WordsKeys {
    #[serde(default, deserialize_with = "given")]
    min: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    max: Option<Number>,
}

impl WordsKeys {
    fn check(self, place: &str) -> Checked<Check> {
        let words = |number: Option<Number>, key: &str| {
            number
                .map(|number| whole::<u32>(&number, 0..=MOST_WORDS, &format!("{place}/{key}")))
                .transpose()
        };
        let (min, max) = (words(self.min, "min")?, words(self.max, "max")?);
        match (min, max) {
            (None, None) => Err(format!(
                "{place}: neither `min` nor `max`: give one of them or both"
            )),
            (Some(min), Some(max)) if min > max => Err(format!(
                "{place}/min: {min} is more than `max`, {max}, so no answer passes: swap them"
            )),
            _ => Ok(Check::Words { min, max }),
        }
    }
}

#[derive(Deserialize)]
struct JsonKeys {
    #[serde(default, deserialize_with = "given")]
    schema: Option<Value>,
    #[serde(default)]
    bare: bool,
}

impl JsonKeys {
    fn check(self, place: &str) -> Checked<Check> {
        let schema = self
            .schema
            .ok_or_else(|| format!("{place}: no `schema`: give a JSON Schema; {{}} takes any JSON"))?;
        let place = format!("{place}/schema");
        if !schema.is_object() {
            return Err(format!("{place}: not an object: give a JSON Schema"));
        }
        if let Err(error) = compiled(&schema) {
            let why = clip(&error.to_string());
            let within = clip(error.instance_path().as_str());
            return Err(format!(
                "{place}{within}: not a self-contained JSON Schema of draft 2020-12: {why}"
            ));
        }
        let bare = self.bare;
        Ok(Check::Json { schema, bare })
    }
}

/// Compiles a schema. It reads no other document, and its patterns run in linear time.
///
/// # Errors
/// The fault of the schema, with its place.
pub(crate) fn compiled(schema: &Value) -> Result<Validator, jsonschema::ValidationError<'static>> {
    jsonschema::draft202012::options()
        .offline()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
}

#[derive(Deserialize)]
struct PythonKeys {
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    parameters: Option<Vec<String>>,
    #[serde(default)]
    docstring: bool,
}

impl PythonKeys {
    fn check(self, place: &str) -> Checked<Check> {
        let name = self
            .name
            .ok_or_else(|| format!("{place}: no `name`: give the function's name"))?;
        let refuse = |place: &str, name: &str| {
            Err(format!(
                "{place}: {:?} is not a Python name: use letters a to z, digits and _",
                clip(name)
            ))
        };
        if !is_identifier(&name) {
            return refuse(&format!("{place}/name"), &name);
        }
        for (index, parameter) in self.parameters.iter().flatten().enumerate() {
            let bare = parameter.strip_prefix('*').unwrap_or(parameter);
            if !is_identifier(bare.strip_prefix('*').unwrap_or(bare)) {
                return refuse(&format!("{place}/parameters/{index}"), parameter);
            }
        }
        Ok(Check::PythonFunction {
            name,
            parameters: self.parameters,
            docstring: self.docstring,
        })
    }
}

fn is_identifier(name: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(of_name) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[derive(Deserialize)]
struct SectionsKeys {
    #[serde(default)]
    headings: Vec<String>,
    #[serde(default)]
    only: bool,
}

impl SectionsKeys {
    fn check(self, place: &str) -> Checked<Check> {
        let place = format!("{place}/headings");
        if self.headings.is_empty() {
            return Err(format!(
                "{place}: no headings: list at least one, as \"## Goals\""
            ));
        }
        let faulty =
            |heading: &String| heading_parts(heading).1.is_empty() || heading.contains(char::is_control);
        if let Some(index) = self.headings.iter().position(faulty) {
            return Err(format!(
                "{place}/{index}: {:?} has no text or has control characters: write one line, as \"## Goals\"",
                clip(&self.headings[index])
            ));
        }
        Ok(Check::Sections {
            headings: self.headings,
            only: self.only,
        })
    }
}

/// Level and text of a heading in a check; without `#` signs before a space any level matches.
pub(crate) fn heading_parts(heading: &str) -> (Option<usize>, &str) {
    let heading = heading.trim();
    let rest = heading.trim_start_matches('#');
    let level = heading.len() - rest.len();
    if (1..=6).contains(&level) && (rest.is_empty() || rest.starts_with(' ')) {
        (Some(level), rest.trim())
    } else {
        (None, heading)
    }
}

#[derive(Deserialize)]
struct TextKeys {
    #[serde(default, deserialize_with = "given")]
    starts_with: Option<String>,
    #[serde(default, deserialize_with = "given")]
    ends_with: Option<String>,
    #[serde(default, deserialize_with = "given")]
    contains: Option<Vec<String>>,
}

impl TextKeys {
    fn check(self, place: &str) -> Checked<Check> {
        if self.starts_with.is_none() && self.ends_with.is_none() && self.contains.is_none() {
            return Err(format!(
                "{place}: none of `starts_with`, `ends_with` and `contains`: give at least one of them"
            ));
        }
        let empty = |place: String| {
            Err(format!(
                "{place}: empty text, which every answer contains: write some"
            ))
        };
        let outer = [
            (
                "starts_with",
                self.starts_with.as_deref().map(|text| (text, text.trim_start())),
            ),
            (
                "ends_with",
                self.ends_with.as_deref().map(|text| (text, text.trim_end())),
            ),
        ];
        for (key, text) in outer {
            match text {
                Some(("", _)) => return empty(format!("{place}/{key}")),
                Some((text, trimmed)) if text != trimmed => {
                    return Err(format!(
                        "{place}/{key}: outer white space of an answer is trimmed first, so no answer passes: remove it"
                    ));
                }
                _ => {}
            }
        }
        let contains = match self.contains {
            Some(texts) if texts.is_empty() => return empty(format!("{place}/contains")),
            texts => texts.unwrap_or_default(),
        };
        if let Some(index) = contains.iter().position(String::is_empty) {
            return empty(format!("{place}/contains/{index}"));
        }
        Ok(Check::Text {
            starts_with: self.starts_with,
            ends_with: self.ends_with,
            contains,
        })
    }
}
