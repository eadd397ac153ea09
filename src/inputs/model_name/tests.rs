//! Published names, with expectations written by hand.

use super::*;

/// A row: the name, then family, size, variant, dtype, optimisation level, hybrid ratio, NPU cores, context, platform;
/// `-` if absent.
const NAMES: &str = "\
google_gemma-3-270m-w8a8-opt0-hybrid0-npu3-ctx16384-rk3588 | google-gemma-3 270M - w8a8 0 0 3 16384 RK3588
Qwen_Qwen3-0.6B-w8a8-opt0-hybrid0-npu3-ctx16384-rk3588.rkllm | qwen-qwen3 0.6B - w8a8 0 0 3 16384 RK3588
Qwen2.5-1.5B-Instruct_W8A8_RK3588.rkllm | qwen2.5 1.5B instruct w8a8 - - - - RK3588
Qwen3-0.6B-rk3588-w8a8-opt-1-hybrid-ratio-0.0 | qwen3 0.6B - w8a8 1 0 - - RK3588
DeepSeek-R1-Distill-Qwen-1.5B_W8A8_RK3588_o1 | deepseek-r1-distill-qwen 1.5B - w8a8 1 - - - RK3588
DeepSeek-R1-Distill-Qwen-7B_W8A8_G128_RK3588_o0.rkllm | deepseek-r1-distill-qwen 7B - w8a8_g128 0 - - - RK3588
DeepSeek-R1-Distill-Qwen-1.5B_W4A16G128_RK3576.rkllm | deepseek-r1-distill-qwen 1.5B - w4a16_g128 - - - - RK3576
tinyllama-1.1b-chat-rk3576-w4a16_g128 | tinyllama 1.1B chat w4a16_g128 - - - - RK3576
TinyLlama-1.1B-Chat-v1.0-rk3588-w8a8-opt-0-hybrid-ratio-0.5.rkllm | tinyllama 1.1B chat-v1.0 w8a8 0 0.5 - - RK3588
SmolLM2-135M-Instruct.Q4_1 | smollm2 135M instruct - - - - - -
gemma-3-1b-it_w8a8.rkllm | gemma-3 1B it w8a8 - - - - -
gemma-3-1b-it-rk3588-w8a8_g128-opt-1-hybrid-ratio-1.0.rkllm | gemma-3 1B it w8a8_g128 1 1 - - RK3588
deepseek-llm-7b-chat-rk3588-w8a8_g256-opt-1-hybrid-ratio-0.5.rkllm | deepseek-llm 7B chat w8a8_g256 1 0.5 - - RK3588
Qwen3-4B-Instruct-2507_w8a8_g128_1.2.2_rk3588.rkllm | qwen3 4B instruct-2507 w8a8_g128 - - - - RK3588
Qwen3-1.7B-rk3588-1.2.1-unsloth-16k | qwen3 1.7B unsloth-16k - - - - - RK3588
meta-llama_Llama-3.2-3B-rk3588.rkllm | meta-llama-llama-3.2 3B - - - - - - RK3588
qwen3-vl-2b-instruct_w4a16_g128_rk3576.rkllm | qwen3-vl 2B instruct w4a16_g128 - - - - RK3576
Qwen2-VL-2B-Instruct_w8a8_RK3588.rkllm | qwen2-vl 2B instruct w8a8 - - - - RK3588
Qwen3.5-0.8B_w4a16_g128_rk3576.rkllm | qwen3.5 0.8B - w4a16_g128 - - - - RK3576
Qwen3-0.6B_W8A8_RK3562_opt0 | qwen3 0.6B - w8a8 0 - - - RK3562
qwen3_0.6b_w4a16_g64_rk3562.rkllm | qwen3 0.6B - w4a16_g64 - - - - RK3562
MiniCPM4-0.5B_w4a16_RV1126B.rkllm | minicpm4 0.5B - w4a16 - - - - RV1126B
fastvlm-0.5B-w8a8_level0.rv1126b.rkllm | fastvlm 0.5B - w8a8 0 - - - RV1126B
decoder_qwen3.fp16.rv1126b.rkllm | decoder-qwen3 - - fp16 - - - - RV1126B
Qwen2.5-VL-3B-W4A16_LEVEL1_RK3576.rkllm | qwen2.5-vl 3B - w4a16 1 - - - RK3576
qwen-chat-1_8B.rkllm | qwen-chat 1.8B - - - - - - -
internlm2-chat-1_8b-w8a8-rk3588 | internlm2-chat 1.8B - w8a8 - - - - RK3588
internlm2_5-1_8b_w8a8_rk3588 | internlm2-5 1.8B - w8a8 - - - - RK3588
Qwen2_7b_w8a8_rk3588 | qwen2 7B - w8a8 - - - - RK3588
Qwen3-30B-A3B-w4a16-rk3588 | qwen3 30B - w4a16 - - - - RK3588
gemma-3n-E2B-it_w8a8_rk3588 | gemma-3n E2B it w8a8 - - - - RK3588
Phi-3-mini-4k-instruct_w4a8_g32_rk3562 | phi-3-mini-4k-instruct - - w4a8_g32 - - - - RK3562
qwen3-0.6b-w8a8-o0-3core | qwen3 0.6B - w8a8 0 - 3 - -
opt-1.3b_w8a8_optimization_level_0_npu_core_num_2_max_context_len_4k | opt 1.3B - w8a8 0 - 2 4096 -
npu-0.6b-rk3588s | npu 0.6B - - - - - - RK3588S
hybrid-rate-0.25 core-2 | - - - - - 0.25 2 - -
punchnox/Tiny/TinyLlama-1.1B-w8a8.rkllm | tinyllama 1.1B - w8a8 - - - - -
Llama-3-2-3B-rk3588-toolkitv1.1.1 | llama-3-2 3B - - - - - - RK3588
模型 qwen3-0.6b（w8a8） | qwen3 0.6B - w8a8 - - - - -
stub-model | stub-model - - - - - - - -";

