//! Names of models.

use std::sync::Once;

use super::{assert_readable, measured};
use crate::inputs::model_name::NameParts;
use crate::inputs::models;

/// Memory that matching may take for any name, bytes: eleven patterns, each with a cache of at most 2 MB by default.
const PATTERNS_BYTES: usize = 22 << 20;

/// Any name has parts of plain text, and the name of a server's model becomes valid in file names.
pub(in crate::fuzz) fn name(name: &str) {
    static PATTERNS: Once = Once::new();
    PATTERNS.call_once(|| drop(NameParts::of("the patterns are compiled")));
    let parts = measured(name.len(), PATTERNS_BYTES, 100, || NameParts::of(name));
    let texts = [
        &parts.family,
        &parts.size,
        &parts.variant,
        &parts.dtype,
        &parts.gguf_type,
        &parts.platform,
    ];
    for text in texts.into_iter().flatten() {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        assert!(!text.is_empty() && text.chars().all(is_plain), "{text:?}");
    }
    assert!(
        parts
            .hybrid_ratio
            .is_none_or(|ratio| (0.0..=1.0).contains(&ratio))
    );
    assert!(parts.notes.len() <= 10, "{:?}", parts.notes);
    for note in &parts.notes {
        assert_readable(note, 200);
    }
    // A second name fills the parts that the first lacks, and nothing else.
    assert_eq!(parts.clone().or(NameParts::default()), parts);
    let model = models::of_server(name);
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!(
        model.name.len() <= 48 && model.name.chars().all(is_fit),
        "{}",
        model.name
    );
}
