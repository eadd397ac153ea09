//! The two formats of a suite's file.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Number, Value};

use super::check::checks;
use super::fault::Checked;
use super::starts::OurStarts;
use super::suite::{Prompt, Suite};
use super::values::{
    MOST_ID_BYTES, MOST_SUITE_NAME_BYTES, OurSampling, check_id, checked_text, id_and_name, limit, sampling,
    tokens,
};
use crate::base::json::{Object, given};
use crate::inference::{CacheStart, Input, Sampling};

/// Keys of the old format.
pub(super) const OLD_KEYS: [&str; 2] = ["performance_tests", "quality_tests"];

/// Our own format.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OurFile {
    #[serde(rename = "$schema", default, deserialize_with = "given")]
    _schema: Option<String>,
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(rename = "description", default, deserialize_with = "given")]
    _description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    max_new_tokens: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    ignore_eos: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    sampling: Option<Object<OurSampling>>,
    #[serde(default, deserialize_with = "given")]
    tests: Option<Vec<Object<OurPrompt>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurPrompt {
    #[serde(default, deserialize_with = "given")]
    id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    prompt: Option<String>,
    #[serde(default, deserialize_with = "given")]
    token_ids: Option<Vec<Number>>,
    #[serde(default, deserialize_with = "given")]
    max_new_tokens: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    sampling: Option<Object<OurSampling>>,
    #[serde(default, deserialize_with = "given")]
    checks: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "given")]
    cache_starts: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    prefix: Option<String>,
    #[serde(default, deserialize_with = "given")]
    prefix_tokens: Option<Number>,
}

impl OurFile {
    pub(super) fn suite(self) -> Checked<Suite> {
        let tests = self.tests.ok_or(
            "the document: neither `tests` nor, in the old shape, `performance_tests` or `quality_tests`: \
             add `tests`, an array of prompts",
        )?;
        let name = self
            .name
            .ok_or("the document: no `name`: add one, it is part of each benchmark's identifier")?;
        check_id(&name, MOST_SUITE_NAME_BYTES, "/name")?;
        let limit = limit(self.max_new_tokens.as_ref(), "/max_new_tokens")?;
        let sampling = sampling(self.sampling, "/sampling")?.unwrap_or(Sampling::GREEDY);
        let mut prompts = Vec::with_capacity(tests.len());
        for (index, Object(test)) in tests.into_iter().enumerate() {
            let place = format!("/tests/{index}");
            for mut prompt in test.prompts(&place, sampling)? {
                prompt.max_new_tokens = prompt.max_new_tokens.or(limit);
                prompts.push((place.clone(), prompt));
            }
        }
        let prompts = check_prompts(prompts, "/tests")?;
        Ok(Suite {
            name,
            sha256: String::new(),
            ignore_eos: self.ignore_eos.unwrap_or(true),
            sweep: false,
            prompts,
        })
    }
}

impl OurPrompt {
    /// One prompt for each start of the KV cache.
    fn prompts(self, place: &str, of_suite: Sampling) -> Checked<Vec<Prompt>> {
        let (id, name) = id_and_name(self.id, self.name, place)?;
        let input = match (self.prompt, self.token_ids) {
            (Some(text), None) => Input::Text(checked_text(text, place)?),
            (None, Some(ids)) => Input::Tokens(tokens(&ids, &format!("{place}/token_ids"))?),
            (Some(_), Some(_)) => {
                return Err(format!(
                    "{place}: both `prompt` and `token_ids`: keep one of them"
                ));
            }
            (None, None) => {
                return Err(format!(
                    "{place}: neither `prompt` nor `token_ids`: give one of them"
                ));
            }
        };
        let starts = OurStarts {
            cache_starts: self.cache_starts,
            prefix: self.prefix,
            prefix_tokens: self.prefix_tokens,
        };
        let starts = starts.starts(&input, place)?;
        let cold = Prompt {
            id,
            name,
            input,
            max_new_tokens: limit(self.max_new_tokens.as_ref(), &format!("{place}/max_new_tokens"))?,
            sampling: sampling(self.sampling, &format!("{place}/sampling"))?.unwrap_or(of_suite),
            depth: 0,
            cache_start: CacheStart::Cold,
            checks: checks(self.checks.unwrap_or_default(), &format!("{place}/checks"))?,
        };
        starts
            .into_iter()
            .map(|start| started(&cold, start, place))
            .collect()
    }
}

/// The prompt with another start, which is part of its id and name.
fn started(cold: &Prompt, cache_start: CacheStart, place: &str) -> Checked<Prompt> {
    if cache_start.is_cold() {
        return Ok(cold.clone());
    }
    let start = cache_start.name();
    let id = format!("{}-{start}", cold.id);
    check_id(&id, MOST_ID_BYTES, &format!("{place}/id"))?;
    Ok(Prompt {
        id,
        name: format!("{}, {}", cold.name, start.replace('_', " ")),
        cache_start,
        ..cold.clone()
    })
}

