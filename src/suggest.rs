//! What somebody who mistyped a name may have meant.

/// From this similarity on a name is suggested; clap's own threshold for its flags.
const ALIKE: f64 = 0.7;

/// The end of a sentence that refused `name`: the closest of `known`, and all of them.
pub(crate) fn among(name: &str, known: &[impl AsRef<str>]) -> String {
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    let similarity = |other: &str| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let closest = known
        .iter()
        .map(|known| (similarity(known), known))
        .filter(|(similarity, _)| *similarity > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match (closest, known.is_empty()) {
        (_, true) => ": there is none".into(),
        (Some((_, closest)), false) => format!(": did you mean {closest}? There are {}", known.join(", ")),
        (None, false) => format!(": there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_is_named_first() {
        assert_eq!(
            among("quik", &["performance", "quick"]),
            ": did you mean quick? There are performance, quick"
        );
        assert_eq!(among("xyz", &["quick"]), ": there are quick");
        assert_eq!(among("xyz", &[] as &[&str]), ": there is none");
    }
}
