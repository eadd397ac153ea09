//! Checks the identifiers, texts and numbers of a suite's file.

use crate::base::number;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::Number;

use super::fault::Checked;
use crate::base::foreign::is_active;
use crate::base::json::{Object, clip, given};
use crate::inference::Sampling;

/// Range of new tokens. Decode is measured between tokens, so a single one has none.
const NEW_TOKENS: RangeInclusive<i64> = 2..=1_000_000;
/// `top_k` if a file sets `temperature` or `top_p`: with one candidate these have no effect.
const TOP_K_WITH_TEMPERATURE: i32 = 40;
/// Most bytes of one part of an identifier: criterion truncates folder names at 64.
pub(super) const MOST_ID_BYTES: usize = 64;
/// The same for the name of a suite, which shares its folder name with the phase, at most `/prefill`.
pub(super) const MOST_SUITE_NAME_BYTES: usize = MOST_ID_BYTES - "/prefill".len();
/// Characters that separate the parts of an identifier or that criterion replaces in folder names.
const NOT_IN_IDS: &str = "/?\"\\*<>:|^";

/// The object `sampling` of a suite or a prompt.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OurSampling {
    #[serde(default, deserialize_with = "given")]
    pub(super) top_k: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    pub(super) top_p: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    pub(super) temperature: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    pub(super) repeat_penalty: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    pub(super) frequency_penalty: Option<Number>,
    #[serde(default, deserialize_with = "given")]
    pub(super) presence_penalty: Option<Number>,
}

pub(super) fn id_and_name(
    id: Option<String>,
    name: Option<String>,
    place: &str,
) -> Checked<(String, String)> {
    let id = id.ok_or_else(|| {
        format!("{place}: no `id`: add one, short and unique, it is part of each benchmark's identifier")
    })?;
    check_id(&id, MOST_ID_BYTES, &format!("{place}/id"))?;
    let name = name.unwrap_or_else(|| id.clone());
    if name.trim().is_empty() || name.contains(is_active) {
        return Err(format!(
            "{place}/name: {:?} is empty or has control characters: give it one line of text, or leave it out for \
             the id",
            clip(&name)
        ));
    }
    Ok((id, name))
}

/// Checks that `id` can be part of an identifier, and of the folder name that criterion derives from it.
pub(super) fn check_id(id: &str, most_bytes: usize, place: &str) -> Checked<()> {
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
        .find(|character| is_active(*character) || NOT_IN_IDS.contains(*character))
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

pub(super) fn checked_text(text: String, place: &str) -> Checked<String> {
    if text.trim().is_empty() {
        return Err(format!("{place}/prompt: empty: write the text for the model"));
    }
    if text.contains('\0') {
        return Err(format!(
            "{place}/prompt: has a NUL character, which ends a text in C: remove it"
        ));
    }
    Ok(text)
}

pub(super) fn tokens(ids: &[Number], place: &str) -> Checked<Vec<i32>> {
    if ids.is_empty() {
        return Err(format!("{place}: empty: give the prompt at least one token"));
    }
    ids.iter()
        .enumerate()
        .map(|(index, id)| whole(id, 0..=i64::from(i32::MAX), &format!("{place}/{index}")))
        .collect()
}

pub(super) fn limit(number: Option<&Number>, place: &str) -> Checked<Option<u32>> {
    number.map(|number| whole(number, NEW_TOKENS, place)).transpose()
}

pub(super) fn sampling(object: Option<Object<OurSampling>>, place: &str) -> Checked<Option<Sampling>> {
    let Some(Object(given)) = object else {
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

/// A whole number in `range`. As in JSON Schema, 64.0 counts as one.
pub(super) fn whole<T: TryFrom<i64>>(number: &Number, range: RangeInclusive<i64>, place: &str) -> Checked<T> {
    let of_float = || {
        let value = number.as_f64().filter(|value| value.fract() == 0.0)?;
        // Beyond i64 the cast saturates, which no range here holds.
        i64::try_from(number::whole(value.abs())?)
            .ok()
            .map(|whole| if value < 0.0 { -whole } else { whole })
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

/// A range of numbers: a description and a test.
type RealRange = (&'static str, fn(f64) -> bool);
const ABOVE_0: RealRange = ("above 0", |value| value > 0.0);
const SHARE: RealRange = ("above 0, at most 1", |value| value > 0.0 && value <= 1.0);
const PENALTY: RealRange = ("from -2 to 2", |value| (-2.0..=2.0).contains(&value));

/// A number in `range`, also as the `f32` of the runtime: there a value may have become 0 or infinite.
fn real(number: &Number, (range, fits): RealRange, place: &str) -> Checked<f32> {
    number
        .as_f64()
        .filter(|value| fits(*value))
        .and_then(number::single)
        .filter(|value| fits(f64::from(*value)))
        .ok_or_else(|| format!("{place}: {number} is out of range: give a number {range}"))
}
