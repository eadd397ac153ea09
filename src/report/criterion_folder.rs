//! The names of criterion's groups and folders.

use std::path::PathBuf;

use criterion::BenchmarkId;

use crate::base::foreign::is_active;
use crate::base::paths;
use crate::record::phase::Phase;

/// Longest name of a folder that criterion makes, bytes (criterion 0.8, `MAX_DIRECTORY_NAME_LEN`).
const MOST_OF_A_FOLDER: usize = 64;

/// A benchmark's place in criterion: identifier and folder follow from it.
///
/// A model and a suite are a group, the phase is its function and the prompt its parameter.
pub(crate) struct Place {
    /// The group.
    pub(crate) group: String,
    /// The rest.
    pub(crate) id: BenchmarkId,
    pub(crate) folder: PathBuf,
}

impl Place {
    pub(crate) fn of(model: &str, suite: &str, phase: Phase, prompt: &str) -> Self {
        let group = group_name(model, suite);
        let prompt = paths::folder_name(prompt.as_ref(), MOST_OF_A_FOLDER, is_kept);
        Self {
            folder: [&folder_of(&group), phase.name(), &prompt].iter().collect(),
            id: BenchmarkId::new(phase.name(), prompt),
            group,
        }
    }
}

/// Whether a character stays in a folder's name, as in criterion 0.8 (`make_filename_safe`). Criterion also keeps
/// control characters, which this crate replaces.
fn is_kept(c: char) -> bool {
    !is_active(c) && !['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'].contains(&c)
}

/// Criterion's group for a model and a suite: `<model>/<suite>`.
///
/// Criterion makes a folder's name of it: it replaces `/` by `_` and truncates to 64 bytes. If the result could be
/// ambiguous or lead to another folder, the name ends in a digest of the whole instead. This includes suites with a `_`
/// in their name (`a_b/c` and `a/b_c`).
fn group_name(model: &str, suite: &str) -> String {
    let whole = format!("{model}/{suite}");
    let is_short = whole.len() <= MOST_OF_A_FOLDER && !suite.contains('_');
    if is_short
        && [model, suite]
            .iter()
            .all(|name| paths::is_folder_name(name, MOST_OF_A_FOLDER, is_kept))
    {
        return whole;
    }
    paths::with_digest(whole.as_ref(), MOST_OF_A_FOLDER, |c| is_kept(c) || c == '/')
}

/// The folder that criterion makes for a group.
fn folder_of(group: &str) -> String {
    group.replace('/', "_")
}

/// The folder that criterion keeps one benchmark in, below its home.
pub fn folder(model: &str, suite: &str, phase: Phase, prompt: &str) -> PathBuf {
    Place::of(model, suite, phase, prompt).folder
}

/// The folder of all benchmarks of a model and a suite.
pub(crate) fn group_folder(model: &str, suite: &str) -> PathBuf {
    folder_of(&group_name(model, suite)).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_groups_share_a_folder() {
        let long = "DeepSeek-R1-Distill-Qwen-1.5B_W8A8_G128_RK3588_c4096";
        let names = [
            ("a", "b_c"),
            ("a_b", "c"),
            ("a", "b"),
            ("..", "b"),
            ("", "b"),
            ("a", ".."),
            ("a/..", ".."),
            ("a/../..", ".."),
            ("\u{1b}]0;a\u{7}", "b"),
            ("m", &*"s".repeat(70)),
            ("m", &*"s".repeat(71)),
            (long, "server-performance-c4"),
            (long, "server-performance-c16"),
        ];
        let folders: BTreeSet<PathBuf> = names
            .iter()
            .map(|(model, suite)| group_folder(model, suite))
            .collect();
        assert_eq!(folders.len(), names.len(), "{folders:?}");
        assert!(
            folders.iter().all(|folder| folder.as_os_str().len() <= 64),
            "{folders:?}"
        );
        for (model, suite) in names {
            let inside = folder(model, suite, Phase::Decode, "..");
            let is_folder = |part: std::path::Component| matches!(part, std::path::Component::Normal(name) if !name.to_string_lossy().contains(is_active));
            assert!(inside.components().all(is_folder), "{inside:?}");
            assert_eq!(inside.components().count(), 3, "{inside:?}");
        }
        assert_eq!(group_folder("m", "quick"), PathBuf::from("m_quick"));
        assert_eq!(
            folder("m", "quick", Phase::Decode, "a"),
            ["m_quick", "decode", "a"].iter().collect::<PathBuf>()
        );
    }
}
