//! Finds the published row for a model by its name.

use serde::Serialize;

use super::names::{KNOWN, Known, fit, key, plain_size, shortened};
use super::table::{Row, rows};
use crate::inputs::model_name::NameParts;

/// The result of looking up a model in the table.
#[derive(Debug, Clone, PartialEq)]
pub enum Match {
    /// A row of this model, as far as the name shows.
    Exact(&'static Row),
    /// A comparable row, with doubts.
    Doubtful {
        /// The row.
        row: &'static Row,
        /// The reasons for doubt; never empty.
        why: Vec<String>,
    },
    /// No row.
    None {
        /// Why not.
        why: Unmatched,
    },
}

/// Why no row belongs to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// The runtime runs on a CPU.
    HostRuntime,
    /// Neither runtime nor board names a `SoC`.
    NoSoc,
    /// A `SoC` without rows.
    UnknownSoc(String),
    /// The name has no dtype; the note of the name's parts, where there is one.
    NoDtype(Option<String>),
    /// No row of this `SoC` has a model of that name and size.
    NoSuchModel(String),
    /// The model has rows only with these other dtypes.
    NoSuchDtype(Vec<String>),
    /// The name fits these models.
    Ambiguous(Vec<String>),
}

impl std::fmt::Display for Unmatched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HostRuntime => f.write_str("the host runtime's figures are those of a CPU"),
            Self::NoSoc => f.write_str("neither the runtime nor the board names its SoC"),
            Self::UnknownSoc(soc) => write!(f, "nothing is published for {soc}"),
            Self::NoDtype(note) => {
                f.write_str("the model's name has no dtype, such as w8a8")?;
                note.iter().try_for_each(|note| write!(f, " ({note})"))
            }
            Self::NoSuchModel(name) => write!(f, "nothing is published for {name}"),
            Self::NoSuchDtype(dtypes) => {
                write!(f, "this model is published as {} only", dtypes.join(", "))
            }
            Self::Ambiguous(models) => write!(f, "the name fits {}", models.join(" and ")),
        }
    }
}

/// Finds the row for a model with these name parts on `soc`. `soc` is the platform in the runtime's version line, or a
/// board's name that contains a `SoC`.
///
/// Instruct and chat variants match exactly, since they have the same shape. These are doubts: other words in the name
/// (a fine-tune, or a model built on this one), no size, another quantisation group size, another optimisation level,
/// and a model that only shares a published model's shape. A platform in the name that differs from `soc` is a doubt
/// too; `soc` counts.
pub fn find(soc: &str, parts: &NameParts) -> Match {
    if soc.trim_start().to_ascii_uppercase().starts_with("HOST") {
        return none(Unmatched::HostRuntime);
    }
    let Some(soc) = series(soc) else {
        return none(Unmatched::UnknownSoc(shortened(soc)));
    };
    let of_soc: Vec<&'static Row> = rows().iter().filter(|row| row.soc == soc).collect();
    if of_soc.is_empty() {
        return none(Unmatched::UnknownSoc(soc));
    }
    let Some(dtype) = parts.dtype.as_deref() else {
        let note = parts.notes.iter().find(|note| note.starts_with("dtype"));
        return none(Unmatched::NoDtype(note.cloned()));
    };
    let (of_model, mut why) = match of_name(&of_soc, parts) {
        Ok(found) => found,
        Err(why) => return none(why),
    };
    let Some((row, doubt)) = of_dtype(&of_model, dtype) else {
        let dtypes = of_model.iter().map(|row| row.dtype.clone()).collect();
        return none(Unmatched::NoSuchDtype(dtypes));
    };
    why.extend(doubt);
    why.extend(doubts_of_conversion(&soc, parts));
    if why.is_empty() {
        Match::Exact(row)
    } else {
        Match::Doubtful { row, why }
    }
}

const fn none(why: Unmatched) -> Match {
    Match::None { why }
}

/// The platform in a text, as the table writes it: RK3588S is an RK3588 with fewer pins.
fn series(text: &str) -> Option<String> {
    let platform = NameParts::of(text).platform?;
    Some(match platform.as_str() {
        "RK3588S" => "RK3588".into(),
        _ => platform,
    })
}

