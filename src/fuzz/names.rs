//! Names of models.

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::hold;
use super::properties::names::name;
use crate::inputs::model_name::NameParts;

/// Parts of a name with valid values.
type Parts = (
    (String, Option<&'static str>, Option<&'static str>),
    (
        Option<&'static str>,
        Option<u8>,
        Option<u8>,
        Option<u8>,
        Option<u32>,
    ),
    (Option<&'static str>, Option<&'static str>),
);

fn parts() -> impl Strategy<Value = Parts> {
    (
        (
            "[a-z]{3,8}[0-9]{0,2}(-[a-z]{3,8})?",
            of(select(vec!["0.5B", "270M", "1.1B", "7B", "E2B"])),
            of(select(vec!["instruct", "chat", "it", "vl"])),
        ),
        (
            of(select(vec!["w8a8", "w8a8_g128", "w4a16", "w4a16_g64", "fp16"])),
            of(0..4_u8),
            of(0..=4_u8),
            of(1..=3_u8),
            of(select(vec![1024, 4096, 16384])),
        ),
        (
            of(select(vec!["RK3588", "RK3576", "RV1126B"])),
            select(vec![None, Some(".rkllm"), Some(".gguf")]),
        ),
    )
}

/// A name with these parts, spelled as Rockchip's users do.
fn rendered(parts: &Parts, separator: char, upper: bool) -> String {
    let ((family, size, variant), (dtype, level, quarters, cores, context), (platform, ending)) = parts;
    let mut words = vec![family.clone()];
    words.extend([*size, *variant, *dtype].into_iter().flatten().map(str::to_owned));
    words.extend(level.map(|level| format!("opt{level}")));
    words.extend(quarters.map(|quarters| format!("hybrid-ratio-{}", ratio(quarters))));
    words.extend(cores.map(|cores| format!("npu{cores}")));
    words.extend(context.map(|context| format!("ctx{context}")));
    words.extend(platform.map(str::to_owned));
    let name = words.join(&separator.to_string());
    let name = if upper { name.to_uppercase() } else { name };
    format!("{name}{}", ending.unwrap_or_default())
}

fn ratio(quarters: u8) -> f64 {
    f64::from(quarters) / 4.0
}

/// Words with a meaning in a name, alone or with the next word. Random words may equal them.
const MEANINGFUL: [&str; 6] = ["opt", "npu", "ctx", "core", "level", "hybrid"];

#[test]
fn the_parts_of_a_rendered_name_are_read_back() {
    let names = (parts(), select(vec!['-', '_']), any::<bool>());
    hold("names, rendered", 1000, &names, |(parts, separator, upper)| {
        let ((family, size, variant), (dtype, level, quarters, cores, context), (platform, _)) = &parts;
        if MEANINGFUL.iter().any(|word| family.contains(word)) {
            return;
        }
        // Without a size the end of the family is ambiguous.
        let (whole, behind) = match (size, variant) {
            (None, Some(variant)) => (format!("{family}-{variant}"), None),
            _ => (family.clone(), *variant),
        };
        let expected = NameParts {
            family: Some(whole),
            size: size.map(str::to_owned),
            variant: behind.map(str::to_owned),
            dtype: dtype.map(str::to_owned),
            gguf_type: None,
            optimization_level: *level,
            hybrid_ratio: quarters.map(ratio),
            npu_cores: *cores,
            max_context: *context,
            platform: platform.map(str::to_owned),
            notes: Vec::new(),
        };
        let name = rendered(&parts, separator, upper);
        assert_eq!(NameParts::of(&name), expected, "{name}");
    });
}

/// Pieces that the patterns look for, between random text.
fn any_name() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "w8a8",
        "g128",
        "fp16",
        "q4_k_m",
        "rk3588",
        "ctx",
        "4k",
        "99999999999",
        "npu",
        "cores",
        "3",
        "hybrid",
        "ratio",
        "0.5",
        "opt",
        "1",
        "a3b",
        "7b",
        "1_8b",
        "v1.2.1b1",
        "toolkit",
        "-",
        "_",
        ".",
        "/",
        ".rkllm",
        " ",
        "İ",
        "模",
    ]);
    let pieces = proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat());
    // Many different values of one part.
    let many = (0..3000_u32, select(vec!["b", "m"])).prop_map(|(count, unit)| {
        (0..count)
            .map(|number| format!("{number}{unit}"))
            .collect::<Vec<_>>()
            .join("-")
    });
    prop_oneof![4 => pieces, 4 => any::<String>(), 1 => many]
}

#[test]
fn any_name_is_read() {
    hold("names, any", 1000, &any_name(), |text| name(&text));
}
