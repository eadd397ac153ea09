//! Suggestions for a mistyped name.

use crate::base::foreign::{self, Shown as _};

/// Least similarity of a suggestion; clap uses the same threshold for flags.
const ALIKE: f64 = 0.7;

/// The end of a message that refuses `name`: the closest of `known`, and all of them.
pub(crate) fn among(name: &str, known: &[impl AsRef<str>]) -> String {
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    let similarity = |other: &str| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let closest = known
        .iter()
        .map(|known| (similarity(known), known))
        .filter(|(similarity, _)| *similarity > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match (closest, known.is_empty()) {
        (_, true) => ": there are none".into(),
        (Some((_, closest)), false) => format!(
            ": did you mean {}? Available: {}",
            closest.shown(),
            foreign::list(&known)
        ),
        (None, false) => format!("; available: {}", foreign::list(&known)),
    }
}

/// Most names that [`nearest`] lists.
const FEW: usize = 3;

/// The end of a message that refuses `name` when there may be many: the few closest names.
pub(crate) fn nearest(name: &str, known: &[&str]) -> String {
    let mut known: Vec<(f64, &str)> = known
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), *known))
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0));
    let nearest: Vec<&str> = known.iter().take(FEW).map(|(_, known)| *known).collect();
    if nearest.is_empty() {
        ": there are none".into()
    } else {
        format!("; most similar: {}", foreign::list(&nearest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_is_named_first() {
        assert_eq!(
            among("quik", &["performance", "quick"]),
            ": did you mean quick? Available: performance, quick"
        );
        assert_eq!(among("xyz", &["quick"]), "; available: quick");
        assert_eq!(among("xyz", &[""; 0]), ": there are none");
        assert_eq!(
            nearest("abx", &["zzz", "abc", "abd", "ab"]),
            "; most similar: abc, abd, ab"
        );
        assert_eq!(nearest("abx", &[]), ": there are none");
    }
}