fn doubts_of_conversion(soc: &str, parts: &NameParts) -> Vec<String> {
    let mut why = Vec::new();
    let named = parts.platform.as_deref().and_then(series);
    if let Some(named) = named.filter(|named| named != soc) {
        why.push(format!("the model's name says {named}, the machine is an {soc}"));
    }
    if let Some(level) = parts.optimization_level.filter(|level| *level != 0) {
        why.push(format!("converted at optimisation level {level}, published at 0"));
    }
    why
}

/// A model of the table that a name fits.
struct Candidate {
    model: (&'static str, &'static str),
    /// Number of matching letters: `qwen3vl` fits better than `qwen3`.
    fit: usize,
    why: Vec<String>,
}

/// The rows of the one model that the name fits best, and the doubts.
fn of_name(
    of_soc: &[&'static Row],
    parts: &NameParts,
) -> Result<(Vec<&'static Row>, Vec<String>), Unmatched> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for row in of_soc {
        let model = (row.model.as_str(), row.size.as_str());
        if !candidates.iter().any(|known| known.model == model) {
            candidates.extend(by_own_name(model, parts));
            let others = KNOWN.iter().filter(|known| known.row == model);
            candidates.extend(others.filter_map(|known| by_known_name(model, known, parts)));
        }
    }
    let best = candidates.iter().map(|found| found.fit).max();
    candidates.retain(|found| Some(found.fit) == best);
    // Two names may lead to one model; the one with fewer doubts is used.
    candidates.sort_by_key(|found| (found.model, found.why.len()));
    candidates.dedup_by_key(|found| found.model);
    if candidates.len() > 1 {
        let models = candidates
            .iter()
            .map(|found| format!("{} {}", found.model.0, found.model.1));
        return Err(Unmatched::Ambiguous(models.collect()));
    }
    let Some(Candidate { model, why, .. }) = candidates.pop() else {
        return Err(Unmatched::NoSuchModel(name_of(parts)));
    };
    let is_it = |row: &&&Row| (row.model.as_str(), row.size.as_str()) == model;
    Ok((of_soc.iter().filter(is_it).copied().collect(), why))
}

fn by_own_name(model: (&'static str, &'static str), parts: &NameParts) -> Option<Candidate> {
    let found = fit(&key(model.0), parts)?;
    let mut why: Vec<String> = found.other_words;
    match &parts.size {
        Some(size) if plain_size(size) != plain_size(model.1) => return None,
        Some(_) => {}
        // Phi-3-medium is not the Phi-3 of the table.
        None if !why.is_empty() => return None,
        None => why.push(format!("the model's name has no size, published is {}", model.1)),
    }
    Some(Candidate {
        model,
        fit: found.letters,
        why,
    })
}

fn by_known_name(model: (&'static str, &'static str), known: &Known, parts: &NameParts) -> Option<Candidate> {
    let found = fit(known.name, parts)?;
    let size = known.size.unwrap_or(model.1);
    match &parts.size {
        Some(named) if plain_size(named) != plain_size(size) => return None,
        None if known.size.is_some() => return None,
        _ => {}
    }
    let mut why = found.other_words;
    why.extend(known.doubt.map(str::to_owned));
    Some(Candidate {
        model,
        fit: found.letters,
        why,
    })
}

fn name_of(parts: &NameParts) -> String {
    let named = [
        parts.family.as_deref(),
        parts.size.as_deref(),
        parts.variant.as_deref(),
    ];
    let named: Vec<&str> = named.into_iter().flatten().collect();
    if named.is_empty() {
        "a name without family and size".into()
    } else {
        shortened(&named.join(" "))
    }
}

/// The row of this dtype, or the nearest one of the same bits and a doubt.
fn of_dtype(of_model: &[&'static Row], dtype: &str) -> Option<(&'static Row, Option<String>)> {
    let with = |wanted: &dyn Fn(&str) -> bool| of_model.iter().find(|row| wanted(&row.dtype)).copied();
    if let Some(row) = with(&|published| published == dtype) {
        return Some((row, None));
    }
    let bits = |dtype: &str| dtype.split('_').next().unwrap_or_default().to_owned();
    let is_grouped = dtype.contains('_');
    let alike = |published: &str| bits(published) == bits(dtype);
    let row = with(&|published| alike(published) && published.contains('_') == is_grouped)
        .or_else(|| with(&|published| alike(published)))?;
    Some((
        row,
        Some(format!("published is {}, the model is {dtype}", row.dtype)),
    ))
}

#[cfg(test)]
mod tests;
