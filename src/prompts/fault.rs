//! How a fault in a suite's file is told.

use serde_path_to_error::Segment;

/// A result, or what is wrong, where, and how to mend it.
pub(super) type Checked<T> = Result<T, String>;

/// A path as a JSON pointer. That of the whole document is the empty string, which no reader would see.
pub(super) fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push_str(&clip(&key.replace('~', "~0").replace('/', "~1")));
            }
            Segment::Unknown => pointer.push('?'),
        }
    }
    if pointer.is_empty() {
        "the document".into()
    } else {
        pointer
    }
}

/// Shortens what quotes the file, in the middle, since serde says at the end what it expected; and writes control
/// characters so that a terminal does not act on them.
pub(super) fn clip(text: &str) -> String {
    const HEAD: usize = 100;
    const TAIL: usize = 200;
    let shown = |text: &str| {
        text.chars()
            .flat_map(|character| {
                let escaped = character.is_control().then(|| character.escape_default());
                let plain = escaped.is_none().then_some(character);
                escaped.into_iter().flatten().chain(plain)
            })
            .collect::<String>()
    };
    let count = text.chars().count();
    if count <= HEAD + TAIL {
        return shown(text);
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: String = text.chars().skip(count - TAIL).collect();
    format!("{} ... {}", shown(&head), shown(&tail))
}
