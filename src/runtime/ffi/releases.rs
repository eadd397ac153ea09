//! The known releases of the SDK, and which libraries fit which headers.
//!
//! A release is identified by its number, a header by its shape. The layouts of known pairs were compared. An unknown
//! pair is accepted if header and library are from one SDK and no difference is found. It must then pass a trial.

use crate::inference::Pairing;

/// The guard's name for any other shape of a header than those below.
pub(super) const UNKNOWN_SHAPE: &str = "unknown";

/// The oldest known release.
pub const OLDEST_RELEASE: &str = "1.1.0";
/// The newest known release.
pub const NEWEST_RELEASE: &str = "1.3.1";

/// Each shape of the header, with the release that introduced it.
const SHAPES: [(&str, Number); 6] = [
    ("1.1", Number::final_of(1, 1, 0)),
    ("1.2.0", Number::final_of(1, 2, 0)),
    ("1.2.1b1", Number::before(1, 2, 1)),
    ("1.2.1", Number::final_of(1, 2, 1)),
    ("1.3.0", Number::final_of(1, 3, 0)),
    ("1.3.1", Number::final_of(1, 3, 1)),
];

/// The number of a release. A pre-release, such as a beta, is less than its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    parts: [u32; 3],
    is_final: bool,
}

impl Number {
    const fn final_of(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            parts: [major, minor, patch],
            is_final: true,
        }
    }

    const fn before(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            is_final: false,
            ..Self::final_of(major, minor, patch)
        }
    }

    fn of(version: &str) -> Option<Self> {
        let end = version
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap_or(version.len());
        let mut parts = version[..end].split('.').map(str::parse);
        let mut next = || parts.next()?.ok();
        let parts = [next()?, next()?, next()?];
        Some(Self {
            parts,
            is_final: end == version.len(),
        })
    }
}

/// How the library of release `version` fits a header of `shape`. Absent if the two are known to differ, or if they
/// are from different SDKs and not known to agree.
pub(super) fn pairing(version: &str, shape: &str, one_sdk: bool) -> Option<Pairing> {
    match known_shape(version) {
        Some(known) if known == shape => Some(Pairing::Known),
        // The layouts of 1.3.1 were never compared with its own header.
        Some("1.3.1") if shape == UNKNOWN_SHAPE && one_sdk => Some(Pairing::OneSdk),
        Some(_) => None,
        None => (one_sdk && may_have(version, shape)).then_some(Pairing::OneSdk),
    }
}

/// The shape of the header of a known release.
fn known_shape(version: &str) -> Option<&'static str> {
    match version {
        "1.2.0" => Some("1.2.0"),
        "1.2.1b1" => Some("1.2.1b1"),
        "1.2.1" | "1.2.2" | "1.2.3" => Some("1.2.1"),
        "1.3.0" => Some("1.3.0"),
        "1.3.1" => Some("1.3.1"),
        "1.1.0" | "1.1.1" | "1.1.2" | "1.1.3" | "1.1.4" => Some("1.1"),
        _ => None,
    }
}

/// Whether an unknown release may have a header of `shape`: no release since introduced another shape.
fn may_have(version: &str, shape: &str) -> bool {
    let Some(number) = Number::of(version) else {
        return false;
    };
    let Some(index) = SHAPES.iter().position(|(known, _)| *known == shape) else {
        return shape == UNKNOWN_SHAPE && number > SHAPES[0].1;
    };
    let next = SHAPES.get(index + 1).map(|(_, first)| *first);
    // A beta may have the header of its release.
    let at_most = Number {
        is_final: true,
        ..number
    };
    at_most >= SHAPES[index].1 && next.is_none_or(|next| number < next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_release_goes_with_its_header_alone() {
        for one_sdk in [true, false] {
            for version in ["1.1.2", "1.2.0", "1.2.1b1", "1.2.2", "1.2.3", "1.3.0", "1.3.1"] {
                for (shape, _) in SHAPES {
                    let expected = (known_shape(version) == Some(shape)).then_some(Pairing::Known);
                    assert_eq!(pairing(version, shape, one_sdk), expected, "{version} {shape}");
                }
            }
            assert_eq!(pairing("1.3.0", UNKNOWN_SHAPE, one_sdk), None);
        }
    }

    #[test]
    fn an_unknown_release_is_taken_with_the_header_of_its_sdk() {
        let taken = |version, shape| pairing(version, shape, true) == Some(Pairing::OneSdk);
        for version in ["1.3.2", "1.3.2b1", "1.4.0", "2.0.0", "1.10.0"] {
            assert!(
                taken(version, UNKNOWN_SHAPE) && taken(version, "1.3.1"),
                "{version}"
            );
            for older in ["1.1", "1.2.0", "1.2.1", "1.3.0"] {
                assert!(!taken(version, older), "{version} has not gone back to {older}");
            }
        }
        // A beta, and a release of an older line.
        assert!(taken("1.3.1b1", "1.3.0") && taken("1.3.1b1", "1.3.1") && !taken("1.3.1b1", "1.2.1"));
        assert!(taken("1.2.4", "1.2.1") && !taken("1.2.4", "1.3.0"));
        assert!(
            taken("1.3.1", UNKNOWN_SHAPE),
            "its layouts are known by report alone"
        );
        assert!(!taken("1.0.1", UNKNOWN_SHAPE) && !taken("1.0.1", "1.1") && !taken("new", UNKNOWN_SHAPE));
    }

    #[test]
    fn an_unknown_release_from_elsewhere_is_not_taken() {
        for shape in ["1.3.0", "1.3.1", UNKNOWN_SHAPE] {
            assert_eq!(pairing("1.4.0", shape, false), None, "{shape}");
        }
        assert_eq!(pairing("1.3.1", UNKNOWN_SHAPE, false), None);
    }
}
