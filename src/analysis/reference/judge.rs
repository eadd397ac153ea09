//! Compares a run's figures with the published ones.

use crate::base::number::{BYTES_PER_MB, Float as _, Size as _};
use serde::Serialize;

use super::checks::{self, Check};
use super::find::{Match, Unmatched, find};
use super::table::Row;
use crate::analysis::figures::Figures;
use crate::inference::Input;
use crate::inputs::model_name::NameParts;
use crate::record::{ModelRecord, PromptRecord, RunRecord};

/// From this share of the published speed, a figure counts as published.
const AS_PUBLISHED: f64 = 0.8;
/// Beyond this share it is better than published.
const BETTER: f64 = 1.2;
/// At or below this share, something is wrong.
const HALF: f64 = 0.5;

/// The published figures for one model of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The model's name in the record.
    pub model: String,
    /// The result of the lookup.
    pub outcome: Outcome,
}

/// The result of looking up a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Figures side by side.
    Compared {
        /// The published row.
        row: &'static Row,
        /// Why the row may not be of this model. Empty without doubts.
        doubts: Vec<String>,
        /// Id of the prompt with these figures.
        prompt: String,
        /// One for each [`Quantity`].
        figures: Vec<Figure>,
        /// What may make the run slower. Empty if no figure is below the published one.
        checks: Vec<Check>,
    },
    /// A row, but no samples of its size.
    NotMeasured {
        /// The published row.
        row: &'static Row,
    },
    /// No row.
    Unmatched {
        /// Why not.
        why: Unmatched,
    },
}

/// A figure beside its published value, both in the unit of [`Figure::quantity`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The quantity.
    pub quantity: Quantity,
    /// The published value.
    pub published: f64,
    /// The measured value. Absent if no sample has it.
    pub measured: Option<f64>,
    /// The measured value relative to the published one, as a ratio where more is better: measured / published for a
    /// rate, published / measured for a time and for memory. Absent if nothing was measured, or 0.
    pub share: Option<f64>,
    /// The meaning of the share. Absent with it.
    pub verdict: Option<Verdict>,
}

/// A published quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Time to the first token, ms, median over the samples.
    Ttft,
    /// Decode rate, tok/s, median over the samples.
    Decode,
    /// Peak resident set of the process that ran the model, MB (10^6 bytes). The published figure may be another one.
    Memory,
}

/// A verdict on a share of the published speed. The bounds are those of the scripts that this project replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More than 120 %.
    Above,
    /// From 80 % to 120 %.
    Within,
    /// Between 50 % and 80 %.
    Below,
    /// 50 % or less.
    HalfOrLess,
}

impl Verdict {
    /// The verdict on a ratio.
    pub fn of(share: f64) -> Self {
        match share {
            share if share > BETTER => Self::Above,
            share if share >= AS_PUBLISHED => Self::Within,
            share if share > HALF => Self::Below,
            _ => Self::HalfOrLess,
        }
    }

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Within => "within 80-120 %",
            Self::Below => "below",
            Self::HalfOrLess => "half or less",
        }
    }

    /// Whether it calls for the check-list.
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::Below | Self::HalfOrLess)
    }
}

impl Quantity {
    /// Name and unit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT ms",
            Self::Decode => "decode tok/s",
            Self::Memory => "peak memory MB",
        }
    }
}

/// Looks up each loaded model of a run of the suite `table`, in the record's order.
///
/// Other suites have no findings. Neither have models on the host runtime, whose figures are those of a CPU.
pub fn judge(run: &RunRecord) -> Vec<Finding> {
    if !run.suite.sweep {
        return Vec::new();
    }
    let found = run.models.iter().filter_map(|model| {
        let outcome = outcome(run, model)?;
        Some(Finding {
            model: model.name.clone(),
            outcome,
        })
    });
    found.collect()
}