/// The format of the suite before this one. It is read unchanged; unknown keys are ignored.
#[derive(Deserialize)]
pub(super) struct OldFile {
    #[serde(default, deserialize_with = "given")]
    performance_tests: Option<Object<OldSection>>,
    #[serde(default, deserialize_with = "given")]
    quality_tests: Option<Object<OldSection>>,
}

#[derive(Deserialize)]
struct OldSection {
    tests: Vec<Object<OldPrompt>>,
}

#[derive(Deserialize)]
struct OldPrompt {
    #[serde(default, deserialize_with = "given")]
    id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    prompt: Option<String>,
    /// In this format `null` has always meant no limit; the same holds below.
    #[serde(default)]
    max_tokens: Option<Number>,
    #[serde(default)]
    temperature: Option<Number>,
}

impl OldFile {
    /// The wanted suite. Both are checked, so that a file is valid or faulty regardless of which one is run.
    pub(super) fn suite(self, wanted: &str) -> Checked<Suite> {
        let performance = self
            .performance_tests
            .map(|Object(section)| section.suite("performance", true))
            .transpose()?;
        let quality = self
            .quality_tests
            .map(|Object(section)| section.suite("quality", false))
            .transpose()?;
        let suite = if wanted == "quality" {
            quality.or(performance)
        } else {
            performance.or(quality)
        };
        suite.ok_or_else(|| "the document: no tests: add `performance_tests` or `quality_tests`".into())
    }
}

impl OldSection {
    pub(super) fn suite(self, name: &str, ignore_eos: bool) -> Checked<Suite> {
        let place = format!("/{name}_tests/tests");
        let prompts = self
            .tests
            .into_iter()
            .enumerate()
            .map(|(index, Object(test))| {
                let place = format!("{place}/{index}");
                test.prompt(&place).map(|prompt| (place, prompt))
            })
            .collect::<Checked<Vec<_>>>()?;
        let prompts = check_prompts(prompts, &place)?;
        Ok(Suite {
            name: name.into(),
            sha256: String::new(),
            ignore_eos,
            sweep: false,
            prompts,
        })
    }
}

impl OldPrompt {
    fn prompt(self, place: &str) -> Checked<Prompt> {
        let (id, name) = id_and_name(self.id, self.name, place)?;
        let text = self
            .prompt
            .ok_or_else(|| format!("{place}: no `prompt`: add one, the text that the model reads"))?;
        // Chat APIs, and so old files, use 0 to ask for the likeliest token.
        let temperature = self.temperature.filter(|number| number.as_f64() != Some(0.0));
        let asked = temperature.map(|temperature| {
            Object(OurSampling {
                temperature: Some(temperature),
                ..OurSampling::default()
            })
        });
        Ok(Prompt {
            id,
            name,
            input: Input::Text(checked_text(text, place)?),
            max_new_tokens: limit(self.max_tokens.as_ref(), &format!("{place}/max_tokens"))?,
            sampling: sampling(asked, place)?.unwrap_or(Sampling::GREEDY),
            depth: 0,
            cache_start: CacheStart::Cold,
            checks: Vec::new(),
        })
    }
}

/// Checks that there are prompts and that their ids are unique. Each prompt comes with the place of its test.
fn check_prompts(prompts: Vec<(String, Prompt)>, place: &str) -> Checked<Vec<Prompt>> {
    if prompts.is_empty() {
        return Err(format!("{place}: no tests: a suite needs at least one prompt"));
    }
    let mut seen = HashMap::new();
    for (place, prompt) in &prompts {
        if let Some(first) = seen.insert(prompt.id.as_str(), place) {
            return Err(format!(
                "{place}/id: {:?} is already the id at {first}/id: change one of them",
                prompt.id
            ));
        }
    }
    Ok(prompts.into_iter().map(|(_, prompt)| prompt).collect())
}

/// Refuses our keys in the old format, where they would silently have no effect.
pub(super) fn refuse_mixed(document: &Value) -> Checked<()> {
    let refuse = |value: &Value, place: &str, keys: &[&str]| match keys
        .iter()
        .find(|key| value.get(key).is_some())
    {
        None => Ok(()),
        Some(key) => Err(format!(
            "{place}/{key}: two shapes in one file: `performance_tests` and `quality_tests` make it the old one, and \
             `{key}` does not belong to it; remove it, or write a file with only `name` and `tests`"
        )),
    };
    refuse(
        document,
        "",
        &["tests", "max_new_tokens", "ignore_eos", "sampling"],
    )?;
    for section_key in OLD_KEYS {
        let section = &document[section_key];
        let place = format!("/{section_key}");
        refuse(section, &place, &["max_new_tokens", "ignore_eos", "sampling"])?;
        for (index, test) in section["tests"].as_array().into_iter().flatten().enumerate() {
            let place = format!("{place}/tests/{index}");
            refuse(
                test,
                &place,
                &[
                    "token_ids",
                    "max_new_tokens",
                    "sampling",
                    "checks",
                    "cache_starts",
                    "prefix",
                    "prefix_tokens",
                ],
            )?;
        }
    }
    Ok(())
}
