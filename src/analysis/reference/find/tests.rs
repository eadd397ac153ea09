use super::*;

/// Model and size of the table, and the name that its maker gives it.
const NATURAL: [(&str, &str, &str); 20] = [
    ("Qwen2", "0.5B", "Qwen2-0.5B-Instruct"),
    ("MiniCPM4", "0.5B", "openbmb_MiniCPM4-0.5B"),
    ("Qwen3", "0.6B", "Qwen_Qwen3-0.6B"),
    ("TinyLLAMA", "1.1B", "TinyLlama-1.1B-Chat-v1.0"),
    ("Qwen2.5", "1.5B", "qwen2.5-1.5b-instruct"),
    ("RWKV7", "1.5B", "RWKV-7-World-1.5B"),
    ("InternLM2", "1.8B", "internlm2-chat-1_8b"),
    ("Gemma2", "2B", "google_gemma-2-2b-it"),
    ("Gemma3n", "2B", "gemma-3n-E2B-it"),
    ("Gemma-3n", "2B", "gemma-3n-E2B-it"),
    ("TeleChat2", "3B", "TeleChat2-3B"),
    ("Phi3", "3.8B", "Phi-3-mini-4k-instruct"),
    ("MiniCPM3", "4B", "MiniCPM3-4B"),
    ("ChatGLM3", "6B", "chatglm3-6b-32k"),
    ("Qwen3-VL", "2B", "qwen3-vl-2b-instruct"),
    ("DeepSeekOCR", "3B(A570M)", "DeepSeek-OCR"),
    ("Qwen3.5", "0.8B", "Qwen3.5-0.8B"),
    ("Qwen3.5", "2B", "Qwen3.5-2B"),
    ("Qwen3.5", "4B", "Qwen3.5-4B"),
    ("Gemma4", "E2B", "gemma-4-E2B-it"),
];

fn of(soc: &str, name: &str) -> Match {
    find(soc, &NameParts::of(name))
}