fn outcome(run: &RunRecord, model: &ModelRecord) -> Option<Outcome> {
    let runtime = &model.loaded.as_ref()?.runtime;
    let platform = runtime.library()?.version_line.as_ref();
    let platform = platform.and_then(|line| line.platform.as_deref());
    let Some(soc) = platform
        .or(run.board.soc.as_deref())
        .or(run.board.name.as_deref())
    else {
        return Some(Outcome::Unmatched {
            why: Unmatched::NoSoc,
        });
    };
    let parts = model.name_parts();
    let (row, doubts) = match find(soc, &parts) {
        Match::Exact(row) => (row, Vec::new()),
        Match::Doubtful { row, why } => (row, why),
        Match::None {
            why: Unmatched::HostRuntime,
        } => return None,
        Match::None { why } => return Some(Outcome::Unmatched { why }),
    };
    let is_of_its_size = |prompt: &&PromptRecord| has_size_of(prompt, row);
    Some(match model.prompts.iter().find(is_of_its_size) {
        Some(prompt) => compared(run, model, &parts, row, doubts, prompt),
        None => Outcome::NotMeasured { row },
    })
}

/// Whether a prompt has samples, starts cold and has the row's numbers of tokens.
fn has_size_of(prompt: &PromptRecord, row: &Row) -> bool {
    let Input::Tokens(ids) = &prompt.input else {
        return false;
    };
    ids.len() == row.prompt_tokens.size()
        && prompt.max_new_tokens == row.new_tokens
        && prompt.depth == 0
        && prompt.cache_start.is_cold()
        && !prompt.samples.is_empty()
}

fn compared(
    run: &RunRecord,
    model: &ModelRecord,
    parts: &NameParts,
    row: &'static Row,
    mut doubts: Vec<String>,
    prompt: &PromptRecord,
) -> Outcome {
    let fewest = prompt
        .samples
        .iter()
        .filter_map(|sample| sample.inference.token_count().tokens)
        .min();
    if let Some(fewest) = fewest.filter(|fewest| *fewest < row.new_tokens.size()) {
        doubts.push(format!(
            "answers ended early, after {fewest} of {} tokens",
            row.new_tokens
        ));
    }
    let figures = figures(row, prompt);
    let is_slow = figures
        .iter()
        .filter_map(|figure| figure.verdict)
        .any(Verdict::is_slow);
    let case = checks::Case {
        run,
        model,
        parts,
        row,
        peak_rss_bytes: peak_rss_bytes(prompt),
    };
    Outcome::Compared {
        row,
        doubts,
        prompt: prompt.id.clone(),
        figures,
        checks: if is_slow { checks::all(&case) } else { Vec::new() },
    }
}

fn figures(row: &Row, prompt: &PromptRecord) -> Vec<Figure> {
    let measured = Figures::of(prompt);
    let memory_mb = peak_rss_bytes(prompt).map(|bytes| bytes.float() / BYTES_PER_MB);
    vec![
        figure(Quantity::Ttft, row.ttft_ms, measured.ttft_ms),
        figure(Quantity::Decode, row.decode_tok_per_s, measured.decode_tok_per_s),
        figure(Quantity::Memory, row.memory_mb, memory_mb),
    ]
}

/// A peak never falls, so the last one of a prompt covers all earlier ones.
fn peak_rss_bytes(prompt: &PromptRecord) -> Option<u64> {
    let peaks = prompt
        .samples
        .iter()
        .filter_map(|sample| sample.inference.peak_rss_bytes);
    peaks.max()
}

fn figure(quantity: Quantity, published: f64, measured: Option<f64>) -> Figure {
    let share = measured.map(|measured| match quantity {
        Quantity::Decode => measured / published,
        Quantity::Ttft | Quantity::Memory => published / measured,
    });
    let share = share.filter(|share| share.is_finite());
    Figure {
        quantity,
        published,
        measured,
        share,
        verdict: share.map(Verdict::of),
    }
}

#[cfg(test)]
mod tests;
