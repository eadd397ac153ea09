//! Faults in the file of a suite, and their places.

use serde_path_to_error::Segment;

use crate::base::json::clip;

/// A result, or the fault with its place and how to fix it.
pub(super) type Checked<T> = Result<T, String>;

/// A key as a segment of a JSON pointer.
pub(super) fn segment(key: &str) -> String {
    clip(&key.replace('~', "~0").replace('/', "~1"))
}

/// A path as a JSON pointer. The pointer of the whole document is the empty string, which no reader would notice; it
/// becomes "the document".
pub(super) fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push_str(&self::segment(key));
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