/// The row, and the doubts.
#[track_caller]
fn doubtful(soc: &str, name: &str) -> (String, Vec<String>) {
    match of(soc, name) {
        Match::Doubtful { row, why } => (row.to_string(), why),
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn unmatched(soc: &str, name: &str) -> Unmatched {
    match of(soc, name) {
        Match::None { why } => why,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_row_is_found_by_a_natural_name_of_its_model_and_no_other_is() {
    for row in rows() {
        let natural = NATURAL
            .iter()
            .find(|(model, size, _)| (*model, *size) == (&row.model, &row.size));
        let (_, _, name) = natural.unwrap_or_else(|| panic!("{row}: no name"));
        for file in [
            format!("{name}_{}_{}.rkllm", row.dtype, row.soc),
            format!(
                "{name}-{}-{}-opt-0-hybrid-ratio-0.0",
                row.soc.to_lowercase(),
                row.dtype.to_uppercase()
            ),
        ] {
            match of(&row.soc, &file) {
                Match::Exact(found) => assert!(std::ptr::eq(found, row), "{file}: {found}"),
                other => panic!("{file}: {other:?}"),
            }
        }
    }
}

#[test]
fn another_model_of_the_same_shape_is_doubtful() {
    for (name, row, doubt) in [
        (
            "Qwen2.5-0.5B-Instruct_w8a8",
            "Qwen2 0.5B w8a8 on RK3588",
            "published is Qwen2, of the same shape as Qwen2.5 at this size",
        ),
        (
            "qwen2_5-0_5b-w8a8",
            "Qwen2 0.5B w8a8 on RK3588",
            "published is Qwen2, of the same shape as Qwen2.5 at this size",
        ),
        (
            "Qwen2-1.5B_w8a8",
            "Qwen2.5 1.5B w8a8 on RK3588",
            "published is Qwen2.5, of the same shape as Qwen2 at this size",
        ),
        (
            "DeepSeek-R1-Distill-Qwen-1.5B_W8A8_RK3588",
            "Qwen2.5 1.5B w8a8 on RK3588",
            "published is Qwen2.5, whose shape this distillation has",
        ),
        (
            "internlm2_5-1_8b-chat-w8a8",
            "InternLM2 1.8B w8a8 on RK3588",
            "published is InternLM2, of the same shape as InternLM2.5 at this size",
        ),
        (
            "Phi-3.5-mini-instruct_w8a8",
            "Phi3 3.8B w8a8 on RK3588",
            "Phi-3.5-mini has the shape of Phi-3-mini",
        ),
    ] {
        assert_eq!(doubtful("RK3588", name), (row.to_owned(), vec![doubt.to_owned()]));
    }
}

#[test]
fn each_doubt_is_said() {
    let (row, why) = doubtful(
        "RK3576",
        "moss_Qwen3-Embedding-0.6B-abliterated_w8a8_g128_rk3588_opt1",
    );
    assert_eq!(row, "Qwen3 0.6B w8a8 on RK3576");
    assert_eq!(
        why,
        [
            "the model's name has words that the published one lacks: moss, embedding, abliterated",
            "published is w8a8, the model is w8a8_g128",
            "the model's name says RK3588, the machine is an RK3576",
            "converted at optimisation level 1, published at 0"
        ]
    );
    let (row, why) = doubtful("RK3588", "tinyllama_w8a8");
    assert_eq!(row, "TinyLLAMA 1.1B w8a8 on RK3588");
    assert_eq!(why, ["the model's name has no size, published is 1.1B"]);
    // Groups of another size are nearer than none.
    let (row, _) = doubtful("RK3576", "Qwen3-0.6B_w4a16_g64");
    assert_eq!(row, "Qwen3 0.6B w4a16_g128 on RK3576");
}

#[test]
fn what_has_no_row_says_why() {
    let model = |name: &str| Unmatched::NoSuchModel(name.into());
    for (soc, name, why) in [
        (
            "HOST (llama.cpp 0.6.0)",
            "Qwen2-0.5B_w8a8",
            Unmatched::HostRuntime,
        ),
        ("STUB", "Qwen2-0.5B_w8a8", Unmatched::UnknownSoc("STUB".into())),
        (
            "RK3399",
            "Qwen2-0.5B_w8a8",
            Unmatched::UnknownSoc("RK3399".into()),
        ),
        ("RK3588", "Qwen2-0.5B", Unmatched::NoDtype(None)),
        (
            "RK3588",
            "Qwen2-0.5B-w8a8-w4a16",
            Unmatched::NoDtype(Some("dtype: w8a8 and w4a16".into())),
        ),
        (
            "RK3588",
            "Qwen2-0.5B-w4a16",
            Unmatched::NoSuchDtype(vec!["w8a8".into()]),
        ),
        ("RK3588", "Qwen2-7B-w8a8", model("qwen2 7B")),
        (
            "RK3562",
            "Qwen2.5-1.5B-Instruct-w8a8",
            model("qwen2.5 1.5B instruct"),
        ),
        (
            "RK3588",
            "Qwen3-4B-Instruct-2507_w8a8",
            model("qwen3 4B instruct-2507"),
        ),
        ("RK3588", "gemma-2b_w8a8", model("gemma 2B")),
        ("RK3588", "Qwen3-2-0.6B_w8a8", model("qwen3-2 0.6B")),
        (
            "RK3588",
            "Phi-3-medium-4k-instruct_w8a8",
            model("phi-3-medium-4k-instruct"),
        ),
        (
            "RK3588",
            "DeepSeek-R1-Distill-Qwen-7B_w8a8",
            model("deepseek-r1-distill-qwen 7B"),
        ),
        ("RK3588", "Qwen2.5-Coder-0.6B_w8a8", model("qwen2.5-coder 0.6B")),
        ("RK3588", "w8a8", model("a name without family and size")),
        (
            "RK3588",
            "Qwen3.5_w8a8",
            Unmatched::Ambiguous(vec![
                "Qwen3.5 0.8B".into(),
                "Qwen3.5 2B".into(),
                "Qwen3.5 4B".into(),
            ]),
        ),
    ] {
        assert_eq!(unmatched(soc, name), why, "{name}");
    }
}

#[test]
fn the_soc_is_taken_from_a_platform_or_a_boards_name() {
    for soc in [
        "RK3588",
        "rk3588s",
        "Rockchip RK3588 EVB7 Board",
        "ROCK-5B/rk3588",
    ] {
        let found = of(soc, "Qwen2-0.5B_w8a8_rk3588s");
        assert!(matches!(found, Match::Exact(row) if row.soc == "RK3588"), "{soc}");
    }
    assert_eq!(
        unmatched("Radxa ROCK 5B", "Qwen2-0.5B_w8a8"),
        Unmatched::UnknownSoc("Radxa ROCK 5B".into())
    );
}

#[test]
fn any_name_is_looked_up() {
    let long = "qwen3-".repeat(3000) + "0.6b_w8a8";
    for name in [&long, "-w8a8", "|`<b>\u{1b}[31m-0.6b-w8a8", "0.6B_w8a8"] {
        match of(&"x".repeat(10_000), name) {
            Match::None {
                why: Unmatched::UnknownSoc(soc),
            } => assert!(soc.len() < 100),
            other => panic!("{other:?}"),
        }
        match of("RK3588", name) {
            Match::None { why } => assert!(why.to_string().len() < 200, "{why}"),
            Match::Doubtful { why, .. } => assert!(why.iter().all(|why| why.len() < 200), "{why:?}"),
            Match::Exact(row) => panic!("{name}: {row}"),
        }
    }
}
