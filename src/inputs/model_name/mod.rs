//! Reads the name of a model: family, size, and how it was converted.
//!
//! An `.rkllm` file says little about its conversion, so publishers put it into the name, in many spellings. None of it
//! is a fact about the model: a person wrote the name.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::Serialize;

/// The parts of a model name. A part is absent if the name lacks it or has it twice with different values.
/// [`NameParts::notes`] lists the latter.
///
/// ```
/// use rkllm_bench::model_name::NameParts;
///
/// let parts = NameParts::of("Qwen3-0.6B-rk3588-w8a8-opt-1-hybrid-ratio-0.0.rkllm");
/// assert_eq!(parts.family.as_deref(), Some("qwen3"));
/// assert_eq!(parts.size.as_deref(), Some("0.6B"));
/// assert_eq!(parts.dtype.as_deref(), Some("w8a8"));
/// assert_eq!(parts.optimization_level, Some(1));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NameParts {
    /// The words before the size, or all words of a name without one, in lower case with `-` between: `qwen2.5`,
    /// `google-gemma-3`.
    pub family: Option<String>,
    /// Number of parameters in upper case: `0.5B`, `270M`, `E2B` (effective parameters).
    pub size: Option<String>,
    /// The words after the size: `instruct`, `chat-v1.0`.
    pub variant: Option<String>,
    /// Quantisation in the terms of RKLLM, in lower case: `w8a8`, `w4a16_g128`; `fp16` for none.
    pub dtype: Option<String>,
    /// Quantisation in the terms of GGUF, in upper case: `Q4_K_M`. It does not concern an NPU.
    pub gguf_type: Option<String>,
    /// `optimization_level` of the conversion.
    pub optimization_level: Option<u8>,
    /// `hybrid_rate` of the conversion: the share of grouped quantisation, 0 to 1.
    pub hybrid_ratio: Option<f64>,
    /// `num_npu_core` of the conversion.
    pub npu_cores: Option<u8>,
    /// `max_context` of the conversion, tokens. Only if the name says so (`ctx4096`): a bare `4k` may be the window of
    /// the training.
    pub max_context: Option<u32>,
    /// `target_platform` of the conversion, in upper case: `RK3588`.
    pub platform: Option<String>,
    /// Parts that are ambiguous or out of range, in words.
    pub notes: Vec<String>,
}

/// The pattern of each part, for a name of lower-case letters, digits, `.` and `-`.
struct Patterns {
    version: Regex,
    dtype: Regex,
    gguf_type: Regex,
    platform: Regex,
    max_context: Regex,
    npu_cores: Regex,
    hybrid_ratio: Regex,
    optimization_level: Regex,
    active_size: Regex,
    size: Regex,
    underscored_size: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    // The toolkit: 1.1.4, v1.2.1b1, toolkitv1.1.1.
    version: regex(r"\b(?:toolkit-?)?v?\d+\.\d+\.\d+[a-z0-9]*\b"),
    dtype: regex(r"\b(w\d{1,2}a\d{1,2})(?:-?(g\d{1,4}))?\b|\b(fp16)\b"),
    gguf_type: regex(r"\b(i?q\d)-(k|nl|xxs|xs|s|m|[01])(?:-(xs|s|m|l|xl))?\b|\b(bf16|f16|f32)\b"),
    platform: regex(r"\b(r[kv]\d{4}[a-z]?)\b"),
    max_context: regex(r"\b(?:max-?)?(?:ctx|context)(?:-?len(?:gth)?)?-?(\d+)(k?)\b"),
    // No point and digit may follow: npu-0.6b is a size.
    npu_cores: regex(concat!(
        r"\bnpu(?:-?cores?)?(?:-?num)?-?([1-9])(?:$|-|\.\D)|\b([1-9])-?(?:npu-?)?cores?\b|",
        r"\bcores?-?([1-9])(?:$|-|\.\D)",
    )),
    hybrid_ratio: regex(r"\bhybrid(?:-?rati?[oe])?-?(\d+(?:\.\d+)?)\b"),
    // The family OPT has sizes after its name: opt-1.3b.
    optimization_level: regex(r"\b(?:opt(?:imi[sz]ation)?(?:-?level)?-?|o|level-?)(\d)(?:$|-|\.\D)"),
    // Active parameters: 30B-A3B.
    active_size: regex(r"\ba\d+(?:\.\d+)?[bm]\b"),
    size: regex(r"\b(e?\d+(?:\.\d+)?[bm])\b"),
    // 1_8b is 1.8b; 2_7b after a letter is version 2 of 7b.
    underscored_size: regex(r"-(\d)_(\d+b)([^a-z0-9]|$)"),
});

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants, which a test compiles"
)]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Replaces the size, to separate the words before it from those after it.
const SIZE_MARK: &str = "/";

