//! Whether a machine is fit to measure on: facts in, findings with their remedies out.
//!
//! A finding is a pure function of the board, the models and the runtime.

mod clocks;
mod machine;
mod npu;

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::inputs::model_name::NameParts;
use crate::machine::board::{Board, Soc};

/// What is known of a model before it is loaded. Absent: its name does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelFacts {
    /// Its name.
    pub name: String,
    /// Size of its file, bytes.
    pub bytes: Option<u64>,
    /// SoC that it was converted for, such as `RK3588`.
    pub platform: Option<String>,
    /// NPU cores that it was converted for.
    pub npu_cores: Option<u8>,
    /// `optimization_level` of its conversion.
    pub optimization_level: Option<u8>,
}

impl ModelFacts {
    /// What the file at `path` says without being loaded: its size, and of its conversion what its name says, or where
    /// that lacks a part, the model's.
    pub fn of_file(name: &str, path: &Path) -> Self {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let parts = NameParts::of(&file_name).or(NameParts::of(name));
        Self {
            name: name.to_owned(),
            bytes: path.metadata().ok().map(|metadata| metadata.len()),
            platform: parts.platform.map(|platform| series(&platform)),
            npu_cores: parts.npu_cores,
            optimization_level: parts.optimization_level,
        }
    }
}

/// The SoC whose models run on `platform`: an RK3588S is an RK3588 with fewer pins.
fn series(platform: &str) -> String {
    let known = Soc::named(platform).or_else(|| Soc::named(platform.strip_suffix(['S', 's'])?));
    known.map_or_else(|| platform.to_owned(), |soc| soc.name.to_owned())
}

/// What is known of the runtime before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuntimeFacts {
    /// Whether it computes on the CPU, without an NPU.
    pub is_host: bool,
    /// CPUs that it is told to use, bit n is CPU n; absent: left to the runtime.
    pub cpu_mask: Option<u32>,
}

/// How a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Figures will be wrong, slow or not repeatable.
    Bad,
    /// It could not be seen, so it is not known whether the machine is fit; the remedy makes it visible.
    Unknown,
    /// Worth knowing and no part of the verdict, or not applicable here.
    Note,
}

impl Verdict {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
            Self::Note => "note",
        }
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What was looked at: a stable identifier.
    pub name: Cow<'static, str>,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What is recommended; absent where nothing is.
    pub recommended: Option<String>,
    /// The command that does it; absent where no command can.
    pub command: Option<String>,
}

impl Item {
    pub(crate) fn new(name: &'static str, verdict: Verdict, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict,
            found: found.into(),
            recommended: None,
            command: None,
        }
    }

    fn recommending(self, recommended: impl Into<String>) -> Self {
        Self {
            recommended: Some(recommended.into()),
            ..self
        }
    }

    fn by(self, command: impl Into<String>) -> Self {
        Self {
            command: Some(command.into()),
            ..self
        }
    }
}

/// All findings, in the order of their weight for the figures.
pub fn examine(board: &Board, models: &[ModelFacts], runtime: RuntimeFacts) -> Vec<Item> {
    let mut items = vec![
        clocks::ddr(board),
        clocks::npu(board, runtime),
        clocks::cpu(board),
    ];
    items.extend(npu::items(board, models, runtime));
    items.extend(machine::items(board, models, runtime));
    items
}

/// The findings on one model's conversion for `soc`.
pub(crate) fn of_conversion(soc: Option<&Soc>, model: &ModelFacts) -> [Item; 3] {
    npu::of_conversion(soc, std::slice::from_ref(model))
}

/// Whether a machine is fit to measure on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitness {
    /// All that matters was seen, and none of it is bad.
    Fit,
    /// Something is bad.
    NotFit,
    /// Nothing that was seen is bad, but not all that matters was seen.
    CannotTell,
}

impl Fitness {
    /// Of a machine with these findings.
    pub fn of(items: &[Item]) -> Self {
        let has = |verdict| items.iter().any(|item| item.verdict == verdict);
        if has(Verdict::Bad) {
            Self::NotFit
        } else if has(Verdict::Unknown) || items.is_empty() {
            Self::CannotTell
        } else {
            Self::Fit
        }
    }

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fit => "fit to measure",
            Self::NotFit => "not fit to measure",
            Self::CannotTell => "cannot tell whether it is fit to measure",
        }
    }

    /// The exit code of a program that gives this verdict; as the gate has it, 2 is that it cannot tell.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fit => 0,
            Self::NotFit => 1,
            Self::CannotTell => 2,
        }
    }
}

#[cfg(test)]
mod tests;
