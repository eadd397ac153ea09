//! A suite's file: how it is read, its two shapes, and what is refused.
//!
//! The text becomes a [`Value`] first, which tells the shapes apart and finds keys given twice, then the structs of
//! its shape, then prompts. Each fault is a sentence that begins with its place: a JSON pointer (RFC 6901), or line
//! and column where the text is no JSON at all.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};
use serde_path_to_error::Segment;
use sha2::{Digest, Sha256};

use super::{Prompt, Suite};
use crate::inference::{Input, Sampling};

/// Size beyond which a file is refused unread: a wrong file, not a suite.
const MOST_BYTES: u64 = 16 << 20;
/// New tokens that can be asked for. Decode is measured between tokens, so one alone has none.
const NEW_TOKENS: RangeInclusive<i64> = 2..=1_000_000;
/// Candidates where a file gives `temperature` or `top_p`, which act on nothing with one candidate.
const TOP_K_WITH_TEMPERATURE: i32 = 40;
/// Bytes of an identifier's part: criterion cuts folder names off at 64.
const MOST_ID_BYTES: usize = 64;
/// The same for a suite's name, which shares its folder's with the phase, `/prefill` at the longest.
const MOST_SUITE_NAME_BYTES: usize = MOST_ID_BYTES - "/prefill".len();
/// Characters that separate an identifier's parts or that criterion replaces in folder names.
const NOT_IN_IDS: &str = "/?\"\\*<>:|^";
/// Keys that tell the old shape.
const OLD_KEYS: [&str; 2] = ["performance_tests", "quality_tests"];

/// A result, or what is wrong, where, and how to mend it.
type Checked<T> = Result<T, String>;

/// The bytes of the file at `path`.
pub(super) fn read(path: &Path) -> Checked<Vec<u8>> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Before it is opened: to open a pipe waits for a writer.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err("is a folder: name a JSON file in it".into());
    }
    if !metadata.is_file() {
        return Err("is a device, pipe or socket: name a regular file".into());
    }
    let too_large = |bytes: u64| {
        format!("holds {bytes} bytes or more, a suite at most {MOST_BYTES} (16 MiB): is it the right file?")
    };
    if metadata.len() > MOST_BYTES {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // The size above is a promise that a growing file does not keep.
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(too_large(MOST_BYTES + 1));
    }
    Ok(bytes)
}

/// The suite in a file's `bytes`; of the two in a file of the old shape the `wanted` one.
pub(super) fn parse(bytes: &[u8], wanted: &str) -> Checked<Suite> {
    let Unique(document) = unique(text_of(bytes)?)?;
    let is_old = OLD_KEYS.iter().any(|key| document.get(key).is_some());
    let mut suite = if is_old {
        refuse_mixed(&document)?;
        typed::<OldFile>(document)?.suite(wanted)?
    } else {
        typed::<OurFile>(document)?.suite()?
    };
    suite.sha256 = hex::encode(Sha256::digest(bytes));
    Ok(suite)
}

fn text_of(bytes: &[u8]) -> Checked<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = bytes[..offset].split(|byte| *byte == b'\n').count();
        format!("not UTF-8 at byte {offset}, line {line}: save the file as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        return Err(
            "byte 0, line 1: a byte order mark, which JSON forbids: save the file as UTF-8 without BOM"
                .into(),
        );
    }
    if text.trim().is_empty() {
        return Err("line 1 column 1: the file is empty: `docs/prompts.md` shows what to write".into());
    }
    Ok(text)
}

/// A document in which no object has a key twice; serde alone would take the last one.
fn unique(text: &str) -> Checked<Unique> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let document = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (place, error) = (pointer(error.path()), error.into_inner());
        let why = clip(&error.to_string());
        if error.is_data() {
            format!("{place}: {why}")
        } else {
            format!("not JSON: {why}; mend it there or a little before")
        }
    })?;
    deserializer
        .end()
        .map_err(|error| format!("not JSON: {error}; a file holds one object, remove what follows it"))?;
    Ok(document)
}

/// The document as the structs of its shape.
fn typed<T: DeserializeOwned>(document: Value) -> Checked<T> {
    serde_path_to_error::deserialize::<_, Object<T>>(document)
        .map(|Object(file)| file)
        .map_err(|error| {
            let why = clip(&error.inner().to_string());
            format!("{}: {why}; docs/prompts.md lists the keys", pointer(error.path()))
        })
}

/// A path as a JSON pointer. That of the whole document is the empty string, which no reader would see.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push_str(&clip(&key.replace('~', "~0").replace('/', "~1")));
            }
            Segment::Unknown => pointer.push('?'),
        }
    }
    if pointer.is_empty() {
        "the document".into()
    } else {
        pointer
    }
}