impl NameParts {
    /// Reads the name or file name of a model in any spelling; everything up to a `/` is skipped.
    pub fn of(name: &str) -> Self {
        let patterns = &*PATTERNS;
        let mut reading = Reading {
            left: normalised(name),
            notes: Vec::new(),
        };
        reading.strike(&patterns.version);
        let dtype = reading.take("dtype", &patterns.dtype);
        let gguf_type = reading.take("GGUF type", &patterns.gguf_type);
        let platform = reading.take("platform", &patterns.platform);
        let max_context = reading.take("context", &patterns.max_context);
        let max_context = reading.number("context", max_context, tokens);
        let npu_cores = reading.take("NPU cores", &patterns.npu_cores);
        let hybrid_ratio = reading.take("hybrid ratio", &patterns.hybrid_ratio);
        let hybrid_ratio = reading.number("hybrid ratio", hybrid_ratio, share);
        let optimization_level = reading.take("optimisation level", &patterns.optimization_level);
        reading.strike(&patterns.active_size);
        let size = reading.take_marked("size", &patterns.size, SIZE_MARK);
        let (family, variant) = reading.words();
        Self {
            family,
            size: size.map(|size| size.to_uppercase()),
            variant,
            dtype,
            gguf_type: gguf_type.map(|name| name.to_uppercase()),
            optimization_level: optimization_level.and_then(|level| level.parse().ok()),
            hybrid_ratio,
            npu_cores: npu_cores.and_then(|cores| cores.parse().ok()),
            max_context,
            platform: platform.map(|platform| platform.to_uppercase()),
            notes: reading.notes,
        }
    }

    /// Fills the absent parts from `other`, a second name of the same model.
    ///
    /// Family, size and variant are taken together, from the name that has a size.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        if self.size.is_none() && other.size.is_some() {
            (self.family, self.size, self.variant) = (other.family, other.size, other.variant);
        }
        Self {
            dtype: self.dtype.or(other.dtype),
            gguf_type: self.gguf_type.or(other.gguf_type),
            optimization_level: self.optimization_level.or(other.optimization_level),
            hybrid_ratio: self.hybrid_ratio.or(other.hybrid_ratio),
            npu_cores: self.npu_cores.or(other.npu_cores),
            max_context: self.max_context.or(other.max_context),
            platform: self.platform.or(other.platform),
            ..self
        }
    }
}

/// A name in lower case with only letters, digits, `.` and `-`, without its folder and extension.
fn normalised(name: &str) -> String {
    let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let name = [".rkllm", ".gguf"]
        .into_iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(&name);
    let name = PATTERNS.underscored_size.replace_all(name, "-$1.$2$3");
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    name.chars().map(fit).collect()
}

/// A name from which the parts are removed one by one.
struct Reading {
    left: String,
    notes: Vec<String>,
}

impl Reading {
    fn strike(&mut self, pattern: &Regex) {
        self.left = pattern.replace_all(&self.left, "-").into_owned();
    }

    fn take(&mut self, part: &str, pattern: &Regex) -> Option<String> {
        self.take_marked(part, pattern, "")
    }

    /// The single value of a part, its groups joined by `_`; `mark` replaces it.
    fn take_marked(&mut self, part: &str, pattern: &Regex, mark: &str) -> Option<String> {
        let mut values: Vec<String> = Vec::new();
        for found in pattern.captures_iter(&self.left) {
            let value = joined(&found);
            // A name of a megabyte may have a hundred thousand values.
            if values.len() < MOST_NOTED && !values.contains(&value) {
                values.push(value);
            }
        }
        if values.is_empty() {
            return None;
        }
        let replacement = format!("-{mark}-");
        self.left = pattern.replace_all(&self.left, replacement.as_str()).into_owned();
        if values.len() > 1 {
            let shown: Vec<String> = values.iter().map(|value| shown(value)).collect();
            self.notes.push(format!("{part}: {}", shown.join(" and ")));
            return None;
        }
        values.pop()
    }

    /// A part as a number, if it can be one.
    fn number<T>(&mut self, part: &str, text: Option<String>, parse: fn(&str) -> Option<T>) -> Option<T> {
        let text = text?;
        let number = parse(&text);
        if number.is_none() {
            self.notes.push(format!("{part}: {} cannot be one", shown(&text)));
        }
        number
    }

    /// The words before and after the size.
    fn words(&self) -> (Option<String>, Option<String>) {
        let words = |text: &str| {
            let words: Vec<&str> = text
                .split(['-', '/'])
                .map(|word| word.trim_matches('.'))
                .filter(|word| !word.is_empty())
                .collect();
            (!words.is_empty()).then(|| words.join("-"))
        };
        let (before, behind) = self.left.split_once(SIZE_MARK).unwrap_or((&self.left, ""));
        (words(before), words(behind))
    }
}

/// Most values of one part that a note lists, and most characters that it shows of one.
const MOST_NOTED: usize = 3;
const LONGEST_NOTED: usize = 20;

fn shown(value: &str) -> String {
    value.chars().take(LONGEST_NOTED).collect()
}

fn joined(found: &Captures) -> String {
    let groups: Vec<&str> = found
        .iter()
        .skip(1)
        .flatten()
        .map(|group| group.as_str())
        .filter(|group| !group.is_empty())
        .collect();
    groups.join("_")
}

/// `16384`, or `16_k`.
fn tokens(text: &str) -> Option<u32> {
    match text.strip_suffix("_k") {
        Some(thousands) => thousands.parse::<u32>().ok()?.checked_mul(1024),
        None => text.parse().ok(),
    }
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests;
