//! JSON text to structs, with each fault placed at its field.

use serde::Deserialize;

use super::fault::{ALTERED, Fault, WHERE_RECORDS_ARE};
use crate::base::json::clip;

/// Parses a text that holds one value and nothing else.
pub(super) fn parsed<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Fault> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| unusable(&field_of(error.path()), error.inner()))?;
    deserializer
        .end()
        .map_err(|error| Fault::whole(format!("more than one JSON document: {error}; {ALTERED}")))?;
    Ok(value)
}

fn unusable(field: &str, error: &serde_json::Error) -> Fault {
    let why = clip(&error.to_string());
    if error.is_eof() {
        return Fault::at(
            field,
            format!("the file ends in the middle ({why}): copy it anew, or measure again"),
        );
    }
    if error.is_data() {
        return Fault::altered(field, why);
    }
    if field.is_empty() {
        return Fault::whole(format!("not JSON ({why}); {WHERE_RECORDS_ARE}"));
    }
    Fault::altered(
        field,
        format!("not JSON ({why}), which has no NaN and no infinity, and numbers up to 1e308"),
    )
}

/// A path for people: up to the last known segment; empty for the whole document.
fn field_of(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    path.trim_end_matches(['?', '.']).to_owned()
}
