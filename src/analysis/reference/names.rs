//! Compares names of models: words, families, sizes.

use crate::inputs::model_name::NameParts;

/// An alternative name for the models of a row.
pub(super) struct Known {
    /// As in [`key`].
    pub(super) name: &'static str,
    /// Size in the name; absent where the name needs none.
    pub(super) size: Option<&'static str>,
    /// The row's model and size.
    pub(super) row: (&'static str, &'static str),
    /// Why it is not the row's own model.
    pub(super) doubt: Option<&'static str>,
}

/// Names besides the table's own. Shared shapes are as the makers describe them. The files were not compared, so each
/// is a doubt. Rockchip also refers to the Qwen rows for `DeepSeek`'s distillations (rknn-llm issue 165).
pub(super) const KNOWN: [Known; 7] = [
    known("phi3mini", None, ("Phi3", "3.8B"), None),
    known(
        "phi35mini",
        None,
        ("Phi3", "3.8B"),
        Some("Phi-3.5-mini has the shape of Phi-3-mini"),
    ),
    known("deepseekocr", None, ("DeepSeekOCR", "3B(A570M)"), None),
    known(
        "qwen25",
        Some("0.5B"),
        ("Qwen2", "0.5B"),
        Some("published is Qwen2, of the same shape as Qwen2.5 at this size"),
    ),
    known(
        "qwen2",
        Some("1.5B"),
        ("Qwen2.5", "1.5B"),
        Some("published is Qwen2.5, of the same shape as Qwen2 at this size"),
    ),
    known(
        "deepseekr1distillqwen",
        Some("1.5B"),
        ("Qwen2.5", "1.5B"),
        Some("published is Qwen2.5, whose shape this distillation has"),
    ),
    known(
        "internlm25",
        Some("1.8B"),
        ("InternLM2", "1.8B"),
        Some("published is InternLM2, of the same shape as InternLM2.5 at this size"),
    ),
];

const fn known(
    name: &'static str,
    size: Option<&'static str>,
    row: (&'static str, &'static str),
    doubt: Option<&'static str>,
) -> Known {
    Known {
        name,
        size,
        row,
        doubt,
    }
}

/// How a name's words match a family.
pub(super) struct Fit {
    pub(super) letters: usize,
    /// A sentence about words that make it another model, if there are any.
    pub(super) other_words: Vec<String>,
}

/// Makers that stand before a family's name.
const MAKERS: [&str; 15] = [
    "ai",
    "blinkdl",
    "deepseek",
    "google",
    "internlm",
    "microsoft",
    "openbmb",
    "org",
    "qwen",
    "rwkv",
    "tele",
    "teleai",
    "thudm",
    "tinyllama",
    "zai",
];
/// Words about a model's training or origin, which change neither its shape nor its speed.
const NEUTRAL_WORDS: [&str; 11] = [
    "base", "chat", "hf", "instruct", "it", "llm", "rkllm", "thinking", "unsloth", "world", "model",
];
/// Most words of a name that are looked at. No real name has that many.
const MOST_WORDS: usize = 24;

pub(super) fn fit(family: &str, parts: &NameParts) -> Option<Fit> {
    let words = |text: &Option<String>| -> Vec<String> {
        let text = text.as_deref().unwrap_or_default();
        text.split('-').take(MOST_WORDS).map(str::to_owned).collect()
    };
    let before = words(&parts.family);
    let (start, end) = place(family, &before)?;
    let mut others: Vec<String> = before[..start]
        .iter()
        .filter(|word| !MAKERS.contains(&word.as_str()))
        .cloned()
        .collect();
    let behind = before[end..]
        .iter()
        .chain(&words(&parts.variant))
        .cloned()
        .collect::<Vec<_>>();
    others.extend(behind.into_iter().filter(|word| !is_neutral(word)));
    let other_words = if others.is_empty() {
        Vec::new()
    } else {
        let words = shortened(&others.join(", "));
        vec![format!(
            "the model's name has words that the published one lacks: {words}"
        )]
    };
    Some(Fit {
        letters: family.len(),
        other_words,
    })
}

/// Which consecutive words spell `family` without a following version number.
fn place(family: &str, words: &[String]) -> Option<(usize, usize)> {
    for start in 0..words.len() {
        let mut spelt = String::new();
        for (index, word) in words.iter().enumerate().skip(start) {
            spelt += &key(word);
            let is_version =
                |word: &String| word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
            if spelt == family && !words.get(index + 1).is_some_and(is_version) {
                return Some((start, index + 1));
            }
            if !family.starts_with(&spelt) {
                break;
            }
        }
    }
    None
}

/// Versions (`v1.0`), dates (`2507`) and windows (`4k`) are neutral too.
fn is_neutral(word: &str) -> bool {
    let digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    word.is_empty()
        || NEUTRAL_WORDS.contains(&word)
        || word.strip_prefix('v').is_some_and(digits)
        || word.strip_suffix('k').is_some_and(digits)
        || (word.len() == 4 && digits(word))
}

/// A family in normalised spelling: `qwen25`, `gemma3n`.
pub(super) fn key(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// A size in normalised spelling, without effective (`E2B`) and active (`3B(A570M)`) parameters.
pub(super) fn plain_size(size: &str) -> &str {
    let size = size.split('(').next().unwrap_or_default();
    size.strip_prefix('E').unwrap_or(size)
}

/// The start of a foreign text.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