/// Shortens what quotes the file, in the middle, since serde says at the end what it expected; and writes control
/// characters so that a terminal does not act on them.
fn clip(text: &str) -> String {
    const HEAD: usize = 100;
    const TAIL: usize = 200;
    let shown = |text: &str| {
        text.chars()
            .flat_map(|character| {
                let escaped = character.is_control().then(|| character.escape_default());
                let plain = escaped.is_none().then_some(character);
                escaped.into_iter().flatten().chain(plain)
            })
            .collect::<String>()
    };
    let count = text.chars().count();
    if count <= HEAD + TAIL {
        return shown(text);
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: String = text.chars().skip(count - TAIL).collect();
    format!("{} ... {}", shown(&head), shown(&tail))
}

/// Our own shape.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurFile {
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
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OurSampling {
    #[serde(default, deserialize_with = "given")]
    top_k: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    top_p: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    temperature: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    repeat_penalty: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    frequency_penalty: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    presence_penalty: Option<Number>,
}

impl OurFile {
    fn suite(self) -> Checked<Suite> {
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
            let mut prompt = test.prompt(&format!("/tests/{index}"), sampling)?;
            prompt.max_new_tokens = prompt.max_new_tokens.or(limit);
            prompts.push(prompt);
        }
        check_prompts(&prompts, "/tests")?;
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
    fn prompt(self, place: &str, of_suite: Sampling) -> Checked<Prompt> {
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
        Ok(Prompt {
            id,
            name,
            input,
            max_new_tokens: limit(self.max_new_tokens.as_ref(), &format!("{place}/max_new_tokens"))?,
            sampling: sampling(self.sampling, &format!("{place}/sampling"))?.unwrap_or(of_suite),
            depth: 0,
        })
    }
}

/// The shape of the suite before this one. It goes on being read as it is: keys that nobody here knows mean nothing.
#[derive(Deserialize)]
struct OldFile {
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
    /// `null` has always meant no limit of its own here, so it still does; likewise below.
    #[serde(default)]
    max_tokens: Option<Number>,
    #[serde(default)]
    temperature: Option<Number>,
}

impl OldFile {
    /// The wanted suite. Both are checked, so that a file is good or faulty whichever of them is run.
    fn suite(self, wanted: &str) -> Checked<Suite> {
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
    fn suite(self, name: &str, ignore_eos: bool) -> Checked<Suite> {
        let place = format!("/{name}_tests/tests");
        let prompts = self
            .tests
            .into_iter()
            .enumerate()
            .map(|(index, Object(test))| test.prompt(&format!("{place}/{index}")))
            .collect::<Checked<Vec<_>>>()?;
        check_prompts(&prompts, &place)?;
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
        // 0 is how chat APIs, and so old files, ask for the likeliest token.
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
        })
    }
}