#[test]
fn names_as_they_are_published() {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    for row in NAMES.lines() {
        let (name, expected) = row.split_once(" | ").expect("two columns");
        let parts = NameParts::of(name);
        let found = [
            shown(parts.family.clone()),
            shown(parts.size.clone()),
            shown(parts.variant.clone()),
            shown(parts.dtype.clone()),
            shown(parts.optimization_level.map(|level| level.to_string())),
            shown(parts.hybrid_ratio.map(|ratio| ratio.to_string())),
            shown(parts.npu_cores.map(|cores| cores.to_string())),
            shown(parts.max_context.map(|tokens| tokens.to_string())),
            shown(parts.platform.clone()),
        ];
        assert_eq!(found.join(" "), expected, "{name}");
        assert_eq!(parts.notes, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn types_of_gguf_are_no_dtypes() {
    for (name, expected) in [
        ("SmolLM2-135M-Instruct.Q4_1", Some("Q4_1")),
        ("qwen2.5-0.5b-instruct-q4_k_m.gguf", Some("Q4_K_M")),
        ("gemma-3-270m-it-Q8_0", Some("Q8_0")),
        ("Llama-3.2-1B-IQ4_XS.gguf", Some("IQ4_XS")),
        ("Qwen3-0.6B-BF16", Some("BF16")),
        ("Qwen3-0.6B_w8a8", None),
    ] {
        let parts = NameParts::of(name);
        assert_eq!(parts.gguf_type.as_deref(), expected, "{name}");
        assert_eq!(parts.dtype.is_some(), expected.is_none(), "{name}");
    }
}

#[test]
fn what_contradicts_itself_is_absent_and_noted() {
    let parts =
        NameParts::of("Qwen3-0.6B-1.7B-w8a8-w4a16_g128-rk3588-rk3576-opt0-o1-npu1-3core-hybrid-ratio-2.0");
    assert_eq!(
        (parts.size, parts.dtype, parts.platform, parts.optimization_level),
        (None, None, None, None)
    );
    assert_eq!((parts.npu_cores, parts.hybrid_ratio), (None, None));
    assert_eq!(parts.family.as_deref(), Some("qwen3"));
    assert_eq!(
        parts.notes,
        [
            "dtype: w8a8 and w4a16_g128",
            "platform: rk3588 and rk3576",
            "NPU cores: 1 and 3",
            "hybrid ratio: 2.0 cannot be one",
            "optimisation level: 0 and 1",
            "size: 0.6b and 1.7b"
        ]
    );
    let twice = NameParts::of("rk3588/Qwen3-0.6B_W8A8_rk3588_w8a8_RK3588");
    assert_eq!((twice.dtype.as_deref(), twice.notes.len()), (Some("w8a8"), 0));
    let huge = NameParts::of("qwen3-0.6b-ctx99999999999");
    assert_eq!(huge.max_context, None);
    assert_eq!(huge.notes, ["context: 99999999999 cannot be one"]);
}

#[test]
fn a_second_name_fills_what_the_first_lacks() {
    let of = NameParts::of;
    let parts = of("model_w8a8").or(of("Qwen3-0.6B-Instruct_w4a16_rk3576"));
    assert_eq!(
        (
            parts.family.as_deref(),
            parts.size.as_deref(),
            parts.dtype.as_deref(),
            parts.platform.as_deref()
        ),
        (Some("qwen3"), Some("0.6B"), Some("w8a8"), Some("RK3576"))
    );
    let parts = of("Qwen2-0.5B").or(of("Qwen3-0.6B-Instruct"));
    assert_eq!(
        (parts.family.as_deref(), parts.variant.as_deref()),
        (Some("qwen2"), None)
    );
}

#[test]
fn any_text_is_taken() {
    let long = "w8a8_".repeat(2000);
    let many: Vec<String> = (0..3000).map(|size| format!("{size}b-")).collect();
    let many = many.concat();
    for name in [
        "",
        "/",
        "...",
        "----",
        ".rkllm",
        "w",
        "opt",
        "\u{0}\n\u{1b}[31m|`<b>",
        "０．６Ｂ İ ß 🦙 w８a８",
        &long,
        &many,
    ] {
        let parts = NameParts::of(name);
        assert!(
            parts.notes.iter().all(|note| note.len() < 200),
            "{:?}",
            parts.notes
        );
    }
    assert_eq!(NameParts::of(""), NameParts::default());
    assert_eq!(NameParts::of(&long).dtype.as_deref(), Some("w8a8"));
}

#[test]
fn a_note_of_a_name_with_endless_values_is_short() {
    let sizes: Vec<String> = (0..100_000).map(|number| format!("{number:040}b")).collect();
    let parts = NameParts::of(&sizes.join("-"));
    assert_eq!(parts.size, None);
    let shown: Vec<&str> = sizes[..MOST_NOTED]
        .iter()
        .map(|size| &size[..LONGEST_NOTED])
        .collect();
    assert_eq!(parts.notes, [format!("size: {}", shown.join(" and "))]);
}
