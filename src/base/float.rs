//! Serialises floats to JSON so that NaN and infinity from a runtime survive a round trip.
//!
//! JSON has no such numbers; they are stored as the strings `NaN`, `inf` and `-inf`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Finite(f32),
    Other(String),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
pub(crate) fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        Stored::Finite(*value)
    } else {
        Stored::Other(value.to_string())
    }
    .serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    match Stored::deserialize(deserializer)? {
        Stored::Finite(value) => Ok(value),
        Stored::Other(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same bits are to come back")]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Row {
        #[serde(with = "super")]
        value: f32,
    }

    #[test]
    fn every_float_comes_back() {
        for value in [0.0, -1.5, 306.31, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let json = serde_json::to_string(&Row { value }).expect("serialises");
            let back: Row = serde_json::from_str(&json).expect(&json);
            assert!(
                back.value == value || (back.value.is_nan() && value.is_nan()),
                "{value} became {json}"
            );
        }
    }
}