/// Refuses our keys in the old shape: what they ask for would silently not happen.
fn refuse_mixed(document: &Value) -> Checked<()> {
    let refuse = |value: &Value, place: &str, keys: &[&str]| match keys
        .iter()
        .find(|key| value.get(key).is_some())
    {
        None => Ok(()),
        Some(key) => Err(format!(
            "{place}/{key}: two shapes in one file: `performance_tests` and `quality_tests` make it the old one, and \
             `{key}` is not of that; remove it, or write a file with `name` and `tests` alone"
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
            refuse(test, &place, &["token_ids", "max_new_tokens", "sampling"])?;
        }
    }
    Ok(())
}

/// There are prompts, and no two have one id.
fn check_prompts(prompts: &[Prompt], place: &str) -> Checked<()> {
    if prompts.is_empty() {
        return Err(format!("{place}: no tests: a suite needs at least one prompt"));
    }
    let mut seen = HashMap::new();
    for (index, prompt) in prompts.iter().enumerate() {
        if let Some(first) = seen.insert(prompt.id.as_str(), index) {
            return Err(format!(
                "{place}/{index}/id: {:?} is already the id at {place}/{first}/id: change one of them",
                prompt.id
            ));
        }
    }
    Ok(())
}

fn id_and_name(id: Option<String>, name: Option<String>, place: &str) -> Checked<(String, String)> {
    let id = id.ok_or_else(|| {
        format!("{place}: no `id`: add one, short and unique, it is part of each benchmark's identifier")
    })?;
    check_id(&id, MOST_ID_BYTES, &format!("{place}/id"))?;
    let name = name.unwrap_or_else(|| id.clone());
    if name.trim().is_empty() || name.contains(char::is_control) {
        return Err(format!(
            "{place}/name: {:?} is empty or has control characters: give it one line of text, or leave it out for \
             the id",
            clip(&name)
        ));
    }
    Ok((id, name))
}

/// Whether `id` can be part of an identifier, and of the folder's name that criterion makes of it.
fn check_id(id: &str, most_bytes: usize, place: &str) -> Checked<()> {
    let refuse = |why: String| {
        Err(format!(
            "{place}: {:?} {why}: use letters, digits, - and _",
            clip(id)
        ))
    };
    if id.trim().is_empty() {
        return refuse("is empty".into());
    }
    if id.len() > most_bytes {
        return refuse(format!("has {} bytes, of at most {most_bytes}", id.len()));
    }
    if let Some(bad) = id
        .chars()
        .find(|character| character.is_control() || NOT_IN_IDS.contains(*character))
    {
        return refuse(format!("has {bad:?}, which cannot be in an identifier"));
    }
    if id.trim() != id {
        return refuse("begins or ends with a space".into());
    }
    if matches!(id, "." | "..") {
        return refuse("names a folder".into());
    }
    Ok(())
}

fn checked_text(text: String, place: &str) -> Checked<String> {
    if text.trim().is_empty() {
        return Err(format!(
            "{place}/prompt: empty: write the text that the model is to read"
        ));
    }
    if text.contains('\0') {
        return Err(format!(
            "{place}/prompt: has a NUL character, which C cannot pass on: remove it"
        ));
    }
    Ok(text)
}

fn tokens(ids: &[Number], place: &str) -> Checked<Vec<i32>> {
    if ids.is_empty() {
        return Err(format!("{place}: empty: give the prompt at least one token"));
    }
    ids.iter()
        .enumerate()
        .map(|(index, id)| whole(id, 0..=i64::from(i32::MAX), &format!("{place}/{index}")))
        .collect()
}

fn limit(number: Option<&Number>, place: &str) -> Checked<Option<u32>> {
    number.map(|number| whole(number, NEW_TOKENS, place)).transpose()
}

fn sampling(given: Option<Object<OurSampling>>, place: &str) -> Checked<Option<Sampling>> {
    let Some(Object(given)) = given else {
        return Ok(None);
    };
    let mut sampling = Sampling::GREEDY;
    if let Some(top_k) = &given.top_k {
        sampling.top_k = whole(top_k, 1..=i64::from(i32::MAX), &format!("{place}/top_k"))?;
    } else if given.temperature.is_some() || given.top_p.is_some() {
        sampling.top_k = TOP_K_WITH_TEMPERATURE;
    }
    let s = &mut sampling;
    for (target, number, key, range) in [
        (&mut s.top_p, given.top_p, "top_p", SHARE),
        (&mut s.temperature, given.temperature, "temperature", ABOVE_0),
        (
            &mut s.repeat_penalty,
            given.repeat_penalty,
            "repeat_penalty",
            ABOVE_0,
        ),
        (
            &mut s.frequency_penalty,
            given.frequency_penalty,
            "frequency_penalty",
            PENALTY,
        ),
        (
            &mut s.presence_penalty,
            given.presence_penalty,
            "presence_penalty",
            PENALTY,
        ),
    ] {
        if let Some(number) = number {
            *target = real(&number, range, &format!("{place}/{key}"))?;
        }
    }
    Ok(Some(sampling))
}

/// A whole number in `range`. As in JSON Schema, 64.0 is one.
fn whole<T: TryFrom<i64>>(number: &Number, range: RangeInclusive<i64>, place: &str) -> Checked<T> {
    let of_float = || {
        let value = number.as_f64().filter(|value| value.fract() == 0.0)?;
        // Beyond i64 the cast saturates, which no range here holds.
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction")]
        Some(value as i64)
    };
    number
        .as_i64()
        .or_else(of_float)
        .filter(|value| range.contains(value))
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| {
            let (least, most) = range.clone().into_inner();
            format!("{place}: {number} is out of range: give a whole number from {least} to {most}")
        })
}

/// A range of numbers, in words and as a test.
type RealRange = (&'static str, fn(f64) -> bool);
const ABOVE_0: RealRange = ("above 0", |value| value > 0.0);
const SHARE: RealRange = ("above 0, at most 1", |value| value > 0.0 && value <= 1.0);
const PENALTY: RealRange = ("from -2 to 2", |value| (-2.0..=2.0).contains(&value));

/// A number in `range`, also as the f32 that the runtime takes: what is too small or too large for that has become 0
/// or infinite.
fn real(number: &Number, (range, fits): RealRange, place: &str) -> Checked<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked again after it"
    )]
    let narrow = |value: f64| value as f32;
    number
        .as_f64()
        .filter(|value| fits(*value))
        .map(narrow)
        .filter(|value| value.is_finite() && fits(f64::from(*value)))
        .ok_or_else(|| format!("{place}: {number} is out of range: give a number {range}"))
}

/// The value of a key that is there: `null` is a wrong type, not an absent key.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A struct read from an object alone; derived code takes an array of its fields too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(OfMap(PhantomData)).map(Object)
    }
}

/// Any JSON, each object with distinct keys.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfAny).map(Unique)
    }
}

struct OfAny;

impl<'de> Visitor<'de> for OfAny {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key {:?} is given twice: remove one",
                    clip(&key)
                )));
            }
            let Unique(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}
